"""torch.hub repositories: nothing runs before a yes, and a bad one does no harm."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from core.catalog import added
from core.cli.app import main
from core.errors import AppError, ModelError
from core.evaluation.classifier import Classifier
from core.models.build import build
from core.models.resolve import add_id, resolve_model, with_added
from core.models.weights import torch_hub, weights
from helpers import WAIT_S

HUBCONF = '''
dependencies = ["torch"]
from pathlib import Path
import sys
import torch
from torch import nn

Path(__file__).with_name("ran").touch()
print("a repository prints")


def small(pretrained=False, classes=5):
    """A small classifier.

    pretrained: with its weights.
    """
    torch.manual_seed(3 if pretrained else 4)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, classes),
    )


def plain():
    return small(classes=3)


def raises():
    raise RuntimeError("first line\\nthe weights have moved")


def leaves():
    sys.exit(3)


def no_model():
    return "a text"
'''


@pytest.fixture
def repo(tmp_path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "hubconf.py").write_text(HUBCONF, encoding="utf-8")
    return folder


def ref(repo: Path, entry: str) -> str:
    return f"hub/local:{repo}:{entry}"


def test_nothing_of_a_repository_runs_before_a_yes(repo):
    sources = torch_hub.sources_of(str(repo))
    assert "def small" in sources.text
    assert not sources.is_trusted
    assert str(repo) in sources.warning
    card = resolve_model(ref(repo, "small"))
    assert weights.state_of(card).where == "imported"
    for ask in (
        lambda: torch_hub.entries(str(repo)),
        lambda: torch_hub.help_of(str(repo), "small"),
        lambda: build(card),
        lambda: build(card, meta=True),
        lambda: Classifier.open(ref(repo, "small")),
    ):
        with pytest.raises(torch_hub.NotTrusted, match="is not trusted"):
            ask()
    assert not (repo / "ran").exists()


def test_a_yes_is_kept_until_the_code_changes_or_it_is_taken_back(repo):
    torch_hub.trust(str(repo))
    assert torch_hub.is_trusted(str(repo))
    assert torch_hub.trusted() == (f"local:{repo}",)
    with (repo / "hubconf.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert not torch_hub.is_trusted(str(repo))
    with pytest.raises(torch_hub.NotTrusted, match=r"any more: its hubconf\.py has changed"):
        torch_hub.require_trust(str(repo))
    torch_hub.trust(str(repo))
    assert torch_hub.distrust(str(repo))
    assert not torch_hub.distrust(str(repo))
    assert not torch_hub.is_trusted(str(repo))


def test_a_yes_is_for_one_repository_and_one_ref():
    torch_hub.trust("owner/net@v1")
    assert torch_hub.is_trusted("owner/net:v1")
    assert not torch_hub.is_trusted("owner/net")
    assert not torch_hub.is_trusted("owner/net@v2")
    assert torch_hub.sources_of("owner/net@v1").address == "https://github.com/owner/net/tree/v1"


def test_a_trusted_repository_lists_its_entries_and_their_help(repo):
    torch_hub.trust(str(repo))
    found = {entry.name: entry.help for entry in torch_hub.entries(str(repo))}
    assert found["small"] == "A small classifier."
    assert {"plain", "raises", "leaves"} <= set(found)
    assert "pretrained: with its weights." in torch_hub.help_of(str(repo), "small")
    with pytest.raises(ModelError, match="has no entry “absent”"):
        torch_hub.help_of(str(repo), "absent")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ValueError('no such luck')", "ValueError: no such luck"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(0)", "its code ended the process"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("x = input('name: ')", "EOFError"),
        ("import time; time.sleep(3600)", "No answer within"),
    ],
)
def test_a_repository_that_misbehaves_is_one_sentence(repo, code, said):
    (repo / "hubconf.py").write_text(code, encoding="utf-8")
    torch_hub.trust(str(repo))
    with pytest.raises(AppError, match=said):
        torch_hub.entries(str(repo), seconds=0.5 if "sleep" in code else WAIT_S)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("raises", "RuntimeError: the weights have moved"),
        ("leaves", "SystemExit: 3"),
        ("no_model", "gives a str, not a model"),
        ("absent", "Cannot find callable absent"),
    ],
)
def test_an_entry_that_gives_no_model_is_one_sentence(repo, entry, said):
    torch_hub.trust(str(repo))
    with pytest.raises(ModelError, match=said):
        build(resolve_model(ref(repo, entry)))


def test_a_model_of_a_repository_classifies_and_takes_a_new_head(repo, capsys):
    torch_hub.trust(str(repo))
    card = resolve_model(ref(repo, "small"))
    built = build(card)
    assert built.num_classes == 5
    assert (built.preprocessing.width, built.preprocessing.interpolation) == (224, "bilinear")
    torch.manual_seed(3)
    assert torch.equal(built.module[0].weight, torch.nn.Conv2d(3, 8, 3, stride=4).weight)
    with_head = build(card, num_classes=7)
    assert with_head.module(torch.zeros(2, 3, 224, 224)).shape == (2, 7)
    assert torch.equal(with_head.module[0].weight, built.module[0].weight)
    assert build(resolve_model(ref(repo, "plain"))).num_classes == 3
    classifier = Classifier.open(ref(repo, "small"))
    (answer,) = classifier.classify([Image.new("RGB", (300, 200))], top=2)
    assert len(answer.top) == 2
    assert "a repository prints" not in capsys.readouterr().out


def test_a_run_on_a_repositorys_model_trains_and_opens_again(repo, tmp_path, make_image_folder):
    torch_hub.trust(str(repo))
    data = make_image_folder(tmp_path / "shapes", per_class=6)
    out = tmp_path / "run"
    options = ["--strategy", "feature-extraction", "--out", str(out)]
    assert main(["train", str(data), "--model", ref(repo, "small"), *options]) == 0
    assert len(Classifier.open(out).classes) == 3
    (repo / "hubconf.py").unlink()
    with pytest.raises(AppError, match="no longer there"):
        Classifier.open(out)


def test_a_repository_is_put_on_the_list_without_running(repo):
    card = add_id(ref(repo, "small"))
    assert with_added().cards[-1] == card
    assert not (repo / "ran").exists()
    assert added.remove(card.id)


@pytest.mark.parametrize("name", ["hub/", "hub/owner/net", "hub/net:entry", "hub/owner/net:"])
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(ModelError):
        resolve_model(name)


def test_the_command_line_asks_or_is_told(repo, capsys):
    assert main(["hub", "list", str(repo)]) == 1
    assert "nobody can be asked" in " ".join(capsys.readouterr().err.split())
    assert not (repo / "ran").exists()
    assert main(["hub", "list", str(repo), "--trust", "--json"]) == 0
    assert '"entry": "small"' in capsys.readouterr().out
    assert main(["hub", "distrust", str(repo)]) == 0
