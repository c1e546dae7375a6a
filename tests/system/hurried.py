"""The bot as ``python -m supervisor`` starts it, for whom time has a tenth of its length.

What is waited for beside the counters (the audit log, the second witness), until a burst has settled, and by how much
clocks may differ, is scaled; nothing that is decided changes. A breaker that is open stays so for an hour, so that a
test can see it.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Final

import supervisor

TENTHS: Final[Mapping[str, object]] = {
    "SETTLED_US": 500_000,
    "HEARD_OF_US": 2_000_000,
    "TOGETHER_US": 500_000,
    "SKEW_US": 200_000,
    "SWEEP_PAUSE_US": 200_000,
    "SETTLE_AFTER_S": (0.15, 0.5),
    "LATE_JOIN_S": 0.2,
    "LAGGING_US": 490_000,
    "OPEN_FOR_US": 3_000_000,
    "AGAIN_US": 3_000_000,
    "FAILED_AGAIN_US": (100_000, 100_000, 3_600_000_000, 3_600_000_000),
}


def hurry(put: Callable[[object, str, object], None]) -> None:
    """Puts these in the place of the constants, by ``setattr`` or one that can be undone."""
    for name, module in tuple(sys.modules.items()):
        for constant, value in TENTHS.items() if name.startswith("ledger.") else ():
            if hasattr(module, constant):
                put(module, constant, value)


if __name__ == "__main__":
    hurry(setattr)
    supervisor.main()
