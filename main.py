"""Graftwork: no argument opens the window, a subcommand runs the command line."""

import sys


def main() -> None:
    # Imports stay inside: loader processes import this file again, and the window must be
    # painted before anything heavy is loaded.
    arguments = sys.argv[1:]
    if not arguments or arguments[0] == "gui":
        from gui.app import main as open_window

        sys.exit(open_window(arguments[1:]))
    from core.cli import main as run_command

    sys.exit(run_command(arguments))


if __name__ == "__main__":
    main()
