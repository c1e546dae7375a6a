"""The worked cases, ours and the given ones, through the player that ``make cases`` runs.

``OPEN`` names what does not hold yet, and for want of what; a case that holds has to be taken from it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.cases import Json, differences, load, text

HERE: Final = Path(__file__).parents[1]
FILES: Final = ("attribution-cases.json", "attribution-more-cases.json")
OPEN: Final[Mapping[str, str]] = {
    "S07": "second_witness",
    "S10": "audit",
    "S14": "audit",
    "S16": "audit",
    "S17": "audit",
    "S26": "second_witness",
    "S44": "approval",
    "S56": "second_witness",
    "S58": "second_witness",
    "S61": "second_witness",
    "S62": "second_witness",
    "S67": "review, vip",
}
CASES: Final = [case for name in FILES for case in load(HERE / name)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: text(case["id"]))
def test_a_worked_case_comes_out_as_expected(case: Json):
    found = differences(case)
    if text(case["id"]) in OPEN:
        assert found, "it holds now: take it from OPEN"
    else:
        assert not found, "\n".join(found)


def test_ids_are_unique_and_what_is_open_exists():
    ids = [text(case["id"]) for case in CASES]
    assert len(ids) == len(set(ids))
    assert set(ids) >= OPEN.keys()
