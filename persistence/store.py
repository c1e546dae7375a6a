"""The layers as one: what is durable, in which of them, and what comes back.

Rules: the first layer is the log, the commit point; the others follow it. A record is numbered and sealed once, and
every layer gets the same bytes. A layer that fails is broken and the rest goes on; where none took a batch and the
outcome is unknown, nothing is appended until ``restart_epoch`` has read everything back. The cloud gets the records
in its own time (``persistence/following.py``) and is asked at each start: another process may have gone on there.
What is waited for, and how long, is the journal's business (``actors/journal.py``); there are no tasks here, and one
caller.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from ledger.errors import Corrupt, Fenced, NotConfirmed, StorageError
from ledger.ids import GuildId
from ledger.ports import Clock, Randomness
from ledger.records import Record
from persistence import holes, recovery
from persistence.chains import NO_HEAD, head_of
from persistence.checkpoints import checkpoint_of
from persistence.following import Following
from persistence.frames import Frame
from persistence.layer import Checkpoint, FencedLayer, Head, Layer, LayerSummary
from persistence.leading import leader_of
from persistence.lists import Lists
from persistence.numbering import Append, Numbering
from persistence.proofs import Witness
from persistence.rehydration import Opened, are_whole, open_guild
from persistence.salvage import Salvage
from persistence.seats import Seat, merged_heads, newest_of, troubles
from persistence.terms import Terms

T = TypeVar("T")

_READ_BACK_FIRST: Final = "an earlier batch has an unknown outcome; the layers have to be read back first"

__all__ = ["Append", "Appended", "LayerHealth", "LayerStart", "Opened", "StartReport", "Store"]


class Appended(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An append that is durable, and where: names of layers. ``size_bytes``: its frames in the log."""

    records: tuple[Record, ...]
    head: Head
    size_bytes: int
    durable_in: frozenset[str]


class LayerStart(msgspec.Struct, frozen=True, kw_only=True):
    """A layer after start: its last gsn, its guilds, how many records others gave it; ``error``: "" = healthy.

    ``found``: the newest epoch of a record and the last gsn that it had when it was read: the highest one leads, of
    equal ones the first; None = it could not be read.
    """

    name: str
    found: tuple[int, int] | None
    gsn: int
    guilds: int
    fed: int
    error: str


class StartReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a start found and did.

    ``leader``: the layer that won; ``missing``: ranges of gsn (first, last) that were durable and are in no layer any
    more; ``aside``: how many records of each guild are there and on no chain, so that they count for nothing;
    ``notes``: sentences for the operator.
    """

    epoch: int
    lineage: str
    leader: str
    layers: tuple[LayerStart, ...]
    missing: tuple[tuple[int, int], ...]
    aside: Mapping[GuildId, int]
    notes: tuple[str, ...]


class LayerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A layer now. ``gsn``: the last that it is known to hold; ``behind``: how many of the process it lacks."""

    name: str
    healthy: bool
    gsn: int
    behind: int
    error: str


