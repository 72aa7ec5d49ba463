"""Graftwork's engine: everything that needs no Qt.

Usable from a script, the command line and under torchrun. Never imports gui, PySide6 or pyqtgraph.
"""
