"""What can be said of the cloud by reading all of it, beside whoever writes there: every object, every chain.

Nothing is believed because somebody wrote that it was so: segments are read from the first one on, without the index
that a start goes by; packs and indexes, which a start goes by, are verified besides, and must lead to the same
records. Where segments are damaged, these may hold what is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from actors.cli.inspection import Inspected
from actors.cli.tools import Tools
from actors.gateway.wording import count
from ledger.errors import Corrupt
from ledger.ids import GuildId
from persistence.chains import NO_HEAD
from persistence.cloud import CloudLayer
from persistence.cloud_bytes import PACKS, SEGMENTS, body_of, numbers, pack_keys, read_header
from persistence.cloud_checkpoints import CloudCheckpoints
from persistence.cloud_index import INDEXES, index_key
from persistence.copying import Advance, Contents, Showing, Tally
from persistence.layer import CheckpointHeader, Head, LayerSummary, guild_frames
from persistence.objects import Objects
from persistence.offload import Offload
from persistence.read_only import ReadOnly
from persistence.reading import Reading

NAME: Final = "cloud"
DERIVED: Final = (PACKS, INDEXES)
"""What can be done without: the segments hold it all. Damage there does no harm."""


class InCloud(msgspec.Struct, frozen=True):
    """The cloud after a look at it; ``layer`` is open. ``gsn``: of its last record, 0 = there is none."""

    inspected: Inspected
    gsn: int
    heads: Mapping[GuildId, Head]
    layer: CloudLayer


class _Walk(msgspec.Struct, frozen=True):
    """All records of a layer. ``digests``: of the chains where checkpoints stand."""

    summary: LayerSummary
    layer: CloudLayer
    contents: Contents
    digests: Mapping[tuple[GuildId, int], bytes]


class _Any(msgspec.Struct, frozen=True):
    """What every header has."""

    sha256: str


async def inspect_cloud(tools: Tools, objects: Objects, offload: Offload, showing: Showing) -> InCloud:
    """Reads every object; ``showing`` says how far that is.

    Raises:
        NewerFormat: when a later release wrote one.
        StorageError: when the store cannot be read.
    """
    return await _Look(tools, objects, offload, showing).run()


class _Look:
    def __init__(self, tools: Tools, objects: Objects, offload: Offload, showing: Showing) -> None:
        self._tools = tools
        self._offload = offload
        self._showing = showing
        self._advance: Advance = lambda _done, _of: None
        self._done = self._of = 0
        self._objects = ReadOnly(objects, advance=self._step)
        self._plain = self._layer(ReadOnly(self._objects, hidden=DERIVED))
        self._faults: list[str] = []
        self._harmless: list[str] = []

    async def run(self) -> InCloud:
        segments = [k async for k in numbers(self._objects, SEGMENTS)]
        packs = [key async for key in pack_keys(self._objects)]
        indexes = [index_key(k) async for k in numbers(self._objects, INDEXES)]
        checkpoints = CloudCheckpoints(self._objects, self._offload, self._tools.randomness)
        await checkpoints.look()
        of = sum(len(checkpoints.places(guild)) for guild in checkpoints.guilds())
        with self._reading("reading the cloud", len(segments) + of):
            headers = await self._headers(checkpoints)
            found = await self._plain.look()
        walk = await self._walk("following its chains", self._plain, found.gsn, headers)
        with self._reading("reading its packs", len(packs) + len(indexes)):
            for key in (*packs, *indexes):
                await self._look_at(key)
        if indexes:
            walk = await self._compare_derived(walk, found.gsn, headers)
        summary = walk.summary
        parts = count(len(segments), "segment"), count(len(packs), "pack")
        records, guilds = count(walk.contents.records, "record"), count(len(summary.heads), "guild")
        held = f"{records} of {guilds} in {' and '.join(parts)}, up to gsn {summary.gsn}"
        held = f"{held}; {count(len(headers), 'checkpoint')}"
        wrong = (*self._faults, *summary.notes, *_off_chain(walk, headers))
        harmless = tuple(dict.fromkeys((*self._harmless, *summary.remarks)))
        return InCloud(Inspected(NAME, held, wrong, harmless), summary.gsn, summary.heads, walk.layer)

    @contextmanager
    def _reading(self, what: str, of: int) -> Iterator[None]:
        """Shows how many objects of so many were read; later they are asked for again, and nobody is told."""
        with self._showing(what) as advance:
            self._advance, self._done, self._of = advance, 0, of
            yield
        self._advance = lambda _done, _of: None

    def _step(self) -> None:
        self._done += 1
        self._advance(self._done, max(self._done, self._of))

    def _layer(self, objects: Objects) -> CloudLayer:
        return CloudLayer(objects, self._offload, self._tools.randomness, self._tools.clock, "")

    async def _walk(self, what: str, layer: CloudLayer, upto: int, headers: Sequence[CheckpointHeader]) -> _Walk:
        """Reads all records of a layer that has looked; those up to a gsn are counted."""
        tally, digests = Tally(), dict[tuple[GuildId, int], bytes]()
        wanted = {(header.guild, header.seq) for header in headers}
        with self._showing(what) as advance:
            async for chunk in layer.read_through():
                tally.take([frame for frame in chunk if frame.record.gsn <= upto])
                for frame in chunk:
                    if (place := (frame.record.guild, frame.record.seq)) in wanted:
                        digests[place] = frame.digest
                advance(min(tally.gsn, upto), upto)
        return _Walk(await layer.summary(), layer, tally.contents(), digests)

    async def _compare_derived(self, walk: _Walk, upto: int, headers: Sequence[CheckpointHeader]) -> _Walk:
        """Reads the records as a start does. Gives that walk where it has all, and segments have not."""
        quick = self._layer(self._objects)
        await quick.look()
        in_packs = await self._walk("comparing its packs", quick, upto, headers)
        self._harmless += in_packs.summary.remarks
        if not walk.summary.notes:
            self._faults += in_packs.summary.notes
            if in_packs.contents != walk.contents:
                self._faults.append("the packs do not hold what the segments hold")
        elif not in_packs.summary.notes:
            self._harmless += [f"{note}; the packs hold all of it" for note in walk.summary.notes]
            return in_packs
        return walk

    async def _look_at(self, key: str) -> None:
        data = await self._objects.get(key)
        if data is None:
            return  # a newer one has taken its place since
        try:
            body_of(data, read_header(data, _Any, key).sha256, key)
        except Corrupt as error:
            self._harmless.append(f"{error}; it is left as it is")

    async def _headers(self, checkpoints: CloudCheckpoints) -> Sequence[CheckpointHeader]:
        """Of all checkpoints that can be read; the others are faults."""
        read = [each.header for guild in sorted(checkpoints.guilds()) for each in await checkpoints.load_all(guild)]
        self._faults += checkpoints.take_notes()
        return read


def _off_chain(walk: _Walk, headers: Sequence[CheckpointHeader]) -> Iterator[str]:
    """Checkpoints that tell of more records than there are, or of others; not those of a branch that lost."""
    for header in headers:
        head, digest = walk.summary.heads.get(header.guild), walk.digests.get((header.guild, header.seq))
        where = f"checkpoint of guild {header.guild} at seq {header.seq}"
        if head is None or header.seq > head.seq:
            yield f"{where}: the records end at {head.seq if head else 0}"
        elif digest is not None and digest.hex() != header.digest and header.epoch >= head.epoch:
            yield f"{where}: it does not stand on the chain"


async def compared_with_log(cloud: InCloud, reading: Reading) -> Inspected:
    """The cloud beside the log, which was read later: what the log has behind the cloud's last record is its lag.

    Another chain is a fault, and so is what is missing before that record, or a cloud that holds nothing.
    """
    faults: list[str] = []
    is_empty = bool(reading.scan.last) and not cloud.gsn
    if is_empty:
        why = "is LEDGER_CLOUD, with its prefix, the bot's? One that runs with it uploads within seconds"
        faults.append(f"no record is there, and the log has {count(reading.scan.last, 'record')}: {why}")
    for guild in sorted(cloud.heads.keys() | reading.chains.heads.keys()):
        ours, theirs = reading.chains.heads.get(guild, NO_HEAD), cloud.heads.get(guild, NO_HEAD)
        seq = min(ours.seq, theirs.seq)
        if seq and reading.digest_at(guild, seq) != await _digest_at(cloud, guild, theirs, seq):
            faults.append(f"guild {guild}: stands on another chain than the log at seq {seq}")
        elif theirs.seq < ours.seq and ours.gsn <= cloud.gsn:
            faults.append(
                f"guild {guild}: ends at seq {theirs.seq}, the log at {ours.seq}: what lies between is missing"
            )
    inspected = cloud.inspected
    held = f"{inspected.held}; {_lag(reading.scan.last - cloud.gsn)}" if cloud.gsn else inspected.held
    wrong = (*inspected.wrong, *faults)
    return msgspec.structs.replace(inspected, held=held, wrong=wrong, advised=is_empty)


async def _digest_at(cloud: InCloud, guild: GuildId, head: Head, seq: int) -> bytes | None:
    if seq == head.seq:
        return head.digest
    frames = await guild_frames(cloud.layer, guild, seq - 1)
    return frames[0].digest if frames else None


def _lag(behind: int) -> str:
    """How far the cloud is behind the log (records; less than 0 = the log is behind)."""
    if not behind:
        return "level with the log"
    return (
        f"lags the log by {count(behind, 'record')}" if behind > 0 else f"the log lags by {count(-behind, 'record')}"
    )
