"""Which guilds have an actor, and how a message finds it.

The roster makes an address at a guild's first message and asks for a life of its actor (``start``); it keeps what a
new life has to be told first: that the guild is there, in which gateway session. It decides nothing.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from actors.asks import Deadlines, Outcome
from actors.guild import GuildAddress, guild_address
from actors.letters import lane_of
from actors.mailbox import Admission
from ledger import messages as m
from ledger.answers import Answer
from ledger.ids import GuildId
from ledger.ports import Clock


class RosterStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """All mailboxes: envelopes waiting by lane, and in the fullest mailbox; messages since the process began."""

    waiting: tuple[int, int, int]
    deepest: int
    accepted: int
    coalesced: int
    handled: int
    dropped: int


class Roster:
    """The guilds of this process.

    Args:
        clock: for the time of a gap notice.
        start: asked once for each new address; the supervisor starts the first life.
    """

    def __init__(self, clock: Clock, start: Callable[[GuildId, GuildAddress], None]) -> None:
        self._clock = clock
        self._start = start
        self._addresses: dict[GuildId, GuildAddress] = {}
        self._greetings: dict[GuildId, m.GuildCameUp] = {}
        self._missing: dict[GuildId, int] = {}
        self._deadlines = Deadlines()

    def tell(self, guild: GuildId, message: m.Message) -> Admission:
        """Routes a message; never waits."""
        self._remember(guild, message)
        return self._address(guild).tell(message, lane_of(message))

    def note_missing(self, guild: GuildId, since_us: int) -> None:
        """What was dropped may have happened since then; the guild hears of it once there is room."""
        self._missing[guild] = min(since_us, self._missing.get(guild, since_us))

    async def ask(self, guild: GuildId, message: m.Message, timeout_s: float) -> Outcome[Answer]:
        """Routes a question and waits for its outcome."""
        return await self._address(guild).ask(message, lane_of(message), timeout_s)

    def greeting(self, guild: GuildId) -> m.GuildCameUp | None:
        """What a new life has to be told: the guild is there. None while it is not."""
        return self._greetings.get(guild)

    def addresses(self) -> Mapping[GuildId, GuildAddress]:
        """Every guild that has an address."""
        return self._addresses

    def statistics(self) -> RosterStatistics:
        """The mailboxes of all guilds, summed up."""
        every = [address.statistics() for address in self._addresses.values()]
        control, members, rest = map(sum, zip((0, 0, 0), *(each.waiting for each in every), strict=True))
        return RosterStatistics(
            waiting=(control, members, rest),
            deepest=max((sum(each.waiting) for each in every), default=0),
            accepted=sum(each.accepted for each in every),
            coalesced=sum(each.coalesced for each in every),
            handled=sum(each.handled for each in every),
            dropped=sum(each.dropped for each in every),
        )

    def here(self) -> Iterator[GuildId]:
        """Guilds that the gateway says are there."""
        return iter(tuple(self._greetings))

    def _address(self, guild: GuildId) -> GuildAddress:
        address = self._addresses.get(guild)
        if address is None:
            address = self._addresses[guild] = guild_address(guild, lambda: self._gap_notice(guild), self._deadlines)
            self._start(guild, address)
        return address

    def _gap_notice(self, guild: GuildId) -> m.NoteGap:
        now_us, since_us = self._clock.stamp_us(), self._missing.pop(guild, 0)
        return m.NoteGap(at_us=now_us, since_us=since_us, greeting=self._greetings.get(guild))

    def _remember(self, guild: GuildId, message: m.Message) -> None:
        match message:
            case m.GuildCameUp():
                self._greetings[guild] = message
            case m.GuildWentAway() | m.RemoveGuild():
                self._greetings.pop(guild, None)
            case _:
                pass
