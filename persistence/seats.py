"""A layer's seat in the store: the layer, what it was last known to hold, and what is wrong with it.

A seat whose layer raised is broken until the layer was closed, opened and brought up to date again. One whose term
could not be begun is broken too, but can still be read.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from persistence.chains import NO_HEAD
from persistence.frames import Frame
from persistence.layer import Head, Layer, LayerSummary, guild_frames
from persistence.salvage import Salvage
from persistence.scan import runs, united


class Seat:
    """One layer. ``gsn``: its last record. Since it was opened: ``fed``: how many records others gave it;
    ``is_doubted``: somewhere it holds others than another seat, whatever their heads say.

    ``openings``: how often the layer was opened: whoever was reading in it begins anew. ``trails``: it is not written
    in each batch and may lag; what it lacks is given to it beside the others' work. ``promised``: one that
    trails, and holds whatever was acknowledged all the same. ``known``: it told what it holds.
    """

    def __init__(self, layer: Layer, *, trails: bool = False, promised: bool = False) -> None:
        self.layer = layer
        self.trails = trails
        self.promised = promised
        self.gsn = 0
        self.fed = 0
        self.is_doubted = False
        self.openings = 0
        self.known = False
        self.summary = LayerSummary(epoch=0, lineage="", gsn=0, heads={})
        self.trouble: StorageError | Corrupt | None = None
        self._read_only = False

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def healthy(self) -> bool:
        return self.trouble is None

    @property
    def readable(self) -> bool:
        return self.healthy or self._read_only

    @contextmanager
    def minding(self) -> Iterator[None]:
        """What the layer raises in this block breaks the seat and goes no further; ask ``healthy`` behind it."""
        try:
            yield
        except (StorageError, Corrupt) as error:
            self.trouble = error
            self._read_only = False

    async def open(self) -> None:
        """Opens the layer (anew) and learns what it holds; where that fails, the seat stays broken."""
        with self.minding():
            await self.layer.close()
            self.openings += 1
            self.learn(await self.layer.open())
            self.fed = 0
            self.is_doubted = False
            self.trouble = None

    async def look_again(self) -> None:
        """Learns anew what the layer holds: reading it may have shown that it lacks more."""
        with self.minding():
            self.learn(await self.layer.open())

    async def begin(self, epoch: int, lineage: str) -> None:
        """Begins a term; where that fails, the seat is broken, and opened once more so that it can be read."""
        with self.minding():
            await self.layer.begin(epoch, lineage)
        refused = self.trouble
        if refused is not None:
            await self.open()
            self._read_only = self.healthy
            self.trouble = refused

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        """The layer's frames behind a gsn; where reading fails, the seat breaks and the stream ends."""
        if self.readable:
            with self.minding():
                async for frame in self.layer.frames_after(gsn):
                    yield frame

    async def chain(self, guild: GuildId, after_seq: int) -> Sequence[Frame]:
        """A guild's frames behind a seq; where reading fails, the seat breaks and there are none."""
        if self.readable:
            with self.minding():
                return await guild_frames(self.layer, guild, after_seq)
        return ()

    async def digest_at(self, guild: GuildId, seq: int) -> bytes | None:
        """The digest of a record on a guild's chain; None = it is not there, or reading fails."""
        frames = await self.chain(guild, seq - 1)
        return frames[0].digest if frames and frames[0].record.seq == seq else None

    async def keep(self, frames: Sequence[Frame], salvage: Salvage) -> None:
        """Has frames kept for their facts; where that fails, the seat is broken."""
        with self.minding():
            await salvage.keep(_stream(frames))

    async def set_aside(self, after_gsn: int, salvage: Salvage) -> None:
        """Parts with what lies behind a gsn, once that is kept; where either fails, the seat is broken."""
        with self.minding():
            await salvage.keep(self.layer.frames_after(after_gsn))
            self.learn(await self.layer.set_aside(after_gsn))

    def took(self, frames: Sequence[Frame]) -> None:
        """Notes a batch that is in the layer now; the gsns that it jumps over are missing there."""
        for run in runs(frames):
            self.do_without(run[0].record.gsn - 1)
            self.gsn = run[-1].record.gsn

    def do_without(self, gsn: int) -> None:
        """Notes that what the layer has not yet, up to a gsn, nobody can give it: it goes on behind that."""
        if gsn > self.gsn:
            missing = (*self.summary.missing, (self.gsn + 1, gsn))
            self.summary = msgspec.structs.replace(self.summary, missing=missing)
            self.gsn = gsn

    async def begin_mend(self, gsn: int, salvage: Salvage) -> None:
        """Before records are put back or set aside: from there on others may stand on no chain then. Where that
        cannot be noted, the seat is broken.
        """
        with self.minding():
            await salvage.begin_mend(gsn)

    def learn(self, summary: LayerSummary) -> None:
        """Notes what the layer says that it holds."""
        self.known = True
        self.summary = summary
        self.gsn = summary.gsn

    def readable_end(self) -> int:
        """The last gsn that can be read: before ``gsn`` where the layer's newest records have rotted."""
        missing = united(self.summary.missing)
        return missing[-1][0] - 1 if missing and missing[-1][1] == self.gsn else self.gsn

    def epoch(self) -> int:
        """The newest epoch of a record, 0 = none."""
        return max((head.epoch for head in self.summary.heads.values()), default=0)

    def rank(self) -> tuple[int, int]:
        """What orders layers: the newest epoch of a record, then the gsn."""
        return self.epoch(), self.gsn


def newest_of(seats: Sequence[Seat]) -> Seat | None:
    """The seat with the highest rank, of those that can be read; of equal ones the first. None = there is none."""
    return max((seat for seat in seats if seat.readable), key=Seat.rank, default=None)


def merged_heads(seats: Iterable[Seat]) -> dict[GuildId, Head]:
    """The newest head of each guild in any of these seats."""
    heads: dict[GuildId, Head] = {}
    for seat in seats:
        for guild, head in seat.summary.heads.items():
            known = heads.get(guild, NO_HEAD)
            if (head.epoch, head.seq) > (known.epoch, known.seq):
                heads[guild] = head
    return heads


def others_of(seat: Seat, seats: Iterable[Seat]) -> list[Seat]:
    """The other seats that can be read."""
    return [other for other in seats if other is not seat and other.readable]


def behind_and_ahead(one: Seat, other: Seat) -> tuple[Seat, Seat]:
    """Two seats, the one that ends earlier first."""
    return (one, other) if one.gsn <= other.gsn else (other, one)


def troubles(seats: Iterable[Seat]) -> str:
    """What is wrong with which of them, in one line."""
    return "; ".join(f"{seat.name}: {seat.trouble}" for seat in seats if seat.trouble is not None)


async def _stream(frames: Sequence[Frame]) -> AsyncIterator[Frame]:
    for frame in frames:
        yield frame
