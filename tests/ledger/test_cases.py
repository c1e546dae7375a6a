"""The worked cases, ours and the given ones, through the player that ``make cases`` runs."""

import json
from pathlib import Path
from typing import Final

import pytest

from tests.cases import Json, differences, load, main, text

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


def test_a_case_that_cannot_be_played_fails_with_what_is_wrong_and_the_others_are_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    good = CASES[0]
    step: Json = {"t": 0.5, "gw": "GUILD_AUDIT_LOG_ENTRY_CREATE", "action": 28, "by": "S1"}
    odd = good | {"id": "odd", "timeline": [step]}
    file = tmp_path / "cases.json"
    file.write_text(json.dumps({"scenarios": [odd, {}, 3, good]}), encoding="utf-8")
    assert main(str(file)) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"FAILED  odd  {good['title']}",
        "          'user' is missing",
        f"          in {json.dumps(step)}",
        "FAILED  ?  ?",
        "          'guild' is missing",
        "FAILED  ?  ?",
        "          TypeError: 'int' object is not subscriptable",
        f"passed  {good['id']}  {good['title']}",
        "1 passed, 3 failed",
    ]


@pytest.mark.parametrize(
    ("held", "why"), [(None, "No such file"), ("not JSON", "JSONDecodeError"), ("[]", "no object"), ("{}", "missing")]
)
def test_a_file_that_holds_no_cases_is_said_in_a_sentence(
    held: str | None, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "cases.json"
    if held is not None:
        file.write_text(held, encoding="utf-8")
    assert main(str(file)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{file} holds no cases: ")
    assert why in line
