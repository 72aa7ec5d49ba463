"""What keeps a window from opening is said in a sentence with the command that mends it."""

from __future__ import annotations

from core.system.libraries import find_obstacle


def _all_there(library: str) -> bool:
    return True


def test_a_display_and_every_library_make_no_obstacle() -> None:
    assert find_obstacle({"DISPLAY": ":0"}, platform="linux", can_load=_all_there) == ""
    assert find_obstacle({}, platform="win32") == ""
    assert find_obstacle({}, platform="darwin") == ""


def test_no_display_names_the_same_job_on_the_command_line() -> None:
    said = find_obstacle({}, platform="linux", can_load=_all_there)
    assert "no display" in said
    assert "graftwork train --sample digits" in said
    assert (
        find_obstacle({"QT_QPA_PLATFORM": "offscreen"}, platform="linux", can_load=_all_there) == ""
    )


def test_missing_libraries_are_named_with_the_command_that_installs_them() -> None:
    def can_load(library: str) -> bool:
        return library not in ("libxcb-cursor.so.0", "libEGL.so.1")

    said = find_obstacle({"DISPLAY": ":0"}, platform="linux", can_load=can_load)
    assert said.endswith("sudo apt-get install libegl1 libxcb-cursor0")
    wayland = find_obstacle({"WAYLAND_DISPLAY": "w"}, platform="linux", can_load=can_load)
    assert wayland.endswith("sudo apt-get install libegl1")


def test_offscreen_needs_no_library_of_x11_plugins() -> None:
    said = find_obstacle(
        {"QT_QPA_PLATFORM": "offscreen"},
        platform="linux",
        can_load=lambda library: "xcb" not in library,
    )
    assert said == ""
