"""Makes the views of the two tables of phases in docs/architecture.md. ``python -m tests.diagram`` writes them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ledger.fates import FATES
from ledger.phases import MOVES, Phase

PAGE: Final = Path(__file__).parent.parent / "docs" / "architecture.md"


def diagram() -> str:
    """The table of moves as a Mermaid state diagram; ``stopping`` is left out where every phase has it."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> cold"]
    for phase in Phase:
        lines += [
            f"    {phase.value} --> {target.value}"
            for target in Phase
            if target in MOVES[phase] and (target is not Phase.STOPPING or phase is Phase.LIVE)
        ]
    return "\n".join([*lines, "    stopped --> [*]", "```", ""])


def fates() -> str:
    """The table of fates; messages, and phases, that do not differ in it share a row, and a column."""
    columns: dict[tuple[str, ...], list[str]] = {}
    rows: dict[tuple[str, ...], list[str]] = {}
    for phase in Phase:
        columns.setdefault(tuple(row[phase].value for row in FATES.values()), []).append(phase.value)
    for at, message in enumerate(FATES):
        rows.setdefault(tuple(column[at] for column in columns), []).append(f"`{message.__name__}`")
    head = ["message", *(", ".join(names) for names in columns.values())]
    lines = [head, ["---"] * len(head), *([", ".join(names), *row] for row, names in rows.items())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


VIEWS: Final[dict[str, Callable[[], str]]] = {"phases": diagram, "fates": fates}


def with_views(page: str) -> str:
    """The page with the views of now, each between its two marks."""
    for name, view in VIEWS.items():
        before, rest = page.split(f"<!-- {name}: made by `python -m tests.diagram` -->\n")
        _, after = rest.split(f"<!-- /{name} -->\n")
        page = f"{before}<!-- {name}: made by `python -m tests.diagram` -->\n{view()}<!-- /{name} -->\n{after}"
    return page


def main() -> int:
    PAGE.write_text(with_views(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
