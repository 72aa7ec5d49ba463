"""Graftwork: no argument opens the window, a subcommand runs the command line."""

import sys


def main() -> None:
    # Imports stay inside: loader processes import this file again, and the window must be
    # painted before anything heavy is loaded.
    from core.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
