"""``python -m tests.bench.weighed WORDS``: the program; at its end, the MiB that it needed at most, as the last word.

Of the process itself: what wait(2) tells of a child counts also what its parent held when it was made.
"""

import sys

import supervisor
from tests.bench.ground import of_process

KIB_A_MIB = 1_024


def peak_mib() -> float:
    line = next(line for line in of_process("status").splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / KIB_A_MIB


if __name__ == "__main__":
    try:
        supervisor.main()
    finally:
        sys.stdout.write(f"{peak_mib():.1f}\n")
