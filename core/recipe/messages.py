"""The allowed values of a recipe key in words, and the parser for tables typed as text."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo


def requirement(field: FieldInfo) -> str:
    """The allowed values of a field in words, to stand after “must be”: `a number from 0 to 1`,
    `one of adamw, adam or sgd`, `a whole number from 1 to 9 or empty`."""
    return " or ".join(dict.fromkeys(_kinds(field.annotation, field.metadata)))


def read_pairs(text: str) -> dict[str, str]:
    """Parse `layer4.1=0.5, conv1=0` into a dict. Raises: ValueError where it has another form."""
    pairs = [piece.rpartition("=") for piece in text.split(",") if piece.strip()]
    if any(not name.strip() for name, _, _ in pairs):
        raise ValueError("write it as NAME=NUMBER, NAME=NUMBER")
    return {name.strip(): number.strip() for name, _, number in pairs}


def _kinds(annotation: Any, rules: list[Any]) -> list[str]:
    """A phrase for each kind of value that the annotation allows."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [rule for info in parts[1:] for rule in getattr(info, "metadata", [info])]
        return _kinds(parts[0], [*rules, *inner])
    if origin is Literal:
        named = [str(part) for part in parts]
        return [named[0] if len(named) == 1 else f"one of {_listed(named)}"]
    if origin is dict:
        return [f"NAME = {_kinds(parts[1], [])[0]}, for each name"]
    if origin is tuple:
        return [f"a list, each {_kinds(parts[0], [])[0]}"]
    if parts:  # a union
        return [phrase for part in parts for phrase in _kinds(part, rules)]
    if annotation is type(None):
        return ["empty"]
    if annotation is bool:
        return ["true or false"]
    if annotation is int:
        return [f"a whole number{_range(rules)}"]
    return [f"a number{_range(rules)}" if annotation is float else "text"]


def _range(rules: list[Any]) -> str:
    limits = {}
    for rule in rules:
        for name in ("ge", "gt", "le", "lt"):
            if getattr(rule, name, None) is not None:
                limits[name] = _number(getattr(rule, name))
    low = f" from {limits['ge']}" if "ge" in limits else ""
    low = f" above {limits['gt']}" if "gt" in limits else low
    high = f" to {limits['le']}" if "le" in limits else ""
    high = f" to below {limits['lt']}" if "lt" in limits else high
    return f"{low}, up{high}" if high and "gt" in limits else low + high


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
