"""The docs say what the code does."""

from tests.diagram import PAGE, with_diagram


def test_the_diagram_of_the_phases_is_the_table_of_now():
    page = PAGE.read_text(encoding="utf-8")
    assert with_diagram(page) == page, "stale: run python -m tests.diagram"
