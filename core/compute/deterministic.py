"""The switch for ways of computing that give the same bits each time, on and off again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from core.errors import RunError

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic(is_wanted: bool) -> Iterator[None]:
    """Switch torch to deterministic algorithms inside the block, for the whole process.

    Raises: RunError where the model needs an operation that has no such way.
    """
    if not is_wanted:
        yield
        return
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
        os.environ.get(_WORKSPACE),
    )
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    os.environ.setdefault(_WORKSPACE, ":4096:8")  # cuBLAS refuses to run without it
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise RunError(
            f"This model cannot be trained deterministically here: {str(error).split('.')[0]}.",
            "Set deterministic = false, or train on the CPU.",
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = before[2]
        if before[3] is None:
            os.environ.pop(_WORKSPACE, None)
