"""From a failing run to a small one that fails alike: fewer lives, faults, guilds and happenings, as long as the same
invariant breaks.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from tests.simulation.dials import Dials

MAX_TRIES: Final = 60


def shrunk(dials: Dials, fails: Callable[[Dials], bool], tries: int = MAX_TRIES) -> Dials:
    """The smallest dials that were found to fail, after so many ``tries`` at most."""
    left = tries
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(dials):
            if left == 0:
                return dials
            left -= 1
            if fails(smaller):
                dials, progress = smaller, True
                break
    return dials


def _smaller(dials: Dials) -> Iterator[Dials]:
    """One step down each, the largest first."""
    replace = msgspec.structs.replace
    for lives in range(1, dials.lives):
        yield replace(dials, lives=lives)
    for guilds in sorted({1, dials.guilds // 2, dials.guilds - 1} & set(range(1, dials.guilds))):
        yield replace(dials, guilds=guilds)
    for happenings in sorted({dials.happenings // 4, dials.happenings // 2, dials.happenings * 3 // 4}):
        if 0 < happenings < dials.happenings:
            yield replace(dials, happenings=happenings)
    for kind in dials.faults:
        yield replace(dials, faults=tuple(each for each in dials.faults if each != kind))


def differences(dials: Dials, drawn: Dials) -> dict[str, object]:
    """What was turned down, by its dial."""
    both = msgspec.structs.asdict(dials), msgspec.structs.asdict(drawn)
    return {name: value for name, value in both[0].items() if value != both[1][name]}
