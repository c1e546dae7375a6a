"""The docs say what the code does."""

from tests.diagram import PAGE, with_views


def test_the_views_of_the_tables_of_phases_are_those_of_now():
    page = PAGE.read_text(encoding="utf-8")
    assert with_views(page) == page, "stale: run python -m tests.diagram"
