"""From a dispatch to the guild's mailbox: stamped, translated, told. It never raises and never waits.

It also knows which guilds READY has announced, and tells those that READY no longer names that we were removed; and,
of each that has not come since, when the connection was lost on which it was last there.
What a dispatch means is ``translate``'s business, where it comes from ``client``'s.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
from structlog.typing import FilteringBoundLogger

from actors.gateway import payloads as p
from actors.gateway.translate import Heard, Told, Translator, Unreadable, unreadable
from actors.mailbox import Admission
from actors.roster import Roster
from actors.traffic import READY, RESUMED, DispatchTally
from ledger import messages as m
from ledger.ids import GuildId, SessionId
from ledger.ports import Clock

Keep: TypeAlias = Callable[[str, bytes], None]
"""Puts a payload into quarantine, by its digest; returns at once, and never fails."""
Slot: TypeAlias = tuple[int, int]
"""Which shard of how many."""
SHARD_SHIFT: Final = 22
"""Discord's rule: a guild is on shard (id >> 22) % shards."""

AWAITED_S: Final = 30.0
"""A guild of READY that has not come by then does not keep the process from being called ready."""


class Intake:
    """The way in.

    Args:
        roster: whom to tell.
        clock: stamps arrivals.
        keep: where payloads go that do not decode.
        tally: counts the dispatches of all shards.
        slot: a READY speaks for this shard's guilds only.
        lost_us: when the connections of before were surely there for the last time, 0 = there were none.
        lost_of: the same of each guild that has not come since, kept over all ways in.
        log: for what could not be read.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        clock: Clock,
        keep: Keep,
        tally: DispatchTally,
        slot: Slot,
        log: FilteringBoundLogger,
        lost_us: int = 0,
        lost_of: dict[GuildId, int] | None = None,
    ) -> None:
        self.session = SessionId("")
        self._roster = roster
        self._clock = clock
        self._keep = keep
        self._slot = slot
        self._log = log
        self._translator = Translator(roster.greeting)
        self._tally = tally
        tally.expect(self._translator.names())
        self._awaited: set[GuildId] = set()
        self._began_s = 0.0
        self._full: set[GuildId] = set()
        self._stopped = False
        self._is_replaying = lost_us > 0  # what was lost before stays lost since then, until READY
        self.lost_us = lost_us
        self._lost_of = {} if lost_of is None else lost_of

    def hear(self, name: str, payload: object, session: SessionId, number: int) -> None:
        """Takes one dispatch."""
        if self._stopped:
            return
        self._is_replaying = self._is_replaying and name not in {READY, RESUMED}
        heard = Heard(
            session=session,
            number=number,
            arrived_us=self._clock.stamp_us(),
            replayed=self._is_replaying,
            lost_us=self.lost_us,
        )
        self._tally.take(name, heard.arrived_us)
        if name == READY:
            self._begin(payload, heard)
            return
        translation = self._translator.translate(name, payload, heard)
        if isinstance(translation, Unreadable):
            self._set_aside(translation)
            translation = translation.told
        for told in translation:
            self._tell(told)

    def expect_replay(self, silent_s: float) -> None:
        """The connection was lost, after a silence: until READY or RESUMED what comes may be of any time since."""
        if not self._is_replaying:
            self.lost_us = self._clock.stamp_us() - round(silent_s * 1_000_000)
        self._is_replaying = True

    def stop(self) -> None:
        """From now on nothing is taken."""
        self._stopped = True

    def awaited(self) -> int:
        """How many of READY's guilds have neither come nor been reported unavailable; waited for 30 s at most."""
        waited_s = self._clock.monotonic_s() - self._began_s
        return len(self._awaited) if waited_s < AWAITED_S else 0

    def _begin(self, payload: object, heard: Heard) -> None:
        self.session = heard.session
        try:
            listed = {guild.id for guild in p.decode(payload, p.Ready).guilds}
        except msgspec.ValidationError as error:
            self._set_aside(unreadable(READY, payload, heard, str(error)))
            return
        self._awaited, self._began_s = set(listed), self._clock.monotonic_s()
        self._log.info("gateway.session_began", session=heard.session, guilds=len(listed))
        for guild in filter(self._is_ours, self._roster.here()):
            self._lost_of.setdefault(guild, self.lost_us)
            if guild not in listed:
                self._tell(Told(guild=guild, message=m.RemoveGuild(at_us=heard.arrived_us)))

    def _tell(self, told: Told) -> None:
        if isinstance(told.message, m.GuildCameUp | m.GuildWentAway | m.RemoveGuild):
            self._awaited.discard(told.guild)
        match told.message:
            case m.GuildCameUp():
                told = msgspec.structs.replace(told, message=self._since_its_loss(told.guild, told.message))
            case m.GuildWentAway() | m.NoteUnreadable():
                lost_us = self._lost_of.get(told.guild, told.message.lost_us)
                told = msgspec.structs.replace(told, message=msgspec.structs.replace(told.message, lost_us=lost_us))
            case m.RemoveGuild():
                self._lost_of.pop(told.guild, None)
            case _:
                pass
        self._mind(told.guild, self._roster.tell(told.guild, told.message))

    def _since_its_loss(self, guild: GuildId, greeting: m.GuildCameUp) -> m.GuildCameUp:
        """A connection may be lost again before all of READY's guilds have come: for those the first loss counts."""
        lost_us = self._lost_of.pop(guild, greeting.lost_us)
        return msgspec.structs.replace(greeting, lost_us=min(lost_us, greeting.lost_us))

    def _mind(self, guild: GuildId, admission: Admission) -> None:
        """Says that a guild's mailbox takes nothing, once until it takes something again; it counts by itself."""
        if admission in (Admission.ACCEPTED, Admission.COALESCED):
            self._full.discard(guild)
            return
        if admission is Admission.GAP:
            self._roster.note_missing(guild, self.lost_us if self._is_replaying else self._clock.stamp_us())
        if guild not in self._full:
            self._full.add(guild)
            self._log.warning("dispatch.dropped", guild=guild, why=admission.value)

    def _set_aside(self, what: Unreadable) -> None:
        self._tally.unreadable += 1
        guild = what.told[0].guild if what.told else ""
        self._log.error("dispatch.unreadable", name=what.name, guild=guild, digest=what.digest, reason=what.reason)
        self._keep(what.digest, what.payload)

    def _is_ours(self, guild: GuildId) -> bool:
        number, count = self._slot
        return (int(guild) >> SHARD_SHIFT) % count == number
