"""What the oracle knows of each guild, independently of the program: its chain, what was promised, its shadow state.

Every frame that can ever become durable passes a layer; the book keeps them all. After a batch whose outcome is
unknown, or a recovery, the guild's head names the chain that is in force, and the book follows it back.
"""

from collections.abc import Sequence

from ledger.evolve import evolve
from ledger.ids import GuildId
from ledger.records import CreationLogged, GuildForgotten, InviteCreated, JoinRecorded, Record, SampleTaken
from ledger.state import GuildState, pages_of
from persistence.frames import GENESIS, Frame, follows
from persistence.layer import Head
from tests.simulation.town import NO_INVITE, Identity
from tests.simulation.violation import Violation


class GuildBook:
    """One guild.

    ``frames``: the chain in force, by seq from 1; ``promised``: the highest seq that was acknowledged in every named
    layer; ``confirmed``: the highest seq that was found durable in any; ``state``: all of ``frames``, evolved.
    """

    def __init__(self, guild: GuildId) -> None:
        self.guild = guild
        self.frames: list[Frame] = []
        self.promised = 0
        self.confirmed = 0
        self.incarnation = 0
        self.state = GuildState(guild=guild)
        self._ever: dict[int, dict[bytes, Frame]] = {}

    @property
    def records(self) -> list[Record]:
        return [frame.record for frame in self.frames]

    def has_salvaged(self) -> bool:
        """Whether a branch that lost told of a join: this history had not heard of it in time."""
        events = (record.event for record in self.records)
        return any(isinstance(event, JoinRecorded) and event.origin == "salvaged" for event in events)

    def told_of(self) -> tuple[set[Identity], int]:
        """Every invite that a sample or an event has told of, and when the first sample was answered (0 = never)."""
        invites, first_us = {NO_INVITE}, 0
        for record in self.records:
            match record.event:
                case GuildForgotten():
                    invites, first_us = {NO_INVITE}, 0
                case SampleTaken() as taken:
                    invites |= {(each.code, each.created_at_us) for each in taken.changed}
                    first_us = first_us or taken.answered_us
                case InviteCreated() as born:
                    invites.add((born.invite.code, born.invite.created_at_us))
                case CreationLogged() as logged:
                    invites.add((logged.code, logged.at_us))
                case _:
                    pass
        return invites, first_us

    def note(self, frame: Frame) -> None:
        """A layer was given this frame."""
        self._ever.setdefault(frame.record.seq, {})[frame.digest] = frame

    def frame(self, record: Record) -> Frame:
        """The frame of a record that a layer was given, last if there are several.

        Raises:
            Violation: when no layer ever was.
        """
        for frame in reversed(self._ever.get(record.seq, {}).values()):
            if frame.record == record:
                return frame
        raise Violation("I3", f"guild {self.guild}: no layer was given {record}")

    def extend(self, frames: Sequence[Frame]) -> None:
        """These became the end of the chain."""
        for frame in frames:
            self.frames.append(frame)
            evolve(self.state, frame.record)

    def follow(self, head: Head | None) -> int:
        """Takes the chain that leads to this head; gives the seq up to which it is the one known before.

        Raises:
            Violation: when nothing that was written leads there.
        """
        back: list[Frame] = []
        seq, digest = (head.seq, head.digest) if head is not None else (0, GENESIS)
        while seq and not self._stands_at(seq, digest):
            frame = self._ever.get(seq, {}).get(digest)
            if frame is None:
                raise Violation("I3", f"guild {self.guild}: nothing that was written leads to seq {seq}")
            back.append(frame)
            seq, digest = seq - 1, self._before(frame)
        if seq < len(self.frames):
            del self.frames[seq:]
            self.state = self.fold(seq)
        self.extend(back[::-1])
        return seq

    def fold(self, seq: int) -> GuildState:
        """The state right after the record ``seq``, from the first record on."""
        state = GuildState(guild=self.guild)
        for frame in self.frames[:seq]:
            evolve(state, frame.record)
        return state

    def pages_at(self, seq: int) -> tuple[bytes, ...]:
        """That state as a checkpoint holds it."""
        return tuple(pages_of(self.state if seq == len(self.frames) else self.fold(seq)))

    def _stands_at(self, seq: int, digest: bytes) -> bool:
        return seq <= len(self.frames) and self.frames[seq - 1].digest == digest

    def _before(self, frame: Frame) -> bytes:
        seq = frame.record.seq
        if seq == 1:
            return GENESIS
        return next((digest for digest in self._ever.get(seq - 1, {}) if follows(frame, digest)), b"")
