"""The tool that plants bugs plants what it says, the same for the same seed, and knows a bug that is noticed."""

import ast

import pytest

from ledger.fetching import RETRY_S, retry_after_s
from tests.mutation.__main__ import chosen
from tests.mutation.operators import mutants
from tests.mutation.running import exchanged, path_of
from tests.mutation.targets import GROUPS

SOURCE = '''
LIMIT_S: int = 10

def within(at_s: int | None, end_s: int, low: bool = False) -> bool:
    """Whether 3 > 2."""
    assert at_s is not None, "never"
    if not low and at_s < end_s:
        return min(at_s, end_s) + 1 > LIMIT_S
    raise ValueError("no")
'''


def changed() -> dict[str, list[str]]:
    lines = SOURCE.splitlines()
    found: dict[str, list[str]] = {}
    for each in mutants("m", SOURCE):
        after = each.applied(SOURCE).splitlines()
        found.setdefault(each.operator, []).append(
            next(b.strip() for a, b in zip(lines, after, strict=True) if a != b)
        )
    return found


@pytest.mark.parametrize(
    ("operator", "line"),
    [
        ("number", "LIMIT_S: int = (10 + 1)"),
        ("constant", "def within(at_s: int | None, end_s: int, low: bool = True) -> bool:"),
        ("not", "if (low) and at_s < end_s:"),
        ("comparison", "if not low and (at_s <= end_s):"),
        ("boolean", "if (not low or at_s < end_s):"),
        ("operand", "if (at_s < end_s):"),
        ("condition", "if False:"),
        ("function", "return max(at_s, end_s) + 1 > LIMIT_S"),
        ("arithmetic", "return (min(at_s, end_s) - 1) > LIMIT_S"),
        ("result", "return None"),
        ("statement", "pass"),
    ],
)
def test_each_kind_of_small_bug_is_planted(operator: str, line: str):
    assert line in changed()[operator]


def test_what_speaks_to_people_only_is_left_alone():
    for lines in changed().values():
        assert not [line for line in lines if "never" in line or "Whether" in line or '"no"' in line]


@pytest.mark.parametrize("module", [module for group in GROUPS for module in group.modules])
def test_every_mutant_of_ours_is_a_program_and_a_different_one(module: str):
    source = path_of(module).read_text(encoding="utf-8")
    found = mutants(module, source)
    before = ast.dump(ast.parse(source))
    assert len({each.id for each in found}) == len(found)
    for each in found[::50]:
        assert ast.dump(ast.parse(each.applied(source))) != before


def test_the_same_seed_chooses_the_same_mutants_and_another_seed_others():
    first = [each.mutant.id for each in chosen(1, 40)]
    assert first == [each.mutant.id for each in chosen(1, 40)]
    assert first != [each.mutant.id for each in chosen(2, 40)]


def test_a_functions_code_is_exchanged_wherever_it_was_imported_and_back_again():
    source = path_of("ledger.fetching").read_text(encoding="utf-8")
    mutant = next(each for each in mutants("ledger.fetching", source) if each.where == "retry_after_s")
    assert not exchanged("ledger.fetching", source), "nothing to exchange"
    try:
        assert exchanged("ledger.fetching", mutant.applied(source))
        assert retry_after_s(1) != RETRY_S[0]
    finally:
        assert exchanged("ledger.fetching", source)
    assert retry_after_s(1) == RETRY_S[0]
