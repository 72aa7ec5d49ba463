"""`python -m core.cli`: the command line for child processes and torchrun."""

import sys

from core.cli.app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
