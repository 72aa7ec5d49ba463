"""The command `features`: feature vectors or maps of pictures, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from core.cli.arguments import Json, picture_paths
from core.cli.console import answer_console, messages, print_json, progress, stop_on_interrupt


def features(
    model: Annotated[str, typer.Argument(help="Model id, folder or name of a run, or file:PATH.")],
    pictures: Annotated[list[str], typer.Argument(help="Pictures, folders or patterns.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write: .npz or .csv.")],
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer", help="Take the output of this layer; `graftwork layers` lists the names."
        ),
    ] = None,
    spatial: Annotated[
        bool,
        typer.Option(
            "--spatial", help="Write feature maps over the picture in place of one vector."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Compute features of pictures with a model's backbone, or the output of one of its layers."""
    from core.evaluation.feature_export import open_model, write_features

    if layer is not None and spatial:
        raise typer.BadParameter("Give --layer or --spatial, not both.")
    paths = picture_paths(pictures)
    built = open_model(model)
    with progress() as on_progress, stop_on_interrupt() as should_stop:
        written = write_features(
            built,
            paths,
            out,
            layer=layer,
            spatial=spatial,
            force=force,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    if as_json:
        print_json(
            {
                "file": str(written.path),
                "model": built.card.id,
                "files": written.files,
                "shape": list(written.shape),
                "unreadable": written.unreadable,
            }
        )
        return
    for reason in written.unreadable.values():
        messages.print(f"[yellow]Left out:[/] {escape(reason)}", soft_wrap=True)
    shape = "×".join(map(str, written.shape))
    answer_console().print(
        f"{escape(str(written.path))}: {written.files:,} pictures, {shape} numbers each.",
        soft_wrap=True,
    )
