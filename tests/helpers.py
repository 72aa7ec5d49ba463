"""What tests in many rooms share. Imports neither torch nor Qt."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
