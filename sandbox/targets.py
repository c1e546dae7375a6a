"""The CSV list of who may accept an invite, as handed in: one column of user ids, the header may be left out."""

import re
from typing import Final

HEADER: Final = "user_id"
SNOWFLAKE: Final = re.compile(r"[0-9]{15,20}")


def read_targets(csv: bytes) -> tuple[list[int], list[str]]:
    """The ids, and what is wrong with the lines that are none."""
    lines = [line.strip() for line in csv.decode(errors="replace").splitlines()]
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line and line != HEADER]
    wrong = [f"Line {number}: invalid user ID format" for number, line in numbered if not SNOWFLAKE.fullmatch(line)]
    return [int(line) for _, line in numbered if SNOWFLAKE.fullmatch(line)], wrong
