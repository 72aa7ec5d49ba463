"""What a newcomer should know of a family of models: when it came, its ideas, what it is for.

The prose is in `resources/families.toml`. A family without an entry is not described: nothing is
better than a guess.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass

from core.system import paths


@dataclass(frozen=True, slots=True)
class FamilyText:
    """`year` is that of the paper or of the first publication."""

    year: int
    ideas: str
    use: str


def family_text(family: str) -> FamilyText | None:
    """What there is to say of a family of `core.catalog.families`, if anything."""
    return described_families().get(family)


@functools.cache
def described_families() -> dict[str, FamilyText]:
    """All texts by family, read once per process."""
    text = paths.resource("families.toml").read_text(encoding="utf-8")
    return {family: FamilyText(**entry) for family, entry in tomllib.loads(text).items()}
