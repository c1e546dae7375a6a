"""When a guild's state is to be kept as a checkpoint: what of it was kept, and how much was recorded since.

A state that grew is kept; one in which something was forgotten, until every layer has taken it: what older ones
know is not to be known any more.
"""

from typing import Final

from ledger.ports import Clock
from ledger.state import GuildState

CHECKPOINT_BYTES: Final = 64_000
"""A checkpoint is due when the guild's log since the last one is longer than this, or than half the state."""
CHECKPOINT_AGE_S: Final = 300.0
"""Or when anything was recorded since the last one, and that is older than this; a large state's is, in proportion,
older, since no disk should take 20 MB every five minutes for a join or two.
"""
LARGE_BYTES: Final = 1_000_000


class Checkpointing:
    """One life's account of its guild's checkpoints. ``seq``: where the newest one stands, 0 = there is none."""

    __slots__ = ("_clean_at_s", "_clean_seq", "_clock", "_kept_at_s", "_recorded_bytes", "_state_bytes", "seq")

    def __init__(self, clock: Clock) -> None:
        self.seq = 0
        self._clock = clock
        self._kept_at_s = clock.monotonic_s()
        self._recorded_bytes = self._state_bytes = 0
        self._clean_seq = 0
        """Where the newest one stands that every layer took. A life begins with a new one where anything was
        forgotten: it cannot tell which layers took the last one."""
        self._clean_at_s = 0.0

    def found(self, seq: int, state_bytes: int) -> None:
        """The life began with a checkpoint of so many bytes; 0 = with none."""
        self.seq, self._state_bytes = seq, state_bytes

    def recorded(self, size_bytes: int) -> None:
        """So much was appended to the guild's log."""
        self._recorded_bytes += size_bytes

    def tries(self) -> None:
        """One is being made: should a layer not take it, the next try to forget there is put off."""
        self._clean_at_s = self._clock.monotonic_s() + CHECKPOINT_AGE_S

    def copied(self) -> None:
        """It holds what was recorded until now."""
        self._recorded_bytes = 0

    def kept(self, seq: int, state_bytes: int, *, everywhere: bool) -> None:
        """It was taken, by every layer or by some."""
        self.seq, self._state_bytes, self._kept_at_s = seq, state_bytes, self._clock.monotonic_s()
        if everywhere:
            self._clean_seq, self._clean_at_s = seq, 0.0

    def has_all(self, state: GuildState) -> bool:
        """Whether the newest one is of this state, and none anywhere knows too much."""
        return self.seq == state.seq and not self._knows_too_much(state)

    def has_put_off(self, state: GuildState) -> bool:
        """Whether a layer may know too much, and is not to be tried again yet."""
        return self._knows_too_much(state) and self._clock.monotonic_s() < self._clean_at_s

    def is_due(self, state: GuildState) -> bool:
        now_s = self._clock.monotonic_s()
        if self._knows_too_much(state) and now_s >= self._clean_at_s:
            return True
        if state.seq == self.seq:
            return False
        too_long = self._recorded_bytes > max(CHECKPOINT_BYTES, self._state_bytes // 2)
        old_s = CHECKPOINT_AGE_S * max(1.0, self._state_bytes / LARGE_BYTES)
        return too_long or now_s - self._kept_at_s > old_s

    def _knows_too_much(self, state: GuildState) -> bool:
        """Whether a layer may still have a checkpoint of before something was forgotten."""
        return self._clean_seq < state.forgot_seq
