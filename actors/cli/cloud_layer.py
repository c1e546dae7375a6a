"""What can be said of the cloud by reading all of it, beside whoever writes there: every object, every chain.

Nothing is believed because somebody wrote that it was so: segments are read from the first one on, without the index
that a start goes by; packs and indexes, which a start goes by, are verified besides, and must lead to the same heads.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from actors.cli.inspection import Inspected
from actors.cli.progress import PROGRESS_EVERY
from actors.cli.tools import Tools
from actors.gateway.wording import count
from ledger.errors import Corrupt
from ledger.ids import GuildId
from persistence.chains import NO_HEAD
from persistence.cloud import CloudLayer
from persistence.cloud_bytes import PACKS, SEGMENTS, body_of, read_header
from persistence.cloud_checkpoints import CHECKPOINTS
from persistence.cloud_index import INDEXES
from persistence.cloud_reading import SHUT_OUT
from persistence.copying import Advance, Contents, Showing, Tally
from persistence.layer import CheckpointHeader, Head, LayerSummary, guild_frames
from persistence.objects import Objects
from persistence.offload import Offload
from persistence.read_only import ReadOnly
from persistence.reading import Reading

NAME: Final = "cloud"
DERIVED: Final = (PACKS, INDEXES)
"""What can be done without: the segments hold it all."""
_NAMES: Final = {
    SEGMENTS: r"\d{10}",
    PACKS: r"\d{10}-\d{10}-.+",
    INDEXES: r"\d{10}",
    CHECKPOINTS: r"\d+/.+",
}
"""What a bot's keys are like, behind the beginning that they have in common."""


class InCloud(msgspec.Struct, frozen=True):
    """The cloud after a look at it; ``layer`` is open. ``gsn``: of its last record, 0 = there is none."""

    inspected: Inspected
    gsn: int
    heads: Mapping[GuildId, Head]
    layer: CloudLayer


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

    async def run(self) -> InCloud:
        keys = {prefix: await self._keys(prefix) for prefix in (SEGMENTS, PACKS, INDEXES, CHECKPOINTS)}
        with self._reading("reading the cloud", len(keys[SEGMENTS]) + len(keys[CHECKPOINTS])):
            summary = await self._plain.open()
            headers = await self._checkpoints(keys[CHECKPOINTS])
        self._faults += _faults_of(summary)
        with self._showing("following its chains") as advance:
            contents, digests = await _read(self._plain, summary.gsn, headers, advance)
        self._faults += [why for header in headers if (why := _compared(header, summary.heads, digests))]
        derived = (*keys[PACKS], *keys[INDEXES])
        with self._reading("reading its packs", len(derived)):
            for key in derived:
                await self._look_at(key)
        by_packs, layer = "", self._plain
        if keys[INDEXES] and not self._faults:
            await self._compare_derived(contents)
        elif keys[INDEXES] and _faults_of(summary):
            quick = self._layer(self._objects)
            in_packs = await quick.open()
            if _is_whole(in_packs, headers):
                by_packs = (
                    "; the packs hold all of it, so a start, and `restore`, lose nothing: nothing is to be done"
                )
                summary, layer = in_packs, quick
        parts = count(len(keys[SEGMENTS]), "segment"), count(len(keys[PACKS]), "pack")
        held = f"{count(contents.records, 'record')} of {count(len(summary.heads), 'guild')} in {' and '.join(parts)}"
        held = f"{held}, up to gsn {summary.gsn}; {count(len(headers), 'checkpoint')}{by_packs}"
        inspected = Inspected(NAME, held, tuple(self._faults), advised=bool(by_packs))
        return InCloud(inspected, summary.gsn, summary.heads, layer)

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

    async def _keys(self, prefix: str) -> Sequence[str]:
        """Of objects that a bot wrote: what else lies there is nobody's."""
        ours = re.compile(re.escape(prefix) + _NAMES[prefix])
        return [key async for key in self._objects.keys(prefix) if ours.fullmatch(key)]

    async def _compare_derived(self, contents: Contents) -> None:
        """What a start goes by leads to the same records."""
        quick = self._layer(self._objects)
        with self._showing("comparing its packs") as advance:
            self._faults += _faults_of(await quick.open())
            in_packs, _ = await _read(quick, contents.gsn, (), advance)
        if in_packs != contents:
            self._faults.append("the packs do not hold what the segments hold")

    async def _look_at(self, key: str) -> None:
        data = await self._objects.get(key)
        if data is None:
            return  # a newer one has taken its place since
        try:
            body_of(data, read_header(data, _Any, key).sha256, key)
        except Corrupt as error:
            self._faults.append(str(error))

    async def _checkpoints(self, keys: Sequence[str]) -> Sequence[CheckpointHeader]:
        """Of all checkpoints that can be read; the others are faults."""
        guilds = sorted({GuildId(key.split("/")[1]) for key in keys})
        headers = [each.header for guild in guilds for each in await self._plain.all_checkpoints(guild)]
        self._faults += self._plain.take_notes()
        return headers


def _is_whole(quick: LayerSummary, headers: Sequence[CheckpointHeader]) -> bool:
    """Whether a start, which goes by the packs, has all of it where segments are damaged: no pack is, and no
    checkpoint tells of more.
    """
    is_short = any(_compared(header, quick.heads, {}) for header in headers)
    return not (_faults_of(quick) or quick.missing or quick.aside or is_short)


def _faults_of(summary: LayerSummary) -> list[str]:
    return [note for note in summary.notes if SHUT_OUT not in note]


async def _read(
    layer: CloudLayer, gsn: int, headers: Sequence[CheckpointHeader], advance: Advance
) -> tuple[Contents, Mapping[tuple[GuildId, int], bytes]]:
    """All records up to a gsn, and the digests of the chains where checkpoints stand."""
    tally, digests = Tally(), dict[tuple[GuildId, int], bytes]()
    wanted = {(header.guild, header.seq) for header in headers}
    async for frame in layer.frames_after(0):
        record = frame.record
        if record.gsn <= gsn:
            tally.take((frame,))
            if (record.guild, record.seq) in wanted:
                digests[record.guild, record.seq] = frame.digest
            if tally.records % PROGRESS_EVERY == 0:
                advance(record.gsn, gsn)
    return tally.contents(), digests


def _compared(
    header: CheckpointHeader, heads: Mapping[GuildId, Head], digests: Mapping[tuple[GuildId, int], bytes]
) -> str:
    """What is wrong with a checkpoint; empty = it stands on its chain, or is of a branch that lost."""
    head, where = heads.get(header.guild), f"checkpoint of guild {header.guild} at seq {header.seq}"
    if head is None or header.seq > head.seq:
        return f"{where}: the records end at {head.seq if head else 0}"
    digest = digests.get((header.guild, header.seq))
    if digest is not None and digest.hex() != header.digest and header.epoch >= head.epoch:
        return f"{where}: it does not stand on the chain"
    return ""


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
    advised = is_empty or (inspected.advised and not faults)
    return Inspected(inspected.name, held, (*inspected.wrong, *faults), advised=advised)


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
