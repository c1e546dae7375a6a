"""What has to hold after a kill, once everything had time to heal; and what is still there after one more cut.

Nothing acknowledged is lost; nobody is recorded or credited twice; whoever asked has an answer; everything is live
and nothing waits; no task is left over; restarts are bounded by what was done. Each fault begins with the invariant
(KERNEL, I1 to I12) that it breaks.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence

from actors.asks import Answered
from ledger.errors import LedgerError
from ledger.ids import GuildId, UserId
from ledger.records import CreditGranted, CreditReversed, JoinRecorded, MembersSeeded, Record
from tests.kills.acts import QUERY, kind_of
from tests.kills.stage import Life, Stage

TREE = ("main", "supervisor", "journal", "uploader", "pulse", "caretaker", "salvager", "guild")
"""Kinds of tasks that are there while a process is at work."""


def after_healing(life: Life, *, struck: str, restarts: int) -> Iterator[str]:
    """What is wrong with a life that is quiet again. ``struck``: the task that was killed, "" = none."""
    yield from _answers(life, struck)
    left = Counter(task.get_name() for task in asyncio.all_tasks(life.loop))
    yield from (f"I10: task {name} is left over" for name in left if name.partition("/")[0] not in TREE)
    yield from (f"I10: {count} tasks {name}" for name, count in left.items() if count > 1)
    if life.process.supervisor.statistics().restarts > restarts:
        yield f"I8: {life.process.supervisor.statistics().restarts} restarts, at most {restarts} are due"
    if letters := life.process.supervisor.statistics().dead_letters:
        yield f"I8: {letters} dead letters"
    yield from (f"I10: told in the loop: {told}" for told in life.complaints)


def after_the_end(life: Life) -> Iterator[str]:
    """What is wrong with a life that has stopped in order."""
    left = sorted(task.get_name() for task in asyncio.all_tasks(life.loop) if task.get_name() != "main")
    if left:
        yield f"I10: left over after the drain: {left}"


def of_the_durable(stage: Stage, guild: GuildId, records: Sequence[Record], *, gaps: bool) -> Iterator[str]:
    """What is wrong with a guild's durable records. ``gaps``: some are known to be missing."""
    if not gaps:
        yield from _sequence(guild, records)
    joins = Counter(record.event.user for record in records if isinstance(record.event, JoinRecorded))
    seeds = [record.event.members for record in records if isinstance(record.event, MembersSeeded)]
    known = {*joins, *(member.user for members in seeds for member in members)}
    yield from (f"I2: {user} of {guild} is recorded {times} times" for user, times in joins.items() if times > 1)
    for user in stage.village.joined[guild]:
        if user not in known and (guild, user) not in stage.village.gone:
            yield f"I1: the join of {user} in {guild} is lost"
    for user in sorted(user for where, user in stage.acknowledged if where == guild and user not in joins):
        yield f"I1: the ACKNOWLEDGED join of {user} in {guild} is lost"
    yield from _credits(guild, records, len(stage.village.joined[guild]))


def _answers(life: Life, struck: str) -> Iterator[str]:
    """``struck``'s own client may hear anything; of a query's bug its author is told."""
    for asked in life.asked:
        if asked.error is not None:
            planted = struck == asked.task or (asked.may_fail and kind_of(struck) == QUERY)
            if not planted and not (asked.may_fail and isinstance(asked.error, LedgerError)):
                yield f"I5: {asked.what} ended with {asked.error!r}"
        elif asked.outcome is not None and asked.outcome.kind not in (Answered.OK, Answered.DEGRADED):
            yield f"I5: {asked.what} was answered {asked.outcome.kind}: {asked.outcome.text}"


def _sequence(guild: GuildId, records: Sequence[Record]) -> Iterator[str]:
    if [record.seq for record in records] != list(range(1, len(records) + 1)):
        yield f"I3: the records of {guild} have gaps: {[record.seq for record in records]}"
    epochs = [record.epoch for record in records]
    if epochs != sorted(epochs):
        yield f"I3: the epoch of {guild} falls: {epochs}"


def _credits(guild: GuildId, records: Sequence[Record], people: int) -> Iterator[str]:
    net: Counter[UserId] = Counter()
    for record in records:
        if isinstance(record.event, CreditGranted):
            net[record.event.user] += 1
        elif isinstance(record.event, CreditReversed):
            net[record.event.user] -= 1
    yield from (f"I2: {user} of {guild} has {each} credits" for user, each in net.items() if each not in (0, 1))
    if sum(net.values()) > people:
        yield f"I2: {sum(net.values())} credits in {guild} for {people} people"
