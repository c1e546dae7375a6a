"""Who is right: ours and the ways of the field (``trackers.py``) on the same recorded worlds.

A claim is *right* where it names the person who made the invite (the vanity URL is its own person); ours must also
name the right code where it names one. What credits by itself is a claim: ``certain``, ``confirmed``,
``inviter_certain``, and ``reported``, unless the owner says no. ``likely`` is none, and is counted apart. Joins that
were never heard of are open.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final, Literal, TypeAlias

import msgspec
from rich.table import Table

from ledger.credits import CREDITING
from ledger.records import Status
from ledger.state import Period
from tests.bench.figures import Row, Theme
from tests.bench.ground import Ground
from tests.bench.trackers import TRACKERS, Claim, Tracker
from tests.ledger.listeners import Auditing, Hearing, Ours, Stage
from tests.ledger.recordings import Lags, Recording, Used, record

Outcome: TypeAlias = Literal["right", "wrong", "open"]
Column: TypeAlias = tuple[int, Lags]
"""Joins a minute, and whether Discord's list lags."""

RATES: Final = (1, 6, 20, 60)
COLUMNS: Final[tuple[Column, ...]] = (*((rate, "never") for rate in RATES), (6, "always"))
CLAIMS: Final = CREDITING | {Status.REPORTED}
WORLDS: Final = 5
JOINS: Final = 200


class Tally(msgspec.Struct, frozen=True):
    """What came of the joins of some worlds. ``likely``: of the open ones, how many, and how many of them right."""

    right: int = 0
    wrong: int = 0
    open: int = 0
    likely: int = 0
    likely_right: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(mine + theirs for mine, theirs in zip(_fields(self), _fields(other), strict=True)))


def _fields(tally: Tally) -> Sequence[int]:
    return msgspec.structs.astuple(tally)


def tally_of_ours(recording: Recording, ours: Callable[[Stage], Ours] = Ours) -> Tally:
    """Ours, after the story."""
    stage = Stage(recording)
    player = ours(stage)
    stage.play(player)
    verdicts = [(used, player.verdict(join)) for join, used in recording.truth.items()]
    likely = [_is_right(each, used) for used, each in verdicts if each and each.status is Status.LIKELY]
    outcomes = Counter(_judge_ours(each, used) for used, each in verdicts)
    return Tally(outcomes["right"], outcomes["wrong"], outcomes["open"], len(likely), sum(likely))


def tally_of(recording: Recording, tracker: type[Tracker]) -> Tally:
    """One of the field, after the story."""
    stage = Stage(recording)
    player = tracker(stage)
    stage.play(player)
    outcomes = Counter(_judge(player.claims.get(join), used) for join, used in recording.truth.items())
    return Tally(outcomes["right"], outcomes["wrong"], outcomes["open"])


def _judge_ours(period: Period | None, used: Used) -> Outcome:
    if period is None or period.status not in CLAIMS:
        return "open"
    return "right" if _is_right(period, used) else "wrong"


def _is_right(period: Period, used: Used) -> bool:
    return period.code in (None, used.code) and period.staff == used.inviter


def _judge(claim: Claim | None, used: Used) -> Outcome:
    if claim is None:
        return "open"
    person = claim.inviter == used.inviter and used.inviter is not None
    return "right" if person or claim.code == used.code else "wrong"


# The table

OURS: Final[tuple[tuple[str, str, Callable[[Stage], Ours]], ...]] = (
    ("ours", "by counters alone", Ours),
    ("ours, audit log", "which invites were used up, too", Auditing),
    ("ours, audit, witness", "and what the member search says", Hearing),
)


def theme(_ground: Ground) -> Theme:
    return Theme(title="Who is right", rows=(_wrong(), _right()), details=details)


def _wrong() -> Row:
    return Row(
        name="accuracy/wrong",
        what=f"joins named wrongly of {len(RATES) * WORLDS * JOINS:,} and more, 1 to 60 a minute",
        unit="",
        ours=lambda: _figure(float(max(_whole(tallies).wrong for tallies in _ours().values()))),
        peer=lambda: _figure(float(min(_whole(tallies).wrong for tallies in _field().values()))),
        beside="the field's fewest",
        wanted=0,
        absolute=True,
        at_most=True,
        rounds=1,
    )


def _right() -> Row:
    return Row(
        name="accuracy/right",
        what="joins named rightly, with audit log and member search",
        unit="",
        ours=lambda: _figure(float(_whole(_our_best()).right)),
        peer=lambda: _figure(float(max(_whole(tallies).right for tallies in _field().values()))),
        beside="the field's most, by counters",
        wanted=1,
        rounds=1,
    )


async def _figure(value: float) -> float:
    return value


Tallies: TypeAlias = dict[Column, Tally]


@cache
def _recordings(column: Column) -> tuple[Recording, ...]:
    rate, lags = column
    return tuple(record(seed, per_minute=rate, joins=JOINS, lags=lags) for seed in range(WORLDS))


def _tallies(tally: Callable[[Recording], Tally]) -> Tallies:
    return {column: _sum(tally(each) for each in _recordings(column)) for column in COLUMNS}


@cache
def _ours() -> dict[str, Tallies]:
    return {name: _tallies(lambda each, make=make: tally_of_ours(each, make)) for name, _, make in OURS}


@cache
def _field() -> dict[str, Tallies]:
    return {name: _tallies(lambda each, kind=kind: tally_of(each, kind)) for name, _, kind in TRACKERS}


def _our_best() -> Tallies:
    return _ours()[OURS[-1][0]]


def _whole(tallies: Tallies) -> Tally:
    """Over the rates, within what is taken for granted: the list does not lag."""
    return _sum(tally for (_, lags), tally in tallies.items() if lags == "never")


def _sum(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())


def details() -> Table:
    """Right, wrong and open of each, by how many join in a minute."""
    table = Table(title="Accuracy: right / wrong / open", title_justify="left", title_style="bold", expand=True)
    table.add_column("row", no_wrap=True)
    table.add_column("what", ratio=1)
    for rate, lags in COLUMNS:
        table.add_column(
            f"{rate} a minute" + (", list lags" if lags == "always" else ""), justify="right", no_wrap=True
        )
    table.add_column("likely (right)", justify="right", no_wrap=True)
    texts = {name: text for name, text, _ in (*OURS, *TRACKERS)}
    for name, tallies in (_ours() | _field()).items():
        whole = _whole(tallies)
        likely = f"{whole.likely} ({whole.likely_right})" if name in _ours() else ""
        table.add_row(name, texts[name], *(_cell(tallies[column]) for column in COLUMNS), likely)
    return table


def _cell(tally: Tally) -> str:
    wrong = f"[red]{tally.wrong}[/red]" if tally.wrong else "[green]0[/green]"
    return f"{tally.right} / {wrong} / {tally.open}"