class Store:
    """Started once, then used by one caller at a time."""

    def __init__(
        self,
        layers: Sequence[Layer],
        clock: Clock,
        randomness: Randomness,
        cloud: FencedLayer | None,
        salvage: Salvage,
        *,
        named: frozenset[str],
        may_begin_anew: bool,
    ) -> None:
        """``layers``: the log first. They and the cloud belong to the store: ``close`` closes them.

        ``cloud`` None = none. ``salvage``: who keeps branches that lost. ``named``: the layers of LEDGER_ACK, each of
        which holds whatever was acknowledged. ``may_begin_anew``: a new history begins where all is empty here and
        the cloud does not answer.
        """
        self._named = named
        self.salvage = salvage
        self._near = tuple(Seat(layer) for layer in layers)
        self.following = None if cloud is None else Following(cloud, promised=cloud.name in named)
        self._seats = self._near if self.following is None else (*self._near, self.following.seat)
        self._terms = Terms(self._near, self.following, randomness, may_begin_anew=may_begin_anew)
        self._clock = clock
        self._heads: dict[GuildId, Head] = {}
        self._gsn = 0
        self._acknowledged = 0
        self._owed = (0, 0)
        """The rank that a start has found and did not live to reach; the cloud may be away at the next one."""
        self._in_doubt = True
        self.witness = Witness()
        self.leader = ""
        """The layer that won at the first start: what this process came back from."""
        self.doing = ""
        """What a start is at, in words; "" = none is under way."""

    async def start(self) -> StartReport:
        """Opens every layer, takes an epoch, makes all layers equal to the newest.

        Raises:
            NewerFormat: when a later release wrote one of them; nothing was touched.
            WrongHistory: when layers hold different histories; nothing was touched.
            Stale: when another process has taken over in the cloud.
            StorageError: when no layer can be opened, or none of those that LEDGER_ACK names; when the newest one
                failed before another had its records, or less can be read than this process has acknowledged; or when
                all that can be read is empty, and the cloud is away, or another layer cannot be read: they may know
                more. To be tried again.
        """
        try:
            if self.following is None:
                return await self._start()
            async with self.following.alone:
                return await self._start()
        finally:
            self.doing = ""
            self._terms.ended()

    async def _start(self) -> StartReport:
        for seat in self._seats:
            self.doing = f"reading {seat.name}"
            await self._open(seat)
        for seat in self._near:
            if not seat.healthy:
                await self._open(seat)  # whoever leads is found now: an error that passes shall not cost it its say
        self.doing = "comparing the layers"
        newest = newest_of(self._seats)
        if newest is None or not self._knows_what_was_acknowledged():
            raise self._nobody()
        await self._terms.mind()
        found = {seat.name: seat.rank() for seat in self._seats if seat.readable}
        wanted = self._owed = max(newest.rank(), self._owed) if self._terms.is_cloud_away() else newest.rank()
        notes = [f"{seat.name}: {what}" for seat in self._seats for what in seat.summary.notes + seat.summary.remarks]
        notes += await self.salvage.open()
        await self._terms.take()
        rank = newest.rank()
        notes += await holes.fill(self._seats, self.salvage)
        leader = await leader_of(self._seats)
        if leader is None:
            raise self._nobody()
        if newest.readable and newest.rank() < rank == wanted:
            # What was put back took the place of what had the highest epoch; or that cannot be read any more.
            wanted = self._owed = newest.rank()
        if leader.trails:
            # Others may have gone on from there, however far the branch of this folder leads.
            wanted = self._owed = leader.rank()
            self._acknowledged = min(self._acknowledged, leader.gsn)
        holders = [seat for seat in self._seats if seat.healthy and seat.gsn >= self._acknowledged]
        self.doing = f"giving the others what {leader.name} has"
        notes += await recovery.heal(self._seats, leader, self.salvage)
        notes += holes.lacking(self._seats)
        self._terms.mind_overtaken()
        self._go_on_from(wanted, holders)
        self._terms.began()
        self._in_doubt = False
        self._owed = (0, 0)
        self.leader = self.leader or leader.name
        return self._report(leader, found, notes)

    async def _open(self, seat: Seat) -> None:
        await seat.open()
        self._terms.mind_lineage(seat)

    async def restart_epoch(self) -> StartReport:
        """After an unknown outcome: reads every layer back and takes an epoch that no record has (see ``start``)."""
        self._in_doubt = True
        return await self.start()

    async def append(self, appends: Sequence[Append]) -> Sequence[Appended | Fenced]:
        """Makes a batch durable: the log first, then the others. Answers in the order of ``appends``.

        An append whose ``base_seq`` is not its guild's head is answered with ``Fenced``; the others go on.

        Raises:
            StorageError: when no layer took it; ``NotConfirmed``: and it is not known whether one did, now or before:
                then only ``restart_epoch`` helps.
        """
        if self._in_doubt:
            raise NotConfirmed(_READ_BACK_FIRST)
        numbering = Numbering(self._heads, self._gsn, self._terms.epoch, self._clock.now_ms())
        sealed = [numbering.take(append) for append in appends]
        durable_in: frozenset[str] = frozenset()
        if numbering.frames:
            durable_in = await self._write(numbering.frames)
            self._gsn = self._acknowledged = numbering.frames[-1].record.gsn
            self._heads.update(numbering.moved)
            self.witness.note(numbering.frames)
            if self.following is not None:
                self.following.push(numbering.frames)
        return [frames if isinstance(frames, Fenced) else _appended(frames, durable_in) for frames in sealed]

    async def catch_up(self) -> bool:
        """Opens broken layers again and gives them what they miss; True when all layers are whole (but the cloud).

        False as well when one holds what this process has not written: then only ``restart_epoch`` helps.
        """
        for seat in self._near:
            if not seat.healthy and not self._in_doubt:
                await self._bring_back(seat)
        return not self._in_doubt and all(seat.healthy for seat in self._near)

    async def open_guild(self, guild: GuildId) -> Opened:
        """The guild's newest valid state: checkpoint and records behind it (``persistence/rehydration.py``).

        Raises:
            Corrupt: when no layer holds an unbroken chain up to the guild's head.
            StorageError: when no layer can be read, or ``restart_epoch`` has to come first.
        """
        if self._in_doubt:
            raise NotConfirmed(_READ_BACK_FIRST)
        known = self._heads.get(guild)
        try:
            opened = await open_guild(self._near, guild, known, self._terms.lineage)
        except (Corrupt, StorageError):
            if self.following is None or not self.following.seat.healthy:
                raise
            opened = await open_guild(self._seats, guild, known, self._terms.lineage)  # slower: over the network
        if opened.head is not None:
            self._heads[guild] = opened.head
            self._gsn = max(self._gsn, opened.head.gsn)
        return opened

    async def vet(self, guild: GuildId, opened: Opened) -> None:
        """Breaks the layer that a guild came back from, where the checksum of one of its frames differs.

        Its records are what was written, by the chain; but whoever reads the layer anew goes by checksums, and would
        leave such a frame out, with all that stands behind it. So it is mended before anything does.
        """
        (seat,) = (seat for seat in self._seats if seat.name == opened.layer)
        with seat.minding():
            if seat.healthy and not await are_whole(opened.lines):
                raise Corrupt(f"{seat.name}, guild {guild}", "checksum differs")

    async def save_checkpoint(
        self,
        guild: GuildId,
        head: Head,
        pages: tuple[bytes, ...],
        *,
        forgot_seq: int = 0,
        read_back: bool = False,
    ) -> Mapping[str, str]:
        """Keeps a guild's state as of ``head`` in every healthy layer; one that fails is broken.

        ``forgot_seq``: the newest record that forgot anything, 0 = none; checkpoints of before it go.
        ``read_back``: and asks each layer for it once more, through the way a recovery takes; one that does not give
        the same bytes is broken as well. Gives what became of it by layer: "" or what went wrong.

        Raises:
            StorageError: when no layer took it.
        """
        digest = await _digest_of(pages)
        checkpoint = checkpoint_of(guild, head, self._terms.lineage, pages, forgot_seq=forgot_seq, digest=digest)
        for seat in self._healthy():
            with seat.minding():
                await seat.layer.save_checkpoint(checkpoint)
                if read_back:
                    await _compare(seat.layer, checkpoint)
        if not self._healthy():
            raise self._nobody()
        return {health.name: health.error for health in self.health()}

    async def frames_after(self, gsn: int, limit: int) -> Sequence[Frame]:
        """At least ``limit`` frames behind a gsn if there are so many, whole appends, of the last layer that works.

        The last, because the database finds them faster than the log.

        Raises:
            StorageError: when no layer can be read.
        """
        for seat in reversed(self._healthy()):
            if seat.gsn <= gsn:
                continue
            with seat.minding():
                return await _some(seat.layer.frames_after(gsn), limit)
        raise self._nobody()

    async def in_force(self, records: Sequence[Record]) -> list[Record]:
        """Those of the records that are held now, in order; the others lie in a branch that lost, or nowhere.

        Raises:
            StorageError: when no layer can be read.
        """
        wanted = {record.gsn: record for record in records}
        if not wanted:
            return []
        for seat in reversed(self._healthy()):
            with seat.minding():
                frames = seat.layer.frames_after(min(wanted) - 1)
                return [frame.record async for frame in frames if wanted.get(frame.record.gsn) == frame.record]
        raise self._nobody()

    async def read(self, query: Callable[[Lists], Awaitable[T]]) -> T:
        """Runs a query on the lists of the first healthy layer that has them. What the query itself raises, passes.

        Raises:
            StorageError: when there is none; or the layer raised, and is broken.
        """
        if self._in_doubt:
            raise NotConfirmed(_READ_BACK_FIRST)
        for seat in self._healthy():
            lists = seat.layer.lists
            if lists is not None:
                with seat.minding():
                    return await query(lists)
        raise StorageError(f"lists and names cannot be read now: {troubles(self._seats)}")

    async def look_into(self, name: str, query: Callable[[Seat], Awaitable[T]]) -> T:
        """Runs a short query on a layer that every batch is written into.

        Raises:
            StorageError: when that layer cannot be read now.
            Corrupt, StorageError: what the query raised; the layer is broken then.
        """
        if self._in_doubt:
            raise NotConfirmed(_READ_BACK_FIRST)
        seat = next(seat for seat in self._near if seat.name == name)
        if seat.trouble is not None:
            raise StorageError(f"{name} cannot be read now: {seat.trouble}")
        with seat.minding():
            return await query(seat)
        raise seat.trouble

    def guilds(self) -> tuple[GuildId, ...]:
        """Every guild that anything is recorded of."""
        return tuple(self._heads)

    @property
    def epoch(self) -> int:
        """The epoch of this process, 0 = none yet."""
        return self._terms.epoch

    @property
    def held(self) -> int:
        """The epoch that this process has in the cloud, also while it still makes the layers equal; 0 = none."""
        is_fenced = self.following is not None and self.following.fenced
        return self._terms.beginning or (self._terms.epoch if is_fenced else 0)

    def near(self) -> tuple[str, ...]:
        """The names of the layers that every batch is written into, the log first."""
        return tuple(seat.name for seat in self._near)

    def newest_gsn(self) -> int:
        """The last record's."""
        return self._gsn

    def is_in_doubt(self) -> bool:
        """Whether the layers have to be read back (``restart_epoch``) before anything else."""
        return self._in_doubt

    def health(self) -> tuple[LayerHealth, ...]:
        """Each layer as it is now, in order."""
        return tuple(_health(seat, self._gsn) for seat in self._seats)

    def head_of(self, guild: GuildId) -> Head:
        """The guild's newest record in the layers that are healthy; ``NO_HEAD`` = it has none."""
        return self._heads.get(guild, NO_HEAD)

    async def close(self) -> None:
        """Closes every layer. Safe to call twice."""
        self._in_doubt = True
        for seat in self._seats:
            with seat.minding():
                await seat.layer.close()

    def _go_on_from(self, wanted: tuple[int, int], holders: Sequence[Seat]) -> None:
        """Takes the heads of the healthy layers, if they hold all that was found and all that was acknowledged.

        ``holders``: the layers that held that; what one of them had of a branch that lost was kept for its facts.
        """
        newest = newest_of(self._healthy())
        if newest is None:
            raise self._nobody()
        is_lost = newest.gsn < self._acknowledged and not any(seat.healthy for seat in holders)
        if newest.rank() < wanted or is_lost:
            raise StorageError(
                f"{newest.name} ends at gsn {newest.gsn}; the layer with what is newer failed just now"
            )
        self._gsn = self._acknowledged = max(seat.gsn for seat in self._healthy())
        self._heads = merged_heads(self._healthy())
        self.witness.begin(self._gsn)
        if self.following is not None:
            readable = max(seat.readable_end() for seat in self._healthy())
            self.following.begin(self._gsn, readable, self._terms.lineage)

    def _healthy(self) -> list[Seat]:
        """Those that every batch is written into, and that work."""
        return [seat for seat in self._near if seat.healthy]

    def _knows_what_was_acknowledged(self) -> bool:
        """Whether a layer can be read that had to hold a record before it was acknowledged; others may lag."""
        named = [seat for seat in self._seats if seat.name in self._named]
        return not named or any(seat.healthy for seat in named)

    async def _write(self, frames: Sequence[Frame]) -> frozenset[str]:
        """Writes a batch into every healthy layer, in order. Cancelled on the way, its outcome is unknown."""
        self._in_doubt = True
        failed: list[StorageError | Corrupt] = []
        durable_in: set[str] = set()
        for seat in self._healthy():
            with seat.minding():
                await seat.layer.append(frames)
                seat.took(frames)
                durable_in.add(seat.name)
            if seat.trouble is not None:
                failed.append(seat.trouble)
        unknown = [error for error in failed if isinstance(error, NotConfirmed | Corrupt)]
        self._in_doubt = bool(unknown) and not durable_in
        if durable_in:
            return frozenset(durable_in)
        raise next(iter([*unknown, *failed]), self._nobody())

    async def _bring_back(self, seat: Seat) -> None:
        others = self._healthy()
        await self._open(seat)
        if not seat.healthy:
            return
        is_news = seat.summary.epoch > self._terms.epoch or seat.gsn > self._gsn
        if is_news or (not others and seat.summary.heads != self._heads):
            self._in_doubt = True
            return
        if await holes.completes(seat, others):
            self._in_doubt = True  # a hole that guilds began anew behind: it is filled, and all of them open again
        if self._in_doubt or not seat.healthy:
            return
        for other in others:
            other.learn(msgspec.structs.replace(other.summary, gsn=other.gsn, heads=dict(self._heads)))
        await seat.begin(self._terms.epoch, self._terms.lineage)
        await recovery.rejoin(seat, others, self.salvage)
        if seat.healthy and seat.gsn != self._gsn:
            self._in_doubt = True  # nobody is left who could give it what it misses

    def _aside_in(self, leader: LayerSummary) -> dict[GuildId, int]:
        """Of the guilds that go on from where the leader's chain ends: another layer may have more of a chain."""
        return {
            guild: number
            for guild, number in leader.aside.items()
            if self.head_of(guild) == leader.heads.get(guild, NO_HEAD)
        }

    def _nobody(self) -> StorageError:
        return StorageError(f"no layer can be used: {troubles(self._seats)}")

    def _report(self, leader: Seat, found: Mapping[str, tuple[int, int]], notes: Sequence[str]) -> StartReport:
        layers = tuple(
            LayerStart(
                name=seat.name,
                found=found.get(seat.name),
                gsn=seat.gsn,
                guilds=len(seat.summary.heads),
                fed=seat.fed,
                error="" if seat.trouble is None else str(seat.trouble),
            )
            for seat in self._seats
        )
        return StartReport(
            epoch=self._terms.epoch,
            lineage=self._terms.lineage,
            leader=leader.name,
            layers=layers,
            missing=leader.summary.missing,
            aside=self._aside_in(leader.summary),
            notes=tuple(notes),
        )


