"""What can be said of the cloud by reading all of it, beside whoever writes there: every object, every chain.

Nothing is believed because somebody wrote that it was so: segments are read from the first one on, without the index
that a start goes by; packs and indexes, which a start goes by, are verified besides, and must lead to the same heads.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from actors.cli.inspection import Inspected
from actors.cli.tools import Tools
from actors.gateway.wording import count
from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from persistence.cloud import CloudLayer
from persistence.cloud_bytes import PACKS, SEGMENTS, body_of, read_header
from persistence.cloud_checkpoints import CHECKPOINTS
from persistence.cloud_index import INDEXES
from persistence.cloud_reading import SHUT_OUT
from persistence.copying import Contents, Tally
from persistence.layer import CheckpointHeader, Head, LayerSummary
from persistence.objects import Objects
from persistence.offload import Offload
from persistence.read_only import ReadOnly
from persistence.reading import Reading

NAME: Final = "cloud"
DERIVED: Final = (PACKS, INDEXES)
"""What can be done without: the segments hold it all."""


class InCloud(msgspec.Struct, frozen=True, kw_only=True):
    """The cloud after a look at it. ``heads``: by guild; ``digests``: of the chains, at the seqs that were asked."""

    inspected: Inspected
    heads: Mapping[GuildId, Head]


class _Any(msgspec.Struct, frozen=True):
    """What every header has."""

    sha256: str


async def inspect_cloud(
    tools: Tools, objects: Objects, offload: Offload, advance: Callable[[int, int], None]
) -> InCloud:
    """Reads every object; ``advance`` is told how many objects of how many were read.

    Raises:
        NewerFormat: when a later release wrote one.
        StorageError: when the store cannot be read.
    """
    look = _Look(tools, objects, offload, advance)
    return await look.run()


class _Look:
    def __init__(
        self, tools: Tools, objects: Objects, offload: Offload, advance: Callable[[int, int], None]
    ) -> None:
        self._tools = tools
        self._offload = offload
        self._advance = advance
        self._done = self._of = 0
        self._objects = ReadOnly(objects, advance=self._step)
        self._plain = self._layer(ReadOnly(self._objects, hidden=DERIVED))
        self._faults: list[str] = []

    async def run(self) -> InCloud:
        keys = {prefix: await self._keys(prefix) for prefix in (SEGMENTS, PACKS, INDEXES, CHECKPOINTS)}
        self._of = 2 * sum(map(len, keys.values()))
        summary = await self._plain.open()
        self._faults += [note for note in summary.notes if SHUT_OUT not in note]
        await self._look_at_derived(keys, summary)
        checkpoints = await self._look_at_checkpoints(keys[CHECKPOINTS], summary)
        parts = [
            count(len(keys[SEGMENTS]), "segment"),
            count(len(keys[PACKS]), "pack"),
            count(checkpoints, "checkpoint"),
        ]
        held = f"{count(summary.gsn, 'record')} of {count(len(summary.heads), 'guild')} in {', '.join(parts)}"
        return InCloud(inspected=Inspected(NAME, held, tuple(self._faults)), heads=summary.heads)

    def _step(self) -> None:
        self._done += 1
        self._advance(self._done, max(self._of, self._done))

    def _layer(self, objects: Objects) -> CloudLayer:
        return CloudLayer(objects, self._offload, self._tools.randomness, self._tools.clock, "")

    async def _keys(self, prefix: str) -> Sequence[str]:
        return [key async for key in self._objects.keys(prefix)]

    async def _look_at_derived(self, keys: Mapping[str, Sequence[str]], summary: LayerSummary) -> None:
        for key in (*keys[PACKS], *keys[INDEXES]):
            await self._look_at(key)
        if keys[INDEXES] and not self._faults:
            quick = self._layer(self._objects)
            self._faults += [note for note in (await quick.open()).notes if SHUT_OUT not in note]
            if await _contents(quick, summary.gsn) != await _contents(self._plain, summary.gsn):
                self._faults.append("packs do not hold what their segments hold")

    async def _look_at(self, key: str) -> None:
        data = await self._objects.get(key)
        if data is None:
            return  # a newer one has taken its place since
        try:
            body_of(data, read_header(data, _Any, key).sha256, key)
        except Corrupt as error:
            self._faults.append(str(error))

    async def _look_at_checkpoints(self, keys: Sequence[str], summary: LayerSummary) -> int:
        """How many there are; what is wrong with one is a fault."""
        number = 0
        for guild in sorted({GuildId(key.split("/")[1]) for key in keys}):
            for checkpoint in await self._plain.checkpoints(guild):
                number += 1
                if why := await self._compared(checkpoint.header, summary.heads.get(guild)):
                    self._faults.append(f"checkpoint of guild {guild}: {why}")
        self._faults += self._plain.take_notes()
        return number

    async def _compared(self, header: CheckpointHeader, head: Head | None) -> str:
        """What is wrong with a checkpoint; empty = it stands on the chain, or is of a branch that lost."""
        if head is None or header.seq > head.seq:
            return f"is of seq {header.seq}, the records end at {head.seq if head else 0}"
        try:
            frames = await self._plain.guild_frames(header.guild, header.seq - 1)
        except (Corrupt, StorageError) as error:
            return f"cannot be compared: {error}"
        if frames and frames[0].digest.hex() != header.digest and header.epoch >= head.epoch:
            return f"does not stand on the chain at seq {header.seq}"
        return ""


async def _contents(layer: CloudLayer, gsn: int) -> Contents:
    """All records up to a gsn."""
    tally = Tally()
    async for frame in layer.frames_after(0):
        if frame.record.gsn <= gsn:
            tally.take((frame,))
    return tally.contents()


def compared_with_log(cloud: InCloud, reading: Reading) -> Inspected:
    """The cloud's heads beside the log's, which was read later: what it lags by is told, another chain is a fault."""
    faults: list[str] = []
    behind = ahead = 0
    for guild in sorted(cloud.heads.keys() | reading.chains.heads.keys()):
        ours, theirs = reading.chains.heads.get(guild), cloud.heads.get(guild)
        lag = (ours.seq if ours else 0) - (theirs.seq if theirs else 0)
        behind, ahead = behind + max(0, lag), ahead + max(0, -lag)
        if theirs is not None and lag >= 0 and reading.digest_at(guild, theirs.seq) != theirs.digest:
            faults.append(f"guild {guild}: stands on another chain than the log at seq {theirs.seq}")
    told = _lag(behind, ahead)
    inspected = cloud.inspected
    return Inspected(inspected.name, f"{inspected.held}; {told}", (*inspected.wrong, *faults))


def _lag(behind: int, ahead: int) -> str:
    if not behind and not ahead:
        return "level with the log"
    parts = []
    if behind:
        parts.append(f"lags the log by {count(behind, 'record')}")
    if ahead:
        parts.append(f"the log lags by {count(ahead, 'record')}")
    return ", ".join(parts)
