"""Guilds' states, folded from the records of a log: the same function that the guild's actor replays with.

Where records that are missing keep a guild from being folded, it is opened as a recovery would: from the newest
checkpoint on its chain, and the records behind that.
"""

import hashlib
from collections.abc import Callable, Sequence

from ledger.evolve import evolve
from ledger.ids import GuildId
from ledger.records import Record
from ledger.state import GuildState, from_pages, pages_of
from persistence.layer import Checkpoint
from persistence.reading import Reading


class States:
    """The states of all guilds of a reading, which goes on. ``lost``: guilds with missing records."""

    def __init__(self, reading: Reading, checkpoints: Callable[[GuildId], Sequence[Checkpoint]]) -> None:
        self._reading = reading
        self._checkpoints = checkpoints
        self.held: dict[GuildId, GuildState] = {}
        self.lost: set[GuildId] = set()

    def take(self, record: Record) -> None:
        """The next record that stands; one with a seq that came before supersedes that one and all behind it."""
        guild = record.guild
        state = self.held.get(guild) or GuildState(guild=guild)
        if record.seq <= state.seq:
            state = self._from_the_beginning(guild, record.seq - 1)
        if record.seq != state.seq + 1:
            self.lost.add(guild)
        if guild not in self.lost:
            self.held[guild] = evolve(state, record)

    def find_lost(self, guild: GuildId, seq: int) -> bool:
        """Opens a guild with missing records from a checkpoint, up to ``seq``; whether that could be done."""
        self.held.pop(guild, None)
        state = self._from_a_checkpoint(guild, seq)
        if state is not None:
            self.held[guild] = state
        return state is not None

    def at(self, guild: GuildId, seq: int) -> GuildState | None:
        """One guild's state, once all was read; nothing is held. None = records are missing."""
        state = self._from_the_beginning(guild, seq)
        return state if state.seq == seq else self._from_a_checkpoint(guild, seq)

    def recovered(self, guild: GuildId, seq: int) -> GuildState | None:
        """The same as a recovery makes it: from the newest checkpoint on the chain, else from the first record."""
        state = self._from_a_checkpoint(guild, seq)
        return self.at(guild, seq) if state is None else state

    def _from_a_checkpoint(self, guild: GuildId, seq: int) -> GuildState | None:
        for checkpoint in self._checkpoints(guild):
            header = checkpoint.header
            if header.seq <= seq and self._reading.digest_at(guild, header.seq) == bytes.fromhex(header.digest):
                state = self._on(from_pages(checkpoint.pages), seq)
                if state.seq == seq:
                    return state
        return None

    def _from_the_beginning(self, guild: GuildId, seq: int) -> GuildState:
        return self._on(GuildState(guild=guild), seq)

    def _on(self, state: GuildState, seq: int) -> GuildState:
        """The state up to ``seq``, or up to the first record that is missing."""
        for frame in self._reading.each_guild_frame(state.guild, state.seq):
            if frame.record.seq != state.seq + 1 or frame.record.seq > seq:
                break
            state = evolve(state, frame.record)
        return state


def state_digest(state: GuildState) -> str:
    """SHA-256 (hex) over a state as a checkpoint would hold it."""
    digest = hashlib.sha256()
    for page in pages_of(state):
        digest.update(page)
    return digest.hexdigest()
