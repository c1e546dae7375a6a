"""Python's cycle collector, told what this program is like.

Values (records, state, messages) are structs that the collector does not track: none of them can be part of a cycle.
What is left are actors, tasks and futures, a few dozen objects a guild, which live as long as the guild is here: a
full collection over 10,000 guilds stops the loop for a tenth of a second and finds nothing. So what stands when many
guilds have come back is set apart (``gc.freeze``), and the young are looked at in larger lots.
"""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 10_000
"""New objects between two collections of the youngest; Python's own 700 costs a busy loop a fifth of its time."""
MANY_GUILDS: Final = 500


def calm_collector() -> None:
    """For a process that serves many guilds; once, at its start."""
    _, middle, old = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS, middle, old)


def set_apart() -> None:
    """What is in memory now stays there: no later collection looks at it. It is freed as ever when it is dropped."""
    gc.freeze()
