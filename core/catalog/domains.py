"""Backbones pretrained on one domain's images, for advice that says "use weights of the domain".

The list is in `resources/domain_backbones.toml`: short, and only what timm loads and what states
its licence. Loads no torch.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass

from core.errors import ModelError
from core.system import paths


@dataclass(frozen=True, slots=True)
class DomainBackbone:
    """One set of weights; `id` is a model id that the catalog resolves."""

    id: str
    domains: tuple[str, ...]
    """The most general first."""
    pretraining: str
    license: str
    restriction: str
    """What the licence asks for or forbids, in words; empty: nothing unusual."""
    source: str
    """The page that says all this."""
    why: str
    input_size: tuple[int, int] | None = None
    """Height and width; None where the page does not say: the weights do, when they are here."""

    @property
    def is_non_commercial(self) -> bool:
        """Whether the licence forbids commercial use."""
        return "non-commercial" in self.restriction


def domain_backbones(domain: str | None = None) -> tuple[DomainBackbone, ...]:
    """The backbones of a domain such as `medical`, or all of them.

    Raises: ModelError for a domain without any, naming the ones there are.
    """
    if domain is None:
        return _all()
    wanted = domain.strip().lower()
    found = tuple(backbone for backbone in _all() if wanted in backbone.domains)
    if not found:
        raise ModelError(
            f"No backbones are known for the domain “{domain}”.",
            f"Domains: {', '.join(domain_names())}.",
        )
    return found


def domain_names() -> tuple[str, ...]:
    """The name of every domain that has a backbone, in the order of the list."""
    return tuple(dict.fromkeys(name for backbone in _all() for name in backbone.domains))


def examples() -> str:
    """A phrase that names one backbone for each general domain, for use in advice."""
    first: dict[str, DomainBackbone] = {}
    for backbone in _all():
        first.setdefault(backbone.domains[0], backbone)
    return ", ".join(
        f"{domain} images {backbone.id} ({backbone.license})" for domain, backbone in first.items()
    )


@functools.cache
def _all() -> tuple[DomainBackbone, ...]:
    document = tomllib.loads(paths.resource("domain_backbones.toml").read_text(encoding="utf-8"))
    return tuple(_backbone(entry) for entry in document["backbone"])


def _backbone(entry: dict[str, object]) -> DomainBackbone:
    lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    return DomainBackbone(**{**entry, **lists})  # type: ignore[arg-type]
