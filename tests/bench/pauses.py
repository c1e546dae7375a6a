"""For how long the event loop is held up by one large guild: nobody else gets an answer meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Final

from ledger import messages as m
from ledger.ids import GuildId, UserId
from ledger.records import Draft, GuildAdopted, InternalCause, MembersSeeded, SeededMember
from tests.bench.figures import Row, Theme
from tests.bench.ground import NOW_US, PATIENCE_S, Bot, Ground, bot_over, lateness

GUILD: Final = GuildId("1000")
MEMBERS: Final = 100_000
MEMBERS_A_RECORD: Final = 1_000
CAUSE: Final = InternalCause(what="bench")


def theme(ground: Ground) -> Theme:
    return Theme(
        title="The loop, while one guild of 100,000 members …",
        rows=(
            Row(
                name="pause/checkpoint",
                what="… is written as a checkpoint: longest pause",
                unit="ms",
                ours=lambda: longest_ms(ground, _kept),
                at_most=True,
            ),
            Row(
                name="pause/restore",
                what="… is read back from its checkpoint: longest pause",
                unit="ms",
                ours=lambda: longest_ms(ground, _killed),
                at_most=True,
                rounds=1,
            ),
        ),
    )


async def longest_ms(ground: Ground, work: Callable[[Bot], Awaitable[None]]) -> float:
    """The longest pause while the work is done."""
    async with bot_over(ground.layers("log", "database")) as bot:
        await bot.journal.open(GUILD, 1)
        await bot.journal.append(GUILD, 1, 0, tuple(_seeds()))
        await bot.roster.ask(GUILD, m.DescribeWindow(), PATIENCE_S)
        await _kept(bot)
        with lateness() as late_ms:
            await work(bot)
            return late_ms()


async def _kept(bot: Bot) -> None:
    await bot.supervisor.keep_checkpoint(GUILD)


async def _killed(bot: Bot) -> None:
    bot.supervisor.kill(f"guild/{GUILD}")
    await bot.roster.ask(GUILD, m.DescribeWindow(), PATIENCE_S)


def _seeds() -> list[Draft]:
    """The members of a guild that was there before the bot."""
    events = [
        MembersSeeded(members=tuple(SeededMember(UserId(str(10**17 + n)), NOW_US - n) for n in range(start, end)))
        for start in range(0, MEMBERS, MEMBERS_A_RECORD)
        for end in (start + MEMBERS_A_RECORD,)
    ]
    adopted = Draft(event=GuildAdopted(counting_since_us=NOW_US), cause=CAUSE, key="adopted")
    return [adopted, *(Draft(event=event, cause=CAUSE, key=f"seeded/{n}") for n, event in enumerate(events))]
