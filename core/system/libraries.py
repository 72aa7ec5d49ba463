"""Checks whether Qt can open a window: a display, and system libraries that pip cannot install.

Called before Qt is loaded, because Qt aborts the process when its platform plugin does not load.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

# Library → package of Debian and Ubuntu. What PySide6's own libraries need of the system (readelf
# -d on libQt6Gui, libQt6Core, libQt6DBus and the platform plugins); the packages bring the rest.
_ALWAYS: Mapping[str, str] = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libX11.so.6": "libx11-6",
}
_XCB: Mapping[str, str] = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libX11-xcb.so.1": "libx11-xcb1",
}
_WAYLAND: Mapping[str, str] = {
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
}

_SAME_JOB = "graftwork train --sample digits"


def find_obstacle(
    environment: Mapping[str, str] = os.environ,
    *,
    platform: str = sys.platform,
    can_load: Callable[[str], bool] | None = None,
) -> str:
    """A sentence that says why no window can open here, and what to do; "" if one can.

    `can_load` says whether a shared library can be loaded (tests replace it).
    """
    if platform != "linux":
        return ""
    chosen = environment.get("QT_QPA_PLATFORM", "")
    if not chosen and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return (
            "There is no display to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set). "
            f"The same job on the command line: {_SAME_JOB}{_where_it_is()}"
        )
    missing = find_missing_packages(_libraries(environment, chosen), can_load or _can_load)
    if not missing:
        return ""
    names = " ".join(missing)
    plural = "s" if len(missing) > 1 else ""
    return (
        f"The window needs {len(missing)} system package{plural} that {'are' if plural else 'is'} "
        f"not installed: {', '.join(missing)}. On Debian and Ubuntu: sudo apt-get install {names}"
    )


def _where_it_is() -> str:
    """` (PATH …)` with the full command if a shell would not find it, as after `make run`."""
    command = Path(sys.executable).with_name("graftwork")
    if shutil.which("graftwork") or not command.exists():
        return ""
    with suppress(ValueError):
        command = command.relative_to(Path.cwd())
    return f" ({command} train --sample digits)"


def find_missing_packages(
    libraries: Mapping[str, str], can_load: Callable[[str], bool]
) -> list[str]:
    """The packages of those `libraries` (library → package) that cannot be loaded."""
    return [package for library, package in libraries.items() if not can_load(library)]


def _libraries(environment: Mapping[str, str], chosen: str) -> dict[str, str]:
    """Library → package for the platform plugin that Qt will load."""
    libraries = dict(_ALWAYS)
    name = chosen.partition(":")[0]
    if name == "xcb" or (not name and not environment.get("WAYLAND_DISPLAY")):
        libraries.update(_XCB)
    elif name.startswith("wayland") or not name:
        libraries.update(_WAYLAND)
    return libraries


def _can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
