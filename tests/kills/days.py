"""Days of a bot, told so that its gateway's glue waits wherever it can: commands, errands, wires that are cut.

Whatever of a day cannot be had, since something was killed, is done without.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, TypeAlias

from actors.gateway.board import custom_id
from actors.gateway.paged import Turn, turn_id
from actors.gateway.ranking import Wish
from actors.gateway.review import REVIEW
from actors.gateway.staff_board import report_id
from actors.gateway.staff_report import ReportWish
from actors.gateway.tally import By
from actors.gateway.why import WHY
from ledger.ids import UserId
from sandbox import Fault, Gate, Guild, Join, Permission, Reply, User
from sandbox.models import Channel, JobState
from sandbox.slash import Option
from tests.system.fleet import Fleet

ANSWER_S: Final = 3.0
"""A command that was killed has no answer; nobody waits for it longer."""
PATIENCE_S: Final = 25.0
"""For what has to come."""
LOOK_S: Final = 0.02
SLOW: Final = ("audit", "edit_message", "invites", "member", "members", "messages", "search")
SLOW_S: Final = 0.05
GAP_S: Final = 0.08
"""Longer than a request takes, so that the next one waits for its beat."""
LAG_US: Final = 300_000
"""By which counters are late for a while; longer than the pause before the guild asks again."""


async def until(holds: Callable[[], bool]) -> None:
    """Waits for a state of several actors, no event, for as long as a slow machine may take."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 -- as above
                await asyncio.sleep(LOOK_S)


class Office:
    """Whoever gives commands in the first guild, and which of them had no answer.

    Args:
        fleet: the bot.
        is_struck: whether anything was killed yet.
    """

    def __init__(self, fleet: Fleet, is_struck: Callable[[], bool]) -> None:
        self.fleet = fleet
        self.guild: Guild = fleet.guilds[0]
        self.asker: User = self.guild.owner
        self.given: list[tuple[str, Reply]] = []
        self._is_struck = is_struck
        self._log: Channel | None = None
        self._logged = slice(0)

    def unanswered(self) -> list[str]:
        return [name for name, reply in self.given if not reply.done]

    async def slash(self, name: str, asker: User | None = None, /, **options: Option) -> Reply | None:
        """What is answered; None where the command is not registered, since that was killed."""
        await self.patiently(lambda: self.fleet.gateway.status().connected)
        interactions = self.fleet.sandbox.interactions
        try:
            reply = interactions.send(interactions.payload(self.guild, asker or self.asker, name, options))
        except LookupError:
            return None
        self.given.append((f"/{name}", reply))
        await self.patiently(lambda: reply.done)
        return reply

    async def type_in(self, name: str, focused: str, /, **options: Option) -> None:
        """Somebody is typing; what fails there is shown by Discord itself."""
        interactions = self.fleet.sandbox.interactions
        try:
            payload = interactions.typing_payload(self.guild, self.asker, name, options, focused)
        except LookupError:
            return
        reply = interactions.send(payload)
        await self.patiently(lambda: reply.done)

    async def click(self, reply: Reply | None, button: str, asker: User | None = None) -> None:
        """A button below an answer, if that is there with it."""
        if reply is None or reply.original is None:
            return
        interactions = self.fleet.sandbox.interactions
        try:
            payload = interactions.click_payload(self.guild, asker or self.asker, reply.original, button, [])
        except LookupError:
            return
        clicked = interactions.send(payload, reply.original)
        self.given.append((button, clicked))
        await self.patiently(lambda: clicked.done)

    async def worked_out(self) -> None:
        """Every join so far has its verdict."""
        await self.patiently(self.fleet.is_worked_out)

    async def patiently(self, ready: Callable[[], bool]) -> None:
        """Waits for it; not for long once something was killed."""
        struck_s: list[float] = []

        def is_over() -> bool:
            now_s = asyncio.get_running_loop().time()
            struck_s.extend([now_s] if self._is_struck() and not struck_s else [])
            return ready() or bool(struck_s and now_s > struck_s[0] + ANSWER_S)

        await until(is_over)

    def together(self, *codes: str) -> list[User]:
        """People who join at once: no counter tells who used which."""
        world = self.fleet.world
        world.feed.hold()
        joins = [world.join(self.guild, via=code) for code in codes]
        world.feed.release()
        return [world.users[each.user_id] for each in joins]

    async def joined(self, code: str) -> User:
        """Somebody who joins, and is worked out: proven, since nobody else joins meanwhile."""
        join = self.fleet.world.join(self.guild, via=code)
        await self.worked_out()
        return self.fleet.world.users[join.user_id]

    async def announce(self, channel: Channel) -> None:
        """Whoever joins from now on is announced there, if the command was done."""
        reply = await self.slash("log_channel set", channel=channel.id)
        if reply is not None and "From now on" in reply.text:
            self._log, self._logged = channel, slice(len(self.fleet.world.truth), None)

    async def fall_silent(self) -> None:
        """Nobody is announced any more."""
        self._logged = slice(self._logged.start, len(self.fleet.world.truth))
        await self.slash("log_channel off")

    def unannounced(self) -> list[Join]:
        """Who joined in that time and does not stand in the channel, once."""
        if self._log is None:
            return []
        where = str(self._log.id)
        told = [str(each["content"]) for each in self.fleet.world.messages if each["channel_id"] == where]
        joins = [each for each in self.fleet.world.truth[self._logged] if each.guild_id == self.guild.id]
        return [each for each in joins if sum(f"<@{each.user_id}>" in text for text in told) != 1]

    async def registered(self) -> None:
        await self.patiently(lambda: bool(self.fleet.named("commands.synced")))


