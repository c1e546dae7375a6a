"""The first start in a guild of 100,000 members and 1,000 invites, through its actor and onto the disk.

Its members are listed, then Discord's member search tells how each of them came, page by page, with a clock of its
own: nobody waits for the two seconds between pages. A step is what the loop does between two looks at it, in
processor time, so that a busy machine does not count.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from ledger import messages as m
from ledger.answers import Answer, GuildReport
from ledger.effects import Request, SweepMembers
from ledger.ids import GuildId, InteractionId, UserId
from ledger.records import Report, Settings
from ledger.samples import Sample
from tests.bench.figures import Row, Theme
from tests.bench.ground import NOW_US, PATIENCE_S, SESSION, Bot, Ground, Nowhere, bot_over
from tests.bench.large import A_PAGE, GUILD, INVITES, SECOND, STAFF, VIP, code_of, counter

MEMBERS: Final = 100_000
LONGEST_STEP_MS: Final = 20
TICK_S: Final = 0.000_5
NOBODY: Final = UserId("0")


def member(n: int) -> UserId:
    return UserId(str(10**17 + n * 7))


def joined_us(n: int) -> int:
    return NOW_US - (MEMBERS - n) * 60 * SECOND


class Discord(Nowhere):
    """Keeps what the guild asks of it."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[SweepMembers] = asyncio.Queue()

    def run_errand(self, guild: GuildId, effect: Request) -> None:
        del guild
        if isinstance(effect, SweepMembers):
            self.asked.put_nowait(effect)


class Figures(msgspec.Struct):
    """What an act cost. ``step_ms``: the longest step; ``took_s``: by the bot's clock."""

    step_ms: float = 0.0
    log_mib: float = 0.0
    records: int = 0
    took_s: float = 0.0


@contextmanager
def steps() -> Iterator[Callable[[], float]]:
    """The longest step so far, in milliseconds."""
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while True:
            before_s = time.thread_time()
            await asyncio.sleep(TICK_S)
            longest_s = max(longest_s, time.thread_time() - before_s)

    task = asyncio.get_running_loop().create_task(watch())
    try:
        yield lambda: longest_s * 1_000
    finally:
        task.cancel()


class Arrival:
    """The acts of one first start, one after the other; each row asks for one figure of them.

    ``backfill``: whether the owner wants those who were there before to be credited.
    """

    def __init__(self, ground: Ground, *, backfill: bool) -> None:
        self._ground = ground
        self._backfill = backfill
        self._figures: dict[str, Figures] = {}

    def figure(self, act: str, name: str) -> Callable[[], Awaitable[float]]:
        """How to measure that figure of that act; all are played when the first one is asked for."""

        async def measure() -> float:
            if not self._figures:
                await self._play()
            return float(getattr(self._figures[act], name))

        return measure

    async def _play(self) -> None:
        discord, folder = Discord(), self._ground.fresh()
        async with bot_over(self._ground.layers_at(folder, "log", "database"), discord) as bot:
            life = Life(bot, discord, folder)
            await life.begin(backfill=self._backfill)
            self._figures = {
                "listed": await life.play(life.listed()),
                "swept": await life.play(life.swept()),
                "listed_again": await life.play(life.listed()),
                "promoted": await life.play(life.promoted()),
                "kept": await life.play(life.kept()),
            }


