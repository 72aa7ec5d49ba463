"""Models of torch.hub repositories: named, shown, trusted, listed and loaded. No torch at import.

A repository is code of somebody else. Nothing of it runs, not even its list of entries, before the
user has seen where it comes from and trusts it; the answer is stored. Listing runs in a process of
its own, so that a repository that raises, prints, ends the process or never ends does no harm;
loading a model runs in ours.

Names: `hub/OWNER/REPO:ENTRY`, `hub/OWNER/REPO@REF:ENTRY` (a branch or tag), and for a folder on
this machine `hub/local:/PATH/OF/FOLDER:ENTRY`.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.catalog.card import ModelCard
from core.errors import ModelError
from core.events import ShouldStop, never_stop
from core.system import paths
from core.system.atomic_files import write_json
from core.system.subprocesses import Child

if TYPE_CHECKING:
    from torch import nn

_FORM = "A repository is named OWNER/REPO, OWNER/REPO@REF, or by a folder that has a hubconf.py."
_LIST_SECONDS = 120.0
_MOST_TEXT = 200_000
"""Characters of a hubconf.py that are shown."""


class NotTrusted(ModelError):  # noqa: N818 - a question, not a fault
    """Raised where code of a repository would run that the user has not trusted."""


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository on GitHub (`owner`, `name`, `ref`: empty for its default branch) or a folder."""

    owner: str = ""
    name: str = ""
    ref: str = ""
    folder: Path | None = None

    @property
    def text(self) -> str:
        """As in model ids, between `hub/` and `:ENTRY`; `parse` reads it back."""
        if self.folder is not None:
            return f"local:{self.folder}"
        return f"{self.owner}/{self.name}" + (f"@{self.ref}" if self.ref else "")

    @property
    def address(self) -> str:
        """The page on GitHub, or the folder."""
        if self.folder is not None:
            return str(self.folder)
        return f"https://github.com/{self.owner}/{self.name}" + (
            f"/tree/{self.ref}" if self.ref else ""
        )


@dataclass(frozen=True, slots=True)
class Sources:
    """The code that would run, shown to the user before they decide to trust it."""

    repo: Repo
    address: str
    """The page on GitHub, or the folder."""
    hubconf: Path | None
    """The file that runs first, where it is on this machine."""
    text: str
    """What is in it; empty where it would have to be downloaded first."""
    is_trusted: bool
    warning: str
    """In a sentence or two, what saying yes means."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that a repository offers, and the first line of its help."""

    name: str
    help: str


def parse(repo: str | Repo) -> Repo:
    """Parse the name or folder of a repository.

    Raises: ModelError for another form, or a folder without a hubconf.py.
    """
    if isinstance(repo, Repo):
        return repo
    text = repo.strip().removeprefix("hub/")
    folder = Path(text).expanduser()
    if text and (folder / "hubconf.py").is_file():
        return _local(folder)
    named = _named(text)
    if named is not None:
        return named
    if text and folder.is_dir():
        raise ModelError(f"The folder {folder} has no hubconf.py.", _FORM)
    raise ModelError(f"“{repo}” is not a torch.hub repository.", _FORM)


def _named(text: str) -> Repo | None:
    """Parse a name as in model ids; a folder of the same name is not considered."""
    if text.startswith("local:"):
        return _local(Path(text.removeprefix("local:")))
    found = re.fullmatch(r"([\w-]+)/([\w.-]+?)(?:[@:]([\w./-]+))?", text)
    return Repo(found[1], found[2], found[3] or "") if found else None


def _local(folder: Path) -> Repo:
    return Repo(folder=folder.expanduser().absolute())


def card_of(model_id: str) -> ModelCard:
    """The card of `hub/REPO:ENTRY`; facts that need the loaded model are unknown.

    Raises: ModelError.
    """
    repo_text, colon, entry = model_id.strip()[len("hub/") :].rpartition(":")
    if not colon or not repo_text or not re.fullmatch(r"\w+", entry):
        raise ModelError(f"“{model_id}” is not of the form hub/OWNER/REPO:ENTRY.", _FORM)
    repo = _named(repo_text)
    if repo is None:
        raise ModelError(f"“{model_id}” is not of the form hub/OWNER/REPO:ENTRY.", _FORM)
    return ModelCard(
        id=f"hub/{repo.text}:{entry}",
        source="hub",
        arch=entry,
        tag="",
        family="",
        num_classes=0,
        weights=repo.address,
    )


def repo_of(card: ModelCard) -> Repo:
    """The repository that the card's id names. Raises: ModelError."""
    repo = _named(card.id[len("hub/") :].rpartition(":")[0])
    if repo is None:
        raise ModelError(f"“{card.id}” is not of the form hub/OWNER/REPO:ENTRY.", _FORM)
    return repo


