"""Recognises split names in folders and tables, in all their usual spellings."""

from __future__ import annotations

import re

from core.data.dataset import SPLITS

_TRAIN, _VAL, _TEST = (SPLITS.index(name) for name in SPLITS)
_WORDS = {
    "train": _TRAIN, "training": _TRAIN, "trainval": _TRAIN,
    "val": _VAL, "valid": _VAL, "validation": _VAL, "validate": _VAL, "dev": _VAL, "eval": _VAL,
    "evaluation": _VAL, "development": _VAL,
    "test": _TEST, "testing": _TEST,
}  # fmt: skip
_AROUND = re.compile(r"[\s_.\-]+")
_TAIL = re.compile(r"(dataset|data|set|split|images|imgs|folder)?(19|20)?\d{0,2}$")


def split_of(word: str) -> int | None:
    """The split code of `Training`, `valid`, `test_set`, `val2017` …; None for any other word."""
    plain = _AROUND.sub("", word.lower())
    found = _WORDS.get(plain)
    if found is None and plain[:2] in _STARTS:
        found = _WORDS.get(_TAIL.sub("", plain, count=1))
    return found


_STARTS = frozenset(word[:2] for word in _WORDS)

_GENERIC = frozenset(
    {
        "image", "images", "img", "imgs", "picture", "pictures", "pics", "photo", "photos", "data",
        "files", "jpg", "jpeg", "jpegs", "jpegimages", "png", "pngs", "all", "raw",
    }
)  # fmt: skip


def is_generic(folder: str) -> bool:
    """Whether a folder's name says only that it has pictures (`images`), not what they show."""
    return _AROUND.sub("", folder.lower()) in _GENERIC
