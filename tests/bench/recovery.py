"""One guild back after a crash: a checkpoint of 1,000 members and 1,000 records behind it, until it answers.

What is judged is what the recovery takes beyond decoding the same bytes (pages and records, with msgspec alone); both
are measured in the same round.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from actors.journal import Journal
from ledger import messages as m
from ledger import records as r
from ledger.evolve import evolve
from ledger.ids import GuildId, InviteCode, UserId
from ledger.state import GuildState, from_pages, pages_of
from persistence.layer import guild_frames
from tests.bench.figures import Row
from tests.bench.ground import NOW_US, PATIENCE_S, SESSION, Ground, bot_over, draft_of, user_of

GUILD: Final = GuildId("1000")
MEMBERS: Final = 1_000
TAIL: Final = 1_000
BESIDE_DECODING_MS: Final = 5
INVITES: Final = 50
STAFF: Final = UserId("7")
MINUTE_US: Final = 60_000_000
CAUSE: Final = r.InternalCause(what="bench")


def rows(ground: Ground) -> Iterator[Row]:
    """A tail of joins alone, as in a raid, and one of all that single joins lead to."""
    joins = tuple(draft_of(MEMBERS + number) for number in range(TAIL))
    rounds = tuple(each for number in range(TAIL // 5) for each in _round(number))
    for name, what, tail in (
        ("joins", "joins", joins),
        ("rounds", "records (join, sample, window, verdict, credit)", rounds),
    ):
        recovery = Recovery(ground, tail)
        yield Row(
            name=f"read/recovery/{name}",
            what=f"a guild back after a crash, with 1,000 {what} behind its checkpoint: beyond decoding",
            unit="ms",
            ours=recovery.ours,
            peer=recovery.peer,
            beside="decoding the same bytes",
            wanted=BESIDE_DECODING_MS,
            absolute=True,
            at_most=True,
            rounds=9,
        )


class Recovery:
    """A guild with a checkpoint and records behind it, as a crash leaves it; it is asked for the first time."""

    def __init__(self, ground: Ground, tail: Sequence[r.Draft]) -> None:
        self._ground = ground
        self._tail = tail
        self._pages: tuple[bytes, ...] = ()
        self._lines: Sequence[bytes] = ()

    async def ours(self) -> float:
        layers = self._ground.layers("log", "database")
        async with bot_over(layers) as bot:
            await self._keep(bot.journal)
            self._lines = [frame.data for frame in await guild_frames(layers[0], GUILD, MEMBERS)]
            began = time.perf_counter()
            await bot.roster.ask(GUILD, m.DescribeMember(user=user_of(MEMBERS)), PATIENCE_S)
            took_ms = (time.perf_counter() - began) * 1_000
        return took_ms - await self.peer()

    async def peer(self) -> float:
        decoder = msgspec.json.Decoder(r.Record)
        began = time.perf_counter()
        from_pages(self._pages)
        for line in self._lines:
            decoder.decode(line)
        return (time.perf_counter() - began) * 1_000

    async def _keep(self, journal: Journal) -> None:
        await journal.open(GUILD, 1)
        committed = await journal.append(GUILD, 1, 0, tuple(draft_of(number) for number in range(MEMBERS)))
        state = GuildState(guild=GUILD)
        for record in committed.records:
            state = evolve(state, record)
        self._pages = tuple(pages_of(state))
        await journal.checkpoint(GUILD, 1, committed.head, self._pages, forgot_seq=0, read_back=False)
        await journal.append(GUILD, 1, MEMBERS, self._tail)


def _round(number: int) -> Iterator[r.Draft]:
    """A join a minute, and what becomes of it."""
    user, code = user_of(MEMBERS + number), InviteCode(f"code{number % INVITES}")
    at_us = NOW_US + (number + 1) * MINUTE_US
    seen = r.Counter(code=code, created_at_us=NOW_US, uses=number // INVITES + 1)
    events: tuple[r.Event, ...] = (
        r.JoinRecorded(user=user, joined_at_us=at_us, arrived_us=at_us, session=SESSION),
        r.SampleTaken(
            number=number + 1,
            requested_us=at_us + 1_000_000,
            answered_us=at_us + 1_100_000,
            session=SESSION,
            changed=(seen,),
        ),
        r.WindowClosed(first_sample=number, last_sample=number + 1, joins=1, tally={code: 1}),
        r.VerdictReached(user=user, opened_us=at_us, status=r.Status.CERTAIN, code=code, staff=STAFF),
        r.CreditGranted(user=user, opened_us=at_us, kind="join", staff=STAFF, verdict=1),
    )
    for at, event in enumerate(events):
        yield r.Draft(event=event, cause=CAUSE, key=f"round/{number}/{at}")
