"""The worked cases, ours and the given ones, through the player that ``make cases`` runs."""

from pathlib import Path
from typing import Final

import pytest

from tests.cases import Json, differences, load, text

HERE: Final = Path(__file__).parents[1]
FILES: Final = ("attribution-cases.json", "attribution-more-cases.json")
CASES: Final = [case for name in FILES for case in load(HERE / name)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: text(case["id"]))
def test_a_worked_case_comes_out_as_expected(case: Json):
    found = differences(case)
    assert not found, "\n".join(found)


def test_ids_are_unique():
    ids = [text(case["id"]) for case in CASES]
    assert len(ids) == len(set(ids))