def is_local(card: ModelCard) -> bool:
    """Whether the card's repository is a folder on this machine."""
    return repo_of(card).folder is not None


def address_of(card: ModelCard) -> str:
    """The page on GitHub, or the folder, of the card's repository."""
    return repo_of(card).address


def folder_of(card: ModelCard) -> Path | None:
    """The folder of the card's repository on this machine; None where it is not here."""
    return cached_folder(repo_of(card))


def hub_cache() -> Path:
    """The folder of torch.hub's downloaded files, by torch's own rule."""
    home = os.environ.get("TORCH_HOME")
    if home is None:
        home = str(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def cached_folder(repo: str | Repo) -> Path | None:
    """The repository's folder, local or torch.hub's download; None where neither exists."""
    repo = parse(repo)
    if repo.folder is not None:
        return repo.folder if (repo.folder / "hubconf.py").is_file() else None
    refs = (repo.ref.replace("/", "_"),) if repo.ref else ("main", "master")
    folders = (hub_cache().parent / f"{repo.owner}_{repo.name}_{ref}" for ref in refs)
    return next((folder for folder in folders if (folder / "hubconf.py").is_file()), None)


def sources_of(repo: str | Repo) -> Sources:
    """The code that would run. Only reads files. Raises: ModelError for what is no repository."""
    repo = parse(repo)
    folder = cached_folder(repo)
    if folder is None and repo.folder is not None:
        raise _missing(repo.folder)
    hubconf = folder / "hubconf.py" if folder else None
    text = hubconf.read_text(encoding="utf-8", errors="replace")[:_MOST_TEXT] if hubconf else ""
    if repo.folder is not None:
        what = f"The code in {repo.folder} will run on this machine with your rights."
        asks = "If its hubconf.py changes, you are asked again."
    else:
        which = f"branch or tag {repo.ref}" if repo.ref else "the default branch"
        state = "is here already" if folder else "will be downloaded"
        what = (
            f"The code of {repo.address} ({which}) {state} and will run on this machine with your "
            "rights."
        )
        asks = "Say yes only if you know its authors; what it downloads or reads is not checked."
    return Sources(repo, repo.address, hubconf, text, is_trusted(repo), f"{what} {asks}")


def is_trusted(repo: str | Repo) -> bool:
    """Whether the user trusts this repository and ref, or this content of a folder."""
    repo = parse(repo)
    answer = _answers().get(repo.text)
    return answer is not None and answer.get("sha256", "") == _fingerprint(repo)


def trust(repo: str | Repo) -> None:
    """Store that the user trusts a repository. Raises: ModelError for a missing folder, OSError."""
    repo = parse(repo)
    if repo.folder is not None and cached_folder(repo) is None:
        raise _missing(repo.folder)
    answers = _answers()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    answers[repo.text] = {"since": today, "sha256": _fingerprint(repo)}
    _keep(answers)


def distrust(repo: str | Repo) -> bool:
    """Remove the trust; downloads stay. Returns whether it was trusted. Raises: OSError."""
    answers = _answers()
    was_there = answers.pop(parse(repo).text, None) is not None
    if was_there:
        _keep(answers)
    return was_there


def trusted() -> tuple[str, ...]:
    """All repositories the user trusts."""
    return tuple(_answers())


def require_trust(repo: str | Repo) -> Repo:
    """Return the parsed repository where it is trusted. Raises: NotTrusted."""
    repo = parse(repo)
    if repo.folder is not None and cached_folder(repo) is None:
        raise _missing(repo.folder)
    if not is_trusted(repo):
        changed = " any more: its hubconf.py has changed" if repo.text in _answers() else ""
        raise NotTrusted(
            f"The code of {repo.address} is not trusted{changed}.",
            f"Look at what would run and say yes: graftwork hub trust {_typed(repo)}",
        )
    return repo


def entries(
    repo: str | Repo, *, seconds: float = _LIST_SECONDS, should_stop: ShouldStop = never_stop
) -> list[Entry]:
    """The models a trusted repository offers; on GitHub, it is downloaded first.

    Raises: NotTrusted; ModelError with the repository's own last line; Cancelled.
    """
    answer = _ask(require_trust(repo), "", seconds, should_stop)
    return [Entry(name, help_.strip().partition("\n")[0]) for name, help_ in answer]


def help_of(
    repo: str | Repo,
    entry: str,
    *,
    seconds: float = _LIST_SECONDS,
    should_stop: ShouldStop = never_stop,
) -> str:
    """The help text of one entry. Raises: as `entries`; ModelError where there is no such entry."""
    found = dict(_ask(require_trust(repo), entry, seconds, should_stop))
    if entry not in found:
        offered = ", ".join(found) or "none"
        raise ModelError(f"{parse(repo).text} has no entry “{entry}”.", f"It has: {offered}.")
    return found[entry].strip()


def _ask(repo: Repo, entry: str, seconds: float, should_stop: ShouldStop) -> list[tuple[str, str]]:
    request = {
        "do": "hub",
        "repo": _torch_name(repo),
        "folder": str(repo.folder) if repo.folder else "",
        "entry": entry,
    }
    with Child(request) as child:
        for message in child.messages(seconds=seconds, should_stop=should_stop):
            if message["event"] == "entries":
                return [(str(name), str(help_)) for name, help_ in message["entries"]]
            if message["event"] == "failed":
                text = str(message["text"])
                raise ModelError(f"{repo.text} could not be listed: {text}", _advice(text))
    raise ModelError(
        f"{repo.text} could not be listed: its code ended the process.", "Report it to its authors."
    )


def module_of(card: ModelCard, *, pretrained: bool) -> nn.Module:
    """Build the model of a hub card, on the CPU, in eval mode. Its code runs in our process.

    `pretrained` is handed on where the entry takes it. Raises: NotTrusted; ModelError with the
    repository's own last line.
    """
    repo = require_trust(repo_of(card))
    import torch

    folder = cached_folder(repo)
    try:
        with contextlib.redirect_stdout(sys.stderr), _modules_forgotten(repo):
            module = _load(repo, card.arch, pretrained=pretrained)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # a repository may even call sys.exit
        text = last_line(error)
        if folder is None and isinstance(error, OSError | RuntimeError):
            raise ModelError(
                f"The repository {repo.text} is not on this machine and cannot be fetched: {text}",
                "Connect to the network, or name a local folder of it.",
            ) from error
        raise ModelError(f"{card.full_name} could not be loaded: {text}", _advice(text)) from error
    if not isinstance(module, torch.nn.Module):
        raise ModelError(
            f"{card.full_name} gives a {type(module).__name__}, not a model.",
            "Choose another entry.",
        )
    return module.to(device="cpu", dtype=torch.float32).eval()


def _load(repo: Repo, entry: str, *, pretrained: bool) -> Any:
    import torch

    where, source = (str(repo.folder), "local") if repo.folder else (_torch_name(repo), "github")
    # The person's yes came before (`require_trust`); torch would ask on the terminal.
    options: dict[str, Any] = {"source": source, "trust_repo": True, "verbose": False}
    try:
        return torch.hub.load(where, entry, pretrained=pretrained, **options)
    except TypeError as error:
        if "'pretrained'" not in str(error):
            raise
        return torch.hub.load(where, entry, **options)


@contextlib.contextmanager
def _modules_forgotten(repo: Repo) -> Any:
    """Remove the repository's own modules from `sys.modules` after the block.

    Repositories name their packages alike (`models`): the second would be given the first one's.
    """
    before = set(sys.modules)
    try:
        yield
    finally:
        folder = cached_folder(repo)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if folder is not None and file and Path(file).is_relative_to(folder):
                del sys.modules[name]


def last_line(error: BaseException) -> str:
    """The type and the last line of an exception."""
    lines = str(error).strip().splitlines()
    message = f": {lines[-1].strip()}" if lines else ""
    return f"{type(error).__name__}{message}"


def _advice(text: str) -> str:
    if re.search(r"ModuleNotFoundError|Missing dependencies", text):
        return "Install what its page asks for, into the same Python."
    if re.search(r"URLError|HTTPError|getaddrinfo|name resolution|no internet", text):
        return "It needs the network. A local folder of it works without."
    return "That is the repository's own message; its page says what it needs."


def _torch_name(repo: Repo) -> str:
    return f"{repo.owner}/{repo.name}" + (f":{repo.ref}" if repo.ref else "")


def _typed(repo: Repo) -> str:
    return str(repo.folder) if repo.folder else repo.text


def _missing(folder: Path) -> ModelError:
    return ModelError(
        f"The repository {folder} is no longer there.", "Put it back, or name another."
    )


def _fingerprint(repo: Repo) -> str:
    """The hash of a folder's hubconf.py; empty for a repository on GitHub."""
    if repo.folder is None:
        return ""
    try:
        return hashlib.sha256((repo.folder / "hubconf.py").read_bytes()).hexdigest()
    except OSError:
        return "gone"


def _answers_file() -> Path:
    return paths.config_dir() / "trusted_repositories.json"


def _answers() -> dict[str, dict[str, str]]:
    """The stored answers; a file that cannot be read counts as empty: the user is asked again."""
    try:
        answers = json.loads(_answers_file().read_text(encoding="utf-8"))["trusted"]
        return {str(name): dict(answer) for name, answer in answers.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _keep(answers: dict[str, dict[str, str]]) -> None:
    write_json(_answers_file(), {"format": 1, "trusted": answers})
