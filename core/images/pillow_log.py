"""Stops Pillow and its libraries from writing to the terminal about unusual files.

A folder of old TIFFs would write hundreds of lines; what matters about a file becomes a
`DecodeError`. Set once for the process, because a setting per call would not be thread-safe.
"""

from __future__ import annotations

import ctypes
import logging
import warnings

from PIL import _imaging


def silence_pillow() -> None:
    """Mute Pillow's warnings, its log if no handler is set, and libtiff's messages."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    _silence_libtiff()


def _silence_libtiff() -> None:
    """Remove libtiff's message handlers, which write to file descriptor 2.

    The symbols are looked up through Pillow's own extension, so that Pillow's libtiff is the one
    that changes. If it is linked statically (Windows) or missing, nothing is done.
    """
    try:
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)
    except (OSError, AttributeError):
        return
