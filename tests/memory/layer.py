"""A layer in memory, with faults on request: what the database or the log does when it fails, without a disk.

It keeps the contract of every layer (the same suite runs on it); ``fail_next``, ``go_away``, ``lose`` and ``flip`` do
what the world does. "Durable" means: in this object, whatever was opened or closed in between.
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

import msgspec

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from persistence.chains import Chains, appends, itself
from persistence.checkpoints import KEPT
from persistence.frames import Frame, unseal
from persistence.layer import Checkpoint, LayerSummary, Place
from persistence.lists import Lists


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """The next append raises ``error``; ``took_effect`` says whether its frames are kept all the same."""

    error: StorageError
    took_effect: bool


class MemoryLayer:
    """A ``Layer`` of dictionaries."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._frames: dict[int, bytes] = {}
        self._checkpoints: dict[GuildId, list[Checkpoint]] = {}
        self._guilds: dict[GuildId, list[Frame]] = {}
        self._term = (0, "")
        self._fault: Fault | None = None
        self._away: StorageError | None = None
        self._open = False
        self.quarantine: list[bytes] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def lists(self) -> Lists | None:
        return None

    # What the world does

    def fail_next(self, error: StorageError, *, took_effect: bool) -> None:
        """Lets the next append fail, before or after it took effect."""
        self._fault = Fault(error=error, took_effect=took_effect)

    def heal_next(self) -> None:
        """Takes back ``fail_next``."""
        self._fault = None

    def go_away(self, error: StorageError) -> None:
        """Lets everything fail until ``come_back``."""
        self._away = error

    def come_back(self) -> None:
        """Ends ``go_away``."""
        self._away = None

    def lose(self, first_gsn: int, last_gsn: int) -> None:
        """Loses records, as a damaged file does."""
        for gsn in range(first_gsn, last_gsn + 1):
            self._frames.pop(gsn, None)

    def flip(self, gsn: int, byte: int) -> None:
        """Flips one bit of a record."""
        data = bytearray(self._frames[gsn])
        data[byte] ^= 1
        self._frames[gsn] = bytes(data)

    # What every layer does

    async def open(self) -> LayerSummary:
        self._answer()
        self._open = True
        return self._summary()

    async def begin(self, epoch: int, lineage: str) -> None:
        self._use()
        self._term = (epoch, lineage)

    async def append(self, frames: Sequence[Frame]) -> None:
        self._use()
        fault, self._fault = self._fault, None
        if fault is None or fault.took_effect:
            self._frames.update((frame.record.gsn, frame.data) for frame in frames)
        if fault is not None:
            self._open = False
            raise fault.error
        for append in appends(frames, itself):
            self._take(append)

    async def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        self._use()
        last = max(self._frames, default=0)
        lost = {frame.record.gsn: frame.data for frame in frames if frame.record.gsn <= last}
        self._frames = dict(sorted((lost | self._frames).items()))
        return self._summary()

    async def set_aside(self, after_gsn: int) -> LayerSummary:
        self._use()
        self.quarantine += [data for gsn, data in self._frames.items() if gsn > after_gsn]
        self._frames = {gsn: data for gsn, data in self._frames.items() if gsn <= after_gsn}
        for guild, known in self._checkpoints.items():
            self._checkpoints[guild] = [each for each in known if each.header.gsn <= after_gsn]
        return self._summary()

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        self._use()
        for data in [data for number, data in self._frames.items() if number > gsn]:
            yield unseal(data, self._name)

    async def reread(self, gsn: int) -> AsyncIterator[Sequence[Frame]]:
        async for frame in self.frames_after(gsn):
            yield [frame]

    async def guild_lines(self, guild: GuildId, after_seq: int) -> Sequence[bytes]:
        self._use()
        found = [frame.record for frame in self._guilds.get(guild, []) if frame.record.seq > after_seq]
        return [self._frames.get(record.gsn, b"") for record in found]

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._use()
        known = self._checkpoints.get(checkpoint.header.guild, [])
        place, forgot_seq = _place_of(checkpoint), checkpoint.header.forgot_seq
        kept = [each for each in known if each.header.seq >= forgot_seq and _place_of(each) != place]
        kept = sorted([*kept, checkpoint], key=_place_of)
        self._checkpoints[checkpoint.header.guild] = kept[-KEPT:]

    def checkpoint_guilds(self) -> Collection[GuildId]:
        return self._checkpoints

    def checkpoint_places(self, guild: GuildId) -> Sequence[Place]:
        return [_place_of(each) for each in reversed(self._checkpoints.get(guild, []))]

    async def checkpoint(self, guild: GuildId, place: Place) -> Checkpoint | None:
        self._use()
        return next((each for each in self._checkpoints.get(guild, []) if _place_of(each) == place), None)

    async def drop_checkpoint(self, guild: GuildId, place: Place) -> None:
        self._use()
        self._checkpoints[guild] = [each for each in self._checkpoints.get(guild, []) if _place_of(each) != place]

    def take_notes(self) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        self._open = False

    def _use(self) -> None:
        self._answer()
        assert self._open, "a layer is used between open and its first error"

    def _answer(self) -> None:
        if self._away is not None:
            self._open = False
            raise self._away

    def _summary(self) -> LayerSummary:
        """Verifies all that is kept, from the first record on."""
        self._chains = Chains(self._digest_at, self._anchors)
        self._guilds = {}
        last = max(self._frames, default=0)
        aside: Counter[GuildId] = Counter()
        for append in appends(self._readable(), itself):
            if not self._take(append):
                aside[append[0].record.guild] += len(append)
        gone = [gsn for gsn in range(1, last + 1) if gsn not in self._frames]
        return LayerSummary(
            epoch=max([self._term[0], *(head.epoch for head in self._chains.heads.values())]),
            lineage=self._term[1],
            gsn=last,
            heads=dict(self._chains.heads),
            missing=tuple((gsn, gsn) for gsn in gone),
            aside=dict(aside),
            notes=tuple(f"gsn {gsn} cannot be read" for gsn in gone),
        )

    def _readable(self) -> list[Frame]:
        found: list[Frame] = []
        for gsn, data in list(self._frames.items()):
            try:
                found.append(unseal(data, self._name))
            except Corrupt:
                self.quarantine.append(self._frames.pop(gsn))
        return found

    def _take(self, append: Sequence[Frame]) -> bool:
        if not self._chains.take(append):
            return False
        first = append[0].record
        kept = self._guilds.setdefault(first.guild, [])
        while kept and kept[-1].record.seq >= first.seq:
            kept.pop()
        kept.extend(append)
        return True

    def _digest_at(self, guild: GuildId, seq: int) -> bytes | None:
        for frame in self._guilds.get(guild, []):
            if frame.record.seq == seq:
                return frame.digest
        return None

    def _anchors(self, guild: GuildId) -> Mapping[int, bytes]:
        headers = [checkpoint.header for checkpoint in self._checkpoints.get(guild, [])]
        return {header.seq: bytes.fromhex(header.digest) for header in headers}


def _place_of(checkpoint: Checkpoint) -> Place:
    return checkpoint.header.epoch, checkpoint.header.seq
