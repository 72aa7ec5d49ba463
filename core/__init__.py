"""Graftwork's engine: everything that needs no Qt.

Usable from a script, the command line and under torchrun. Never imports gui, PySide6 or pyqtgraph.
"""

import os

# Read once, when torch loads its OpenMP: threads that wait for each other sleep instead of
# spinning. On a quiet machine that costs nothing measurable; beside another busy program spinning
# made the same fit of a head take up to 30 s instead of 1 s, and it robs the window of its core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
