"""The commands `weights` and `hub`: pretrained weights, and torch.hub repositories."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from core.cli.arguments import Json
from core.cli.console import answer_console, messages, print_json, progress, stop_on_interrupt
from core.errors import AppError

if TYPE_CHECKING:
    from core.catalog.card import ModelCard
    from core.models.weights.files import FileReport
    from core.models.weights.weights import WeightsState

weights = typer.Typer(
    no_args_is_help=True, help="List, download, import and remove pretrained weights."
)
hub = typer.Typer(
    no_args_is_help=True,
    help="Models of torch.hub repositories. Their code runs only after you agreed.",
)

Model = Annotated[str, typer.Argument(help="Model id.")]
Repository = Annotated[
    str, typer.Argument(metavar="REPO", help="OWNER/REPO, OWNER/REPO@REF, or a local folder.")
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Agree to run the repository's code; for scripts.")
]


@weights.command("list")
def list_weights(
    everything: Annotated[
        bool, typer.Option("--all", help="Include weights that would have to be downloaded.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the weights on this machine, with their place and size."""
    from core.models.resolve import with_added
    from core.models.weights import weights as places

    cards = with_added().cards
    here = places.cards_here(cards)
    rows = [
        (card, places.state_of(card))
        for card in cards
        if everything or card.id in here or card.source in ("file", "hub", "hf-hub")
    ]
    # Several cards may share one file; it is counted once.
    sizes = {state.path: state.size_bytes for _, state in rows if state.is_here and state.path}
    total = sum(size or 0 for size in sizes.values())
    if as_json:
        print_json({"weights": [_fields(*row) for row in rows], "total_bytes": total})
        return
    table = Table(
        "model", "weights", Column("MB", justify="right"), Column("where", overflow="fold")
    )
    for card, state in rows:
        table.add_row(escape(card.id), state.where, _mb(state), escape(_place(state)))
    out = answer_console()
    out.print(table)
    out.print(
        f"{len(sizes):,} files, {total / 1e6:,.1f} MB. An unfinished download leaves nothing."
    )


@weights.command()
def where(model: Model, as_json: Json = False) -> None:
    """Show where the weights of a model are, or where they would come from."""
    from core.catalog.licences import licence_note
    from core.models.resolve import resolve_model
    from core.models.weights.weights import state_of

    card = resolve_model(model)
    state = state_of(card)
    if as_json:
        print_json(_fields(card, state))
        return
    out = answer_console()
    size = f", {_mb(state)} MB" if state.size_bytes is not None else ""
    out.print(escape(f"{card.full_name}: {state.where}{size}: {_place(state)}"), soft_wrap=True)
    if state.where != "imported":
        out.print(escape(f"From {state.origin}"), soft_wrap=True)
    if licence_note(card):
        out.print(escape(licence_note(card)), soft_wrap=True)


@weights.command()
def download(model: Model, as_json: Json = False) -> None:
    """Download the weights of a model. Ctrl+C cancels and leaves nothing behind."""
    from core.catalog.licences import licence_note
    from core.models.resolve import resolve_model
    from core.models.weights.download import download as fetch
    from core.models.weights.weights import state_of

    card = resolve_model(model)
    if licence_note(card):
        messages.print(escape(licence_note(card)), soft_wrap=True)
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        fetch(card, on_progress=on_progress, should_stop=should_stop)
    state = state_of(card)
    if as_json:
        print_json(_fields(card, state))
        return
    answer_console().print(
        escape(f"{card.full_name}: {_mb(state)} MB: {_place(state)}"), soft_wrap=True
    )