Day: TypeAlias = Callable[[Fleet, Office], Awaitable[None]]


async def questions(fleet: Fleet, office: Office) -> None:
    """Every command that shows something, and those that say whom an invite stands for."""
    guild, world = office.guild, fleet.world
    _crowd(fleet)
    other, left = world.add_staff(guild), world.add_staff(guild)
    first, second = (invite.code for invite in fleet.invites[guild.id])
    await fleet.live()
    joined = await office.joined(first)
    await office.registered()
    assign = "setup_staff_invite"
    await asyncio.gather(office.slash(assign, staff=other, code=first), office.slash(assign, staff=left, code=second))
    await asyncio.gather(office.slash(assign, staff=other), office.slash(assign, staff=world.bot))
    world.leave(guild, left)
    await office.type_in(assign, "code", staff=other, code="x")
    for code in (first, second):
        await office.joined(code)
    fleet.sandbox.faults.lag_us = LAG_US
    world.join(guild, via=first)
    names = ("refresh_invite_cache", "debug_invites", "fix_staff_usernames")
    await asyncio.gather(*(office.slash(name) for name in names))
    fleet.sandbox.faults.lag_us = 0
    await asyncio.gather(office.slash("invites", member=other), office.slash("who_invited", member=joined))
    await office.slash("leaderboard", joined)
    for kind, name in (("callback", "invites"), ("webhook_message", "invites"), ("followup", "staff_report")):
        fleet.sandbox.faults.add(kind, Fault(drop=True, late=True))
        await office.slash(name)
    await asyncio.gather(*(_turned(office, joined) for _ in range(2)))


async def _turned(office: Office, member: User) -> None:
    """What has many pages, and the next page of each; also for somebody who may not see it."""
    board = await office.slash("leaderboard", window="7 days", by="inviter")
    next_board = custom_id(Wish(window="7 days", by=By.INVITER, page=1))
    report, why = await office.slash("staff_report", window="7 days"), await office.slash("why", member=member)
    await asyncio.gather(
        office.click(board, next_board),
        office.click(board, next_board, member),
        office.click(report, report_id(ReportWish(window="7 days", page=1))),
        office.click(why, turn_id(Turn(WHY, UserId(str(member.id)), 1))),
    )


async def decisions(fleet: Fleet, office: Office) -> None:
    """Every command that changes something; also those that are refused, and what Discord does not do."""
    _crowd(fleet)
    await fleet.live()
    await office.registered()
    await _ruled(fleet, office)
    await _reviewed(fleet, office)
    await _invited(fleet, office)


async def _ruled(fleet: Fleet, office: Office) -> None:
    world, guild = fleet.world, office.guild
    gold, silver = world.add_role(guild, "Gold"), world.add_role(guild, "Silver")
    await asyncio.gather(office.slash("settings"), office.slash("settings", young_days=14))
    await asyncio.gather(*(office.slash("vip_role add", role=each.id) for each in (gold, silver)))
    await asyncio.gather(office.slash("vip_role add", role=guild.id), office.slash("vip_role list"))
    await office.slash("vip_role remove", role=gold.id)


