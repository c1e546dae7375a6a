"""Adding up joins: only what is proven counts, what is open is a range, the order of pages makes no difference."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.gateway.tally import PROVEN, UNPROVEN, By, Tally, Total
from ledger.answers import CodeReport
from ledger.ids import InviteCode, UserId
from ledger.records import Status
from ledger.state import Assignment
from persistence.lists import JoinRow
from tests.actors.gateway.town import row

ANNA, BORIS, CLEO = UserId("5"), UserId("6"), UserId("7")
A, B = InviteCode("A"), InviteCode("B")


def code_of(code: InviteCode, inviter: UserId | None, *assignments: Assignment) -> CodeReport:
    return CodeReport(code=code, listed=True, uses=0, inviter=inviter, assignments=assignments)


def tally(rows: Sequence[JoinRow], *codes: CodeReport, by: By = By.STAFF, since_us: int = 0) -> Tally:
    made = Tally(codes, by, since_us)
    made.add(rows)
    return made


PEOPLE = st.sampled_from([ANNA, BORIS, CLEO, None])
ROWS = st.lists(
    st.builds(
        row,
        seq=st.just(0),
        status=st.sampled_from(Status),
        staff=PEOPLE,
        inviter=PEOPLE,
        left_us=st.sampled_from([0, -1, 5]),
        candidates=st.lists(st.sampled_from(["A", "B", "NI"]), unique=True).map(tuple),
        user=st.sampled_from([ANNA, UserId("99")]),
        opened_us=st.integers(1, 20),
    ),
    max_size=30,
)


def test_a_proven_join_counts_for_whom_the_code_stood_and_a_leave_is_taken_off():
    rows = [row(1, staff=ANNA), row(2, staff=ANNA, left_us=9), row(3, staff=ANNA, left_us=-1)]
    assert tally(rows).total(ANNA) == Total(joined=3, left=2)
    assert tally(rows).total(ANNA).net == 1


def test_who_made_the_invite_is_another_question():
    join = row(1, staff=ANNA, inviter=BORIS)
    assert tally([join], by=By.INVITER).total(BORIS).joined == 1
    assert tally([join], by=By.INVITER).total(ANNA).joined == 0


def test_a_candidate_is_never_counted_as_a_fact():
    for status in set(Status) - PROVEN:
        made = tally([row(1, status, staff=ANNA, inviter=ANNA, candidates=(A,))], code_of(A, ANNA))
        assert made.total(ANNA).joined == 0
        assert made.ranking() == []


def test_an_open_case_is_possible_for_everybody_behind_its_codes_once_each():
    join = row(1, Status.CANDIDATES, candidates=("A", "B", "NI", "VANITY"))
    made = tally([join], code_of(A, ANNA), code_of(B, ANNA))
    assert made.total(ANNA) == Total(possible=1)
    assert made.open == 1


def test_a_code_stands_for_who_held_it_when_the_member_row():
    report = code_of(A, ANNA, Assignment(1, BORIS, 10), Assignment(2, CLEO, 20))
    rows = [row(at, Status.CANDIDATES, candidates=("A",)) for at in (9, 10, 19, 20)]
    made = tally(rows, report)
    assert [made.total(each).possible for each in (ANNA, BORIS, CLEO)] == [1, 2, 1]


def test_where_only_the_staff_member_is_proven_the_inviter_is_open():
    join = row(1, Status.INVITER_CERTAIN, staff=CLEO, candidates=("A", "B"))
    made = tally([join], code_of(A, ANNA), code_of(B, BORIS), by=By.INVITER)
    assert (made.total(ANNA).possible, made.total(BORIS).possible, made.open) == (1, 1, 1)
    assert tally([join]).total(CLEO) == Total(joined=1)


def test_nobody_brings_himself():
    join = row(1, staff=ANNA, user=ANNA)
    assert tally([join]).total(ANNA) == Total()
    assert tally([row(1, Status.LIKELY, user=ANNA, candidates=("A",))], code_of(A, ANNA)).total(ANNA) == Total()


def test_a_bot_is_not_ranked_for_the_invites_it_made_also_those_that_are_no_more_known():
    codes = (msgspec.structs.replace(code_of(A, None, Assignment(1, CLEO, 1)), bot=BORIS), code_of(B, ANNA))
    rows = [
        row(1, inviter=BORIS, staff=CLEO, code="A"),
        row(2, inviter=BORIS, staff=CLEO, code="gone"),
        row(3, inviter=ANNA, code="B"),
        row(4, Status.CANDIDATES, candidates=("A", "B")),
    ]
    made = tally(rows, *codes, by=By.INVITER)
    assert made.ranking() == [(ANNA, Total(joined=1, possible=1))]
    assert (made.joins, made.open, made.total(BORIS)) == (4, 1, Total())
    assert tally(rows, *codes).total(CLEO).joined == 2


@given(ROWS, st.sampled_from(By), st.integers(0, 20))
def test_the_figures_are_those_that_a_count_of_the_rows_one_by_one_gives(rows: list[JoinRow], by: By, since_us: int):
    codes = (code_of(A, ANNA), code_of(B, BORIS, Assignment(1, CLEO, 10)))
    made = tally(rows, *codes, by=by, since_us=since_us)
    counted = [each for each in rows if each.opened_us >= since_us]

    def behind(each: JoinRow) -> set[UserId | None]:
        b_stands_for = CLEO if by is By.STAFF and each.opened_us >= 10 else BORIS
        return {{"A": ANNA, "B": b_stands_for}.get(code) for code in each.candidates}

    for person in (ANNA, BORIS, CLEO):
        theirs = [each for each in counted if each.user != person]
        named = [each for each in theirs if (each.staff if by is By.STAFF else each.inviter) == person]
        proven = [each for each in named if each.status in PROVEN]
        possible = [each for each in theirs if each.status in UNPROVEN and (each in named or person in behind(each))]
        shown = made.total(person)
        assert (shown.joined, shown.left) == (len(proven), sum(each.left_us != 0 for each in proven))
        unsure = [each for each in theirs if each.status is Status.INVITER_CERTAIN and _names_nobody(each, by)]
        assert shown.possible == len(possible) + sum(person in behind(each) for each in unsure)
    assert made.joins == len(counted)


def _names_nobody(each: JoinRow, by: By) -> bool:
    """Proven by its status, but not for the question that is asked."""
    return (each.staff if by is By.STAFF else each.inviter) is None


def test_earlier_joins_than_the_window_do_not_count():
    made = tally([row(1, staff=ANNA), row(2, staff=ANNA)], since_us=2)
    assert (made.joins, made.total(ANNA).joined) == (1, 1)


def test_the_ranking_is_by_those_here_then_by_all_then_by_the_lower_id():
    rows = [
        *(row(at, staff=UserId("10")) for at in (1, 2)),
        *(row(at, staff=UserId("9")) for at in (3, 4)),
        *(row(at, staff=BORIS, left_us=int(at == 7)) for at in (5, 6, 7)),
        *(row(at, staff=ANNA) for at in (8, 9, 10)),
    ]
    assert [user for user, _ in tally(rows).ranking()] == [ANNA, BORIS, "9", "10"]


@given(ROWS, st.data())
def test_pages_of_any_size_in_any_order_add_up_to_the_same(rows: list[JoinRow], data: st.DataObject):
    cut = data.draw(st.integers(0, len(rows)))
    shuffled = data.draw(st.permutations(rows))
    codes = (code_of(A, ANNA), code_of(B, BORIS, Assignment(1, CLEO, 10)))
    paged = Tally(codes, By.STAFF)
    paged.add(shuffled[:cut])
    paged.add(shuffled[cut:])
    whole = tally(rows, *codes)
    assert paged.ranking() == whole.ranking()
    assert (paged.joins, paged.open) == (whole.joins, whole.open)


@given(ROWS)
def test_figures_are_consistent(rows: list[JoinRow]):
    made = tally(rows, code_of(A, ANNA), code_of(B, BORIS))
    totals = [made.total(each) for each in (ANNA, BORIS, CLEO)]
    assert sum(each.joined for each in totals) == sum(
        each.status in PROVEN and each.staff is not None and each.staff != each.user for each in rows
    )
    for total in totals:
        assert 0 <= total.left <= total.joined
        assert total.possible <= made.open <= made.joins == len(rows)
    assert not PROVEN & UNPROVEN
