"""How the program ends: its exit codes. Imports nothing, since `healthcheck` does without most of the program."""

from typing import Final

OK: Final = 0
WRONG: Final = 1
"""What was asked about is not as it should be."""
USAGE: Final = 2
AWAY: Final = 69
"""Something that is needed is away: a disk, a lock, an address. Starting again later may help."""
CONFIGURATION: Final = 78
"""Only the operator can help; starting again does not."""
INTERRUPTED: Final = 130
"""Ctrl-C, as a shell tells it."""
