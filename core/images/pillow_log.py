"""Keeps Pillow and the libraries under it from writing to the terminal about odd files.

What matters about a file becomes a `DecodeError`; a folder of old TIFFs would otherwise write
hundreds of lines. Set once, for the process, because anything per call is not thread-safe.
"""

from __future__ import annotations

import ctypes
import logging
import warnings

from PIL import _imaging


def quieten_pillow() -> None:
    """Mutes Pillow's warnings, its log where nobody listens to logs, and libtiff's messages."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    _quieten_libtiff()


def _quieten_libtiff() -> None:
    """libtiff writes to file descriptor 2 itself, unless it is told to call nobody.

    The symbols are looked up through Pillow's own extension, so that it is its libtiff that is
    told. Where that one is linked statically (Windows) or left out, nothing is done.
    """
    try:
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)
    except (OSError, AttributeError):
        return
