"""The system libraries that Qt needs and pip cannot bring: which are missing, and who has them.

Qt aborts the process when its platform plugin does not load, so this is asked before Qt is
imported. Linux only; elsewhere Qt brings everything.
"""

from __future__ import annotations

import ctypes
import os
import sys

# library → Debian package. The first group is needed always, the second for a window on X11.
_ALWAYS = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
}
_X11 = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
}


def has_display() -> bool:
    """Whether a window can appear: always outside Linux, else a display or a chosen platform."""
    if sys.platform != "linux":
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def missing_packages() -> list[str]:
    """Debian packages of the libraries Qt would not find, in a fixed order."""
    if sys.platform != "linux":
        return []
    wanted = dict(_ALWAYS)
    platform = os.environ.get("QT_QPA_PLATFORM", "")
    if platform.startswith("xcb") or (not platform and os.environ.get("DISPLAY")):
        wanted |= _X11
    return [package for library, package in wanted.items() if not _loads(library)]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def advice(packages: list[str]) -> str:
    """One sentence and the command that mends it."""
    return (
        f"Qt cannot open a window: the system libraries {', '.join(packages)} are missing.\n"
        f"On Debian and Ubuntu:  sudo apt-get install {' '.join(packages)}"
    )


NO_DISPLAY = (
    "There is no display to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set).\n"
    "The same job on the command line:  graftwork train --sample digits\n"
    "or with your own images:           graftwork train FOLDER"
)