@weights.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A .safetensors, .pth, .pt or .bin file.")],
    arch: Annotated[
        str | None, typer.Option("--as", help="The architecture, where it cannot be recognised.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only report what fits; add nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recognise a file of weights and add it to the models; it is neither copied nor changed."""
    from core.models.resolve import add_file
    from core.models.weights.files import report_of

    with progress() as on_progress, stop_on_interrupt() as should_stop:
        on_progress(0, 0, "comparing with the catalog")
        report = report_of(file, arch=arch, should_stop=should_stop)
        card = None
        if report.is_usable and not check:
            best = report.fits[0].card.id
            card = add_file(file, arch=arch or best, should_stop=should_stop)
    if as_json:
        print_json({"model": card.id if card else None, **_report(report)})
    else:
        out = answer_console()
        for sentence in report.sentences():
            out.print(escape(sentence), soft_wrap=True)
        if card is not None:
            out.print(escape(f"It is on the list now, as {card.id}"), soft_wrap=True)
    if not report.is_usable:
        raise AppError(
            f"{file.name} fits no architecture exactly.",
            "Name the architecture with --as to see what does not fit.",
        )


@weights.command()
def remove(
    model: Model,
    delete: Annotated[
        bool, typer.Option("--delete", help="Move the downloaded file to the trash.")
    ] = False,
) -> None:
    """Remove an added model from the list; with --delete, move a download to the trash."""
    from core.catalog import added
    from core.models.resolve import resolve_model
    from core.models.weights.weights import state_of

    name = added.file_id(model) if model.lower().startswith(added.FILE_PREFIX) else model
    out = answer_console()
    if not delete:
        if not added.remove(name):
            raise AppError(
                f"“{model}” is not among the added models.",
                "A downloaded file is moved to the trash with --delete.",
            )
        out.print(
            escape(f"{name} is off the list. The file itself was left alone."), soft_wrap=True
        )
        return
    card = resolve_model(model)
    state = state_of(card)
    if state.where != "downloaded" or state.path is None:
        raise AppError(
            f"There is no download of {card.full_name} to delete.",
            "Bundled weights and your own files are left alone.",
        )
    import send2trash  # type: ignore[import-untyped]

    # Hugging Face's cache has the file itself under another name, and links to it.
    for path in {state.path.resolve(), state.path}:
        try:
            if path.is_symlink():
                path.unlink()
            elif path.exists():
                send2trash.send2trash(str(path))
        except send2trash.TrashPermissionError as error:
            raise AppError(f"{path} cannot be moved to the trash: {error}.") from error
    out.print(escape(f"The download of {card.full_name} is in the trash."), soft_wrap=True)


@weights.command("child", hidden=True)
def run_child() -> None:
    """Run the request on stdin in this process; for the window and other commands."""
    from core.cli.subprocess_work import serve

    serve()


@hub.command("list")
def list_entries(repo: Repository, yes: Trust = False, as_json: Json = False) -> None:
    """List the models of a repository. Runs its hubconf.py in a separate process."""
    from core.models.weights import torch_hub

    _ask(repo, yes)
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        on_progress(0, 0, "asking the repository")
        found = torch_hub.entries(repo, should_stop=should_stop)
    text = torch_hub.parse(repo).text
    if as_json:
        entries = [
            {"id": f"hub/{text}:{entry.name}", "entry": entry.name, "help": entry.help}
            for entry in found
        ]
        print_json({"repository": text, "entries": entries})
        return
    table = Table("entry", "help")
    for entry in found:
        table.add_row(escape(entry.name), escape(entry.help))
    out = answer_console()
    out.print(table if found else "It offers nothing.")
    if found:
        out.print(escape(f"Use one as hub/{text}:{found[0].name}"), soft_wrap=True)


@hub.command("help")
def help_entry(
    repo: Repository,
    entry: Annotated[str, typer.Argument(help="Name of a model, as `hub list` gives it.")],
    yes: Trust = False,
    as_json: Json = False,
) -> None:
    """Show the description of a model of a repository."""
    from core.models.weights import torch_hub

    _ask(repo, yes)
    with stop_on_interrupt() as should_stop:
        text = torch_hub.help_of(repo, entry, should_stop=should_stop)
    if as_json:
        print_json({"repository": torch_hub.parse(repo).text, "entry": entry, "help": text})
        return
    answer_console().print(escape(text or "It says nothing."))


@hub.command("trust")
def trust_repository(repo: Repository, yes: Trust = False) -> None:
    """Show the code that would run, and ask whether to trust it. The answer is kept."""
    from core.models.weights import torch_hub

    _ask(repo, yes)
    answer_console().print(escape(f"{torch_hub.parse(repo).text} is trusted."), soft_wrap=True)


@hub.command("distrust")
def distrust_repository(repo: Repository) -> None:
    """Stop trusting a repository. What was downloaded stays, but is no longer run."""
    from core.models.weights import torch_hub

    text = torch_hub.parse(repo).text
    if not torch_hub.distrust(repo):
        raise AppError(f"{text} was not trusted.")
    answer_console().print(escape(f"{text} is not trusted any more."), soft_wrap=True)


def _ask(repo: str, yes: bool) -> None:
    """Show what would run and ask, unless it was answered before. Raises: AppError for a no."""
    from core.models.weights import torch_hub

    sources = torch_hub.sources_of(repo)
    if sources.is_trusted:
        return
    messages.print(escape(sources.warning), soft_wrap=True)
    if not yes:
        if not sys.stdin.isatty():
            raise AppError(
                f"The code of {sources.address} is not trusted, and nobody can be asked here.",
                "Look at it, then say yes with --trust.",
            )
        if sources.text:
            messages.print(f"--- {sources.hubconf}\n{escape(sources.text)}\n---")
        if not typer.confirm("Do you trust it?", err=True):
            raise AppError(f"{sources.address} was not trusted; nothing of it ran.")
    torch_hub.trust(repo)


def _fields(card: ModelCard, state: WeightsState) -> dict[str, Any]:
    return {
        "id": card.id,
        "where": state.where,
        "path": str(state.path) if state.path else None,
        "size_bytes": state.size_bytes,
        "origin": state.origin,
        "license": card.license,
    }


def _report(report: FileReport) -> dict[str, Any]:
    return {
        "file": str(report.path),
        "tensors": report.tensors,
        "params": report.parameters,
        "usable": report.is_usable,
        "fits": [
            {
                "model": fit.card.id,
                "num_classes": fit.num_classes,
                "classifier": fit.classifier,
                "fitting": fit.fitting,
                "expected": fit.expected,
                "missing": fit.missing,
                "unexpected": fit.unexpected,
                "other_shape": fit.other_shape,
                "left_out": fit.left_out,
            }
            for fit in report.fits
        ],
    }


def _place(state: WeightsState) -> str:
    if state.where == "none" and state.path is not None:
        return f"gone; it was at {state.path}"
    return str(state.path or state.origin)


def _mb(state: WeightsState) -> str:
    return "" if state.size_bytes is None else f"{state.size_bytes / 1e6:,.1f}"