async def _reviewed(fleet: Fleet, office: Office) -> None:
    world, guild = fleet.world, office.guild
    first, second = (invite.code for invite in fleet.invites[guild.id])
    anna, boris = office.together(first, second)
    await office.worked_out()
    listed = await office.slash("review list")
    await asyncio.gather(
        office.type_in("review decide", "code", member=anna, code=""),
        office.type_in("review decide", "join", member=anna, join=""),
    )
    decide = "review decide"
    await asyncio.gather(
        office.slash(decide, member=world.bot, reason="a bot"),
        office.slash(decide, member=anna, reason="no such code", code="nowhere"),
        office.slash(decide, member=anna, reason="a stranger", staff=world.add_user()),
    )
    await office.slash(decide, member=anna, reason="she said so", staff=office.asker, code=first)
    await office.slash(decide, member=boris, reason="he said so", staff=office.asker, code=second)
    await office.click(listed, turn_id(Turn(REVIEW, "", 1)))


async def _invited(fleet: Fleet, office: Office) -> None:
    world, guild, faults = fleet.world, office.guild, fleet.sandbox.faults
    await asyncio.gather(
        office.slash("invite for", user=guild.owner),
        office.slash("invite create", staff=world.bot),
        office.slash("invite create", label="spring"),
        office.slash("invite for", user=world.add_user()),
    )
    faults.stall_targets(JobState.PROCESSING)
    await office.slash("invite for", user=world.add_user())
    faults.add("create_invite", Fault(drop=True, late=True))
    await office.slash("invite for", user=world.add_user())


async def errands(fleet: Fleet, office: Office) -> None:
    """Joins are announced, corrected, looked up in the audit log, and asked about at the second witness."""
    world, guild, faults = fleet.world, office.guild, fleet.sandbox.faults
    closed = world.add_channel(guild, "closed")
    world.set_overwrite(guild, closed, world.bot, deny=Permission.SEND_MESSAGES)
    first, second = (invite.code for invite in fleet.invites[guild.id])
    _crowd(fleet)
    await fleet.live()
    await office.registered()
    await office.slash("log_channel set", channel=closed.id)
    await office.announce(world.add_channel(guild, "log"))
    await office.slash("log_channel template", kind="known", text="{member} came by {code}")
    await office.joined(world.add_invite(guild, office.asker, max_uses=1).code)
    world.add_bot(guild, office.asker)
    await office.patiently(lambda: not office.unannounced())
    gate = Gate()
    faults.add("messages", Fault(gate=gate, late=True, drop=True))  # posted, and decided before that is known
    anna, boris = office.together(first, second)
    with suppress(TimeoutError):
        await gate.arrived(ANSWER_S)
    for member, code in ((anna, first), (boris, second)):
        await office.slash("review decide", member=member, reason="they said so", code=code)
    gate.open()
    await until(lambda: not office.unannounced())  # whoever is not shown by now never is
    await office.fall_silent()


async def wires(fleet: Fleet, office: Office) -> None:
    """Discord fails at the start, a session is refused, connections are cut, the library gives up."""
    sandbox = fleet.sandbox
    for kind in ("me", "gateway", "members"):
        sandbox.faults.fail(kind, 403 if kind == "members" else 503)
    await fleet.live()
    _join_everywhere(fleet)
    sandbox.gateway.invalidate()  # so soon that the next IDENTIFY has to wait
    _join_everywhere(fleet)
    await office.patiently(lambda: len(fleet.named("gateway.session_began")) > 1)
    fleet.gateway._jobs.start(fleet.gateway._look_again(), "advice")
    sandbox.gateway.drop_all()
    _join_everywhere(fleet)
    await office.patiently(lambda: bool(fleet.named("gateway.resumed")))
    await office.patiently(lambda: fleet.gateway.status().connected)
    client = fleet.gateway._shards[0].client if fleet.gateway._shards else None
    if client is not None:  # the library gives up; whoever waits with us dies
        await asyncio.gather(client.close(), return_exceptions=True)
    _join_everywhere(fleet)


def _join_everywhere(fleet: Fleet) -> None:
    for guild in fleet.guilds:
        fleet.join(guild)


def _crowd(fleet: Fleet) -> None:
    """One request at a time, and each takes a while: whoever comes second waits for a permit, and for its beat."""
    pacer = fleet.gateway._pacer
    pacer._free, pacer._gap_s, pacer._shortest_gap_s = 1, GAP_S, GAP_S
    fleet.sandbox.faults.latency_s |= dict.fromkeys(SLOW, SLOW_S)


DAYS: Final[Mapping[str, Day]] = {
    "questions": questions,
    "decisions": decisions,
    "errands": errands,
    "wires": wires,
}
