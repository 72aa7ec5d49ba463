"""Graftwork: no argument or a path opens the window, a subcommand runs the command line."""

import sys


def main() -> None:
    # Imports stay inside: loader processes import this file again, and the window must be
    # painted before anything heavy is loaded.
    arguments = sys.argv[1:]
    if not arguments or arguments[0] == "gui":
        sys.exit(open_window(arguments[1:]))
    from core.cli.app import is_command
    from core.cli.app import main as run_command

    if not is_command(arguments[0]):
        sys.exit(open_window(arguments))
    sys.exit(run_command(arguments))


def open_window(arguments: list[str]) -> int:
    from gui.app import main as run_window

    return run_window(arguments)


if __name__ == "__main__":
    main()