def _appended(frames: Sequence[Frame], durable_in: frozenset[str]) -> Appended:
    return Appended(
        records=tuple(frame.record for frame in frames),
        head=head_of(frames[-1]),
        size_bytes=sum(len(frame.data) + 1 for frame in frames),
        durable_in=durable_in,
    )


async def _some(frames: AsyncIterator[Frame], limit: int) -> Sequence[Frame]:
    some: list[Frame] = []
    async for frame in frames:
        some.append(frame)
        if len(some) >= limit and frame.record.seq == frame.record.last:
            break
    return some


async def _digest_of(pages: tuple[bytes, ...]) -> str:
    """``pages_digest``, and others go on between two pages."""
    digest = hashlib.sha256()
    for page in pages:
        digest.update(page)
        await asyncio.sleep(0)
    return digest.hexdigest()


async def _compare(layer: Layer, checkpoint: Checkpoint) -> None:
    header = checkpoint.header
    if checkpoint != await layer.checkpoint(header.guild, (header.epoch, header.seq)):
        where = f"{layer.name}, checkpoint of guild {header.guild} at seq {header.seq}"
        raise Corrupt(where, "it does not read back as it was written")


def _health(seat: Seat, gsn: int) -> LayerHealth:
    trouble = seat.trouble
    return LayerHealth(
        name=seat.name,
        healthy=trouble is None,
        gsn=seat.gsn,
        behind=max(0, gsn - seat.gsn),
        error="" if trouble is None else str(trouble),
    )