class Life:
    """One guild from its coming on. What Discord says is made before it is told: that is no step of ours."""

    def __init__(self, bot: Bot, discord: Discord, folder: Path) -> None:
        self._bot = bot
        self._discord = discord
        self._folder = folder
        self._now_us = NOW_US
        self._listed = [_listed(start) for start in range(0, MEMBERS, A_PAGE)]
        self._promoted = [_with_roles(page) for page in self._listed]
        self._swept = [*(_swept(start) for start in range(0, MEMBERS, A_PAGE)), ()]

    async def begin(self, *, backfill: bool) -> None:
        """It comes up, and the first sample arrives."""
        wanted = Settings(credit_backfill=backfill)
        counters = tuple(counter(n, 0) for n in range(INVITES))
        sample = Sample(
            requested_us=self._now_us + 1, answered_us=self._now_us + 2, session=SESSION, counters=counters
        )
        await self._ask(m.GuildCameUp(session=SESSION, at_us=self._now_us))
        await self._ask(m.SampleArrived(sample=sample, request=None))
        await self._ask(
            m.ChangeSettings(
                interaction=InteractionId("1"), settings=wanted, fields=("credit_backfill",), by=member(0)
            )
        )

    async def play(self, act: Awaitable[None]) -> Figures:
        began_us, began_bytes, began_seq = self._now_us, self._log_bytes(), await self._seq()
        with steps() as longest_ms:
            await act
            longest = longest_ms()
        return Figures(
            step_ms=longest,
            log_mib=(self._log_bytes() - began_bytes) / 1_048_576,
            records=await self._seq() - began_seq,
            took_s=(self._now_us - began_us) / SECOND,
        )

    async def listed(self) -> None:
        """The whole member list."""
        self._now_us += 60 * SECOND
        for page in self._listed:
            await self._ask(msgspec.structs.replace(page, started_us=self._now_us, at_us=self._now_us))

    async def swept(self) -> None:
        """Every page names an invite for everybody, and comes when it is due; behind the last one is an empty one."""
        for rows in self._swept:
            asked = await self._discord.asked.get()
            self._now_us = max(self._now_us, asked.due_us)
            done = not rows
            await self._ask(
                m.WitnessAnswered(number=asked.number, rows=rows, at_us=self._now_us, swept=True, done=done)
            )

    async def promoted(self) -> None:
        """A role counts as VIP from now on, and the list shows that everybody has it."""
        wanted = Settings(vip_roles=(VIP,))
        await self._ask(
            m.ChangeSettings(interaction=InteractionId("2"), settings=wanted, fields=("vip_roles",), by=member(0))
        )
        self._listed = self._promoted
        await self.listed()

    async def kept(self) -> None:
        """Its checkpoint."""
        await self._bot.supervisor.keep_checkpoint(GUILD)

    async def _ask(self, message: m.Message) -> Answer:
        return (await self._bot.roster.ask(GUILD, message, PATIENCE_S)).answer

    async def _seq(self) -> int:
        answer = await self._ask(m.DescribeGuild())
        assert isinstance(answer, GuildReport), "the guild answers"
        return answer.seq

    def _log_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._folder.rglob("*") if "log" in path.parts[-2])


def _listed(start: int) -> m.ReviewMembers:
    people = [m.ListedMember(user=member(n), joined_at_us=joined_us(n)) for n in range(start, start + A_PAGE)]
    last = start + A_PAGE == MEMBERS
    return m.ReviewMembers(
        session=SESSION,
        members=tuple(people),
        after=member(start - 1) if start else NOBODY,
        upto="" if last else people[-1].user,
        started_us=0,
        at_us=0,
    )


def _with_roles(page: m.ReviewMembers) -> m.ReviewMembers:
    people = tuple(msgspec.structs.replace(each, roles=(VIP,)) for each in page.members)
    return msgspec.structs.replace(page, members=people)


def _swept(start: int) -> tuple[m.SearchedMember, ...]:
    return tuple(
        m.SearchedMember(user=member(n), joined_at_us=joined_us(n), report=Report(5, code_of(n), member(n % STAFF)))
        for n in range(start, start + A_PAGE)
    )


def theme(ground: Ground) -> Theme:
    plain, credited = Arrival(ground, backfill=False), Arrival(ground, backfill=True)
    rows: tuple[tuple[str, str, str, Arrival, str, str], ...] = (
        ("listed/step", "the first member list: longest step", "ms", plain, "listed", "step_ms"),
        ("listed/log", "… log written", "MiB", plain, "listed", "log_mib"),
        ("swept/step", "all pages of the sweep, everybody named: longest step", "ms", plain, "swept", "step_ms"),
        ("swept/time", "… until all are told of, if Discord answers at once", "s", plain, "swept", "took_s"),
        ("swept/log", "… log written", "MiB", plain, "swept", "log_mib"),
        ("swept/records", "… records", "", plain, "swept", "records"),
        ("again/step", "the list once more, nobody new: longest step", "ms", plain, "listed_again", "step_ms"),
        ("vip/step", "the list, everybody VIP from now on: longest step", "ms", plain, "promoted", "step_ms"),
        ("vip/records", "… records", "", plain, "promoted", "records"),
        ("kept/step", "its checkpoint: longest step", "ms", plain, "kept", "step_ms"),
        ("credited/step", "the sweep, everybody credited: longest step", "ms", credited, "swept", "step_ms"),
        ("credited/log", "… log written", "MiB", credited, "swept", "log_mib"),
        ("credited/records", "… records", "", credited, "swept", "records"),
    )
    return Theme(
        title="A guild of 100,000 members and 1,000 invites: its first start",
        rows=tuple(
            Row(
                name=f"arriving/{name}",
                what=what,
                unit=unit,
                ours=arrival.figure(act, figure),
                wanted=LONGEST_STEP_MS if unit == "ms" else None,
                at_most=True,
                rounds=1,
            )
            for name, what, unit, arrival, act, figure in rows
        ),
    )
