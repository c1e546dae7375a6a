"""Makes the diagram of the phases in docs/architecture.md from the table. ``python -m tests.diagram`` writes it."""

import sys
from pathlib import Path
from typing import Final

from ledger.phases import MOVES, Phase

PAGE: Final = Path(__file__).parent.parent / "docs" / "architecture.md"
BEGIN: Final = "<!-- phases: made by `python -m tests.diagram` -->\n"
END: Final = "<!-- /phases -->\n"


def diagram() -> str:
    """The table as a Mermaid state diagram; ``stopping`` is left out where every phase has it."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> cold"]
    for phase in Phase:
        lines += [
            f"    {phase.value} --> {target.value}"
            for target in Phase
            if target in MOVES[phase] and (target is not Phase.STOPPING or phase is Phase.LIVE)
        ]
    return "\n".join([*lines, "    stopped --> [*]", "```", ""])


def with_diagram(page: str) -> str:
    """The page with the diagram of now."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + diagram() + END + after


def main() -> int:
    PAGE.write_text(with_diagram(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
