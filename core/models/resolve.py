"""From a model's name, as a person writes it, to its card: the catalog, the added models, files.

No torch at import; it is loaded where a file of weights has to be read.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from core.catalog import added, catalog
from core.catalog.added import FileCard
from core.catalog.card import ModelCard
from core.catalog.catalog import NAME_FORMS, Catalog
from core.errors import ModelError
from core.events import ShouldStop, never_stop
from core.models.weights import torch_hub

ADDED_FORMS = ("hf-hub:", "hub/", "file:")
"""How the names of models begin that are not in the shipped catalog."""


def resolve_model(text: str) -> ModelCard:
    """The card that `text` names: of the catalog (`Catalog.resolve`), or of an added model.

    Raises: ModelError with the candidates; for a file also as `core.models.weights.files.card_of`.
    """
    name = text.strip()
    if not name:
        raise ModelError("No model is named.", NAME_FORMS)
    if name.lower().startswith("run:"):
        raise ModelError(
            f"“{name}” is a run, not a pretrained model.",
            f"A run is opened by `classify`. {NAME_FORMS}",
        )
    if name.lower().startswith(ADDED_FORMS):
        return _added_card(name)
    return catalog.load().resolve(name)


def with_added() -> Catalog:
    """The shipped catalog and the added models (`core.catalog.added`), read again each time."""
    shipped = catalog.load()
    return replace(shipped, cards=(*shipped.cards, *added.cards()))


def add_file(
    path: Path, *, arch: str | None = None, should_stop: ShouldStop = never_stop
) -> FileCard:
    """Recognise a file of weights and put it on the list of added models.

    `arch` names the architecture where it is not to be looked for. Raises: WeightsError for a file
    that is refused, ModelError where nothing fits, Cancelled.
    """
    from core.models.weights import files  # loads torch

    card = files.card_of(Path(path), arch=arch, should_stop=should_stop)
    added.add(card)
    return card


def add_id(name: str) -> ModelCard:
    """Put `hf-hub:OWNER/NAME` or `hub/…:ENTRY` on the list, without loading anything of it.

    Raises: ModelError for a name of another form, and for files (see `add_file`).
    """
    if not name.strip().lower().startswith(("hub/", "hf-hub:")):
        raise ModelError(
            f"“{name}” cannot be added by its name.",
            "Name hf-hub:OWNER/NAME or hub/OWNER/REPO:ENTRY.",
        )
    card = resolve_model(name)
    added.add(card)
    return card


def _added_card(name: str) -> ModelCard:
    """The card of a hub id, repository or file; the list of added models is asked first."""
    kind = name.lower()
    if kind in ADDED_FORMS:
        raise ModelError(f"“{name}” is not the name of a model.", NAME_FORMS)
    if kind.startswith("file:"):
        return _file_card(added.file_id(name[len("file:") :]))
    card = torch_hub.card_of(name) if kind.startswith("hub/") else _hub_card(name)
    return added.find(card.id) or card


def _file_card(model_id: str) -> ModelCard:
    known = added.find(model_id)
    if isinstance(known, FileCard) and known.is_current:
        return known
    from core.models.weights import files  # loads torch: the file must be read to know what it is

    return files.card_of(Path(model_id.removeprefix(added.FILE_PREFIX)))


def _hub_card(name: str) -> ModelCard:
    repository = name.partition(":")[2]
    if not re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", repository):
        raise ModelError(f"“{name}” is not of the form hf-hub:OWNER/NAME.", NAME_FORMS)
    return ModelCard(
        id=f"hf-hub:{repository}",
        source="hf-hub",
        arch=f"hf-hub:{repository}",
        tag="",
        family="",
        num_classes=0,
        weights=f"hf-hub:{repository}",
    )
