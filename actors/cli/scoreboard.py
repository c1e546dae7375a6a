"""Truth against verdict: what the sandbox knows beside what the bot's records say, counted for the demo."""

from collections import Counter
from collections.abc import Iterable, Mapping
from io import BytesIO, StringIO
from pathlib import Path

import msgspec
from rich.table import Table

from actors.cli.bot_process import JoinId
from actors.cli.export import export_joins
from actors.cli.history import JoinLine
from ledger.ids import GuildId, UserId
from ledger.records import CreditGranted, CreditReversed, Status
from persistence.disk import RealDisk
from persistence.reading import read_log
from sandbox import Join

NAMING = frozenset({Status.CERTAIN, Status.CONFIRMED, Status.REPORTED, Status.LIKELY, Status.MANUAL})
"""Statuses that name one source."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """The demo in numbers; the last three have to be 0."""

    joins: int
    acknowledged: int
    lost: int
    credited_twice: int
    wrong: int

    def is_clean(self) -> bool:
        return self.lost == self.credited_twice == self.wrong == 0

    def __str__(self) -> str:
        return (
            f"demo: {self.joins} joins, {self.acknowledged} acknowledged, {self.lost} lost, "
            f"{self.credited_twice} credited twice, {self.wrong} wrong"
        )


def exported(data: Path) -> dict[JoinId, JoinLine]:
    """What ``inviteledger export`` prints, by join."""
    out = BytesIO()
    export_joins(data, data / "ledger.db", None, out, StringIO())
    lines = (msgspec.json.decode(raw, type=JoinLine) for raw in out.getvalue().splitlines())
    return {(line.guild, line.user, line.joined_at_ms): line for line in lines}


def truth_of(joins: Iterable[Join]) -> dict[JoinId, str]:
    """The source of every human's join, as the sandbox knows it."""
    return {
        (GuildId(str(join.guild_id)), UserId(str(join.user_id)), join.joined_at_us // 1_000): str(join.via)
        for join in joins
        if not join.bot
    }


def score(
    truth: Mapping[JoinId, str], told: Mapping[JoinId, JoinLine], acknowledged: set[JoinId], data: Path
) -> Score:
    """Counts what went wrong: a join that was acknowledged or happened and is not in the export is lost; a name
    that is not the truth, or candidates without it, are wrong.
    """
    return Score(
        joins=len(truth),
        acknowledged=len(acknowledged & truth.keys()),
        lost=len((acknowledged | truth.keys()) - told.keys()),
        credited_twice=len(credited_twice(data)),
        wrong=sum(is_wrong(truth[join], line) for join, line in told.items() if join in truth),
    )


def table_of(truth: Mapping[JoinId, str], told: Mapping[JoinId, JoinLine]) -> Table:
    """One row a status: what was claimed, and whether the truth agrees."""
    table = Table("verdict", "joins", "names the true source", "leaves it open", "wrong", "credited")
    for status in Status:
        lines = [(truth[join], line) for join, line in told.items() if join in truth and line.status is status]
        if lines:
            wrong = sum(is_wrong(source, line) for source, line in lines)
            named = sum(line.code == source for source, line in lines)
            opened = len(lines) - wrong - named
            credited = sum(line.credited is not None for _, line in lines)
            table.add_row(status.value, *(str(each) for each in (len(lines), named, opened, wrong, credited)))
    return table


def is_wrong(source: str, line: JoinLine) -> bool:
    """Whether a name is not the truth, or candidates lack it."""
    if line.status in NAMING:
        return line.code != source
    return bool(line.candidates) and source not in line.candidates


def credited_twice(data: Path) -> set[JoinId]:
    """Joins whose credits of a kind do not sum up to one at most, at any time."""
    net: Counter[tuple[JoinId, str]] = Counter()
    twice = set[JoinId]()
    for frame in read_log(RealDisk(), data / "log"):
        event = frame.record.event
        if isinstance(event, CreditGranted | CreditReversed):
            join = (frame.record.guild, event.user, event.opened_us)
            net[join, event.kind] += 1 if isinstance(event, CreditGranted) else -1
            if net[join, event.kind] not in (0, 1):
                twice.add(join)
    return twice


def vip_credits(data: Path) -> Counter[tuple[UserId, UserId]]:
    """How many credits for upgrades to VIP stand, by member and staff member."""
    net: Counter[tuple[UserId, UserId]] = Counter()
    for frame in read_log(RealDisk(), data / "log"):
        event = frame.record.event
        if isinstance(event, CreditGranted | CreditReversed) and event.kind == "vip":
            net[event.user, event.staff] += 1 if isinstance(event, CreditGranted) else -1
    return +net
