"""``inviteledger restore --drill``: is the cloud alone enough? It is restored into scratch, and compared.

What came back is opened as a recovery opens it (newest checkpoint, records behind it); beside it the live history,
the log of the data folder, is folded record by record up to the same place. Heads and states must be the same.
The cloud is read first: what the log has besides is lag, and no difference. Guilds are compared one after the other,
so that memory holds two states of one guild, and where the records lie.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from actors.cli.contents import Say
from actors.cli.exits import OK, WRONG
from actors.cli.piping import printing
from actors.cli.progress import PROGRESS_EVERY, progress
from actors.cli.recorded import nothing_recorded
from actors.cli.states import States, state_digest
from actors.cli.tools import Tools
from actors.drills import Drill, keep_drill
from actors.gateway.wording import count
from ledger.errors import Corrupt
from ledger.evolve import evolve
from ledger.ids import GuildId
from ledger.state import GuildState, from_pages
from persistence.anchors import CheckpointAnchors
from persistence.chains import NO_HEAD
from persistence.copying import Copied, CopyDiffers, NothingThen, copy_history
from persistence.histories import History, kept_checkpoints
from persistence.layer import Head
from persistence.local import LocalLayer
from persistence.offload import inline
from persistence.reading import Reading
from persistence.rehydration import Opened
from persistence.store import Store

TOLD: Final = 20
"""So many differences are told."""


async def drill(tools: Tools, data: Path, history: History, source: str) -> int:
    """Restores ``history``, which is named ``source``, compares it with the log of ``data``, and writes the report.

    Returns:
        0 when they are the same, 1 when not, or nothing is recorded in ``data``.

    Raises:
        StorageError: when the cloud, the log or the scratch folder cannot be used; then there is no report.
        NewerFormat: when a later release wrote one of them.
    """
    if not tools.disk.names(data / "log"):
        tools.err.write(nothing_recorded(data))
        return WRONG
    began_s = tools.clock.monotonic_s()
    report = await _compared(tools, data, history, source)
    took_s = round(tools.clock.monotonic_s() - began_s, 1)
    report = msgspec.structs.replace(report, at_ms=tools.clock.now_ms(), took_s=took_s)
    keep_drill(tools.disk, data, report)
    _tell(tools, report)
    return WRONG if report.differences else OK


async def _compared(tools: Tools, data: Path, history: History, source: str) -> Drill:
    try:
        with tempfile.TemporaryDirectory(prefix="inviteledger-drill-") as folder:
            with progress(tools.err, "restoring") as advance:
                copied = await copy_history(history, tools.disk, Path(folder), None, advance)
            live = _Live(tools, data)
            live.read(copied.contents.records)
            differences = await _differences(tools, Path(folder), copied, live)
    except (Corrupt, CopyDiffers, NothingThen) as error:
        return Drill(source=source, differences=(f"what came back is not whole: {error}",))
    return Drill(
        source=source,
        lineage=copied.lineage,
        records=copied.contents.records,
        guilds=len(copied.heads),
        gsn=copied.contents.gsn,
        lag_records=max(0, live.records - copied.contents.records),
        differences=(*copied.notes, *differences),
    )


async def _differences(tools: Tools, folder: Path, copied: Copied, live: "_Live") -> Sequence[str]:
    """Guild by guild, as a bot that starts on the folder gets it; one guild's states are in memory at a time."""
    store = Store((LocalLayer(tools.disk, folder, inline),), tools.clock, tools.randomness)
    try:
        await store.start()
        found: list[str] = []
        with progress(tools.err, "comparing") as advance:
            for number, (guild, head) in enumerate(copied.heads.items(), start=1):
                came_back = _digest_of(await store.open_guild(guild), guild)
                if difference := live.difference(guild, head, came_back):
                    found.append(f"guild {guild}: {difference}")
                advance(number, len(copied.heads))
        return found
    finally:
        await store.close()


def _digest_of(opened: Opened, guild: GuildId) -> str:
    state = GuildState(guild=guild) if opened.checkpoint is None else from_pages(opened.checkpoint.pages)
    for record in opened.tail:
        state = evolve(state, record)
    return state_digest(state)


class _Live:
    """The history of the data folder. ``records``: how many it has."""

    def __init__(self, tools: Tools, data: Path) -> None:
        checkpoints = data / "checkpoints"
        self._err = tools.err
        self._reading = Reading(tools.disk, data / "log", CheckpointAnchors(tools.disk, checkpoints))
        self._states = States(self._reading, lambda guild: kept_checkpoints(tools.disk, checkpoints / guild, guild))
        self.records = 0

    def read(self, there: int) -> None:
        """Reads where its records lie; ``there``: how many came back."""
        with progress(self._err, "reading the log") as advance:
            for _ in self._reading:
                self.records += 1
                if self.records % PROGRESS_EVERY == 0:
                    advance(self.records, max(self.records, there))

    def difference(self, guild: GuildId, head: Head, came_back: str) -> str:
        """What is different from a guild that ends at ``head`` with a state of this digest; empty = nothing."""
        there = self._reading.chains.heads.get(guild, NO_HEAD)
        if there.seq < head.seq:
            return f"seq {head.seq} came back, the log ends at {there.seq}"
        if self._reading.digest_at(guild, head.seq) != head.digest:
            return f"what came back stands on another chain than the log at seq {head.seq}"
        state = self._states.at(guild, head.seq)
        if state is None or state_digest(state) != came_back:
            return f"the state at seq {head.seq} is not that of the live history"
        return ""


def _tell(tools: Tools, report: Drill) -> None:
    with printing(tools.out):
        say = Say("drill", tools.out)
        say(f"restored from {report.source} into scratch, and compared with the live history: {report.took_s} s")
        if report.lag_records:
            say(f"the cloud lags by {count(report.lag_records, 'record')}, which is no difference")
        say(*report.differences[:TOLD])
        told = count(len(report.differences), "difference") if report.differences else "digests equal"
        say(f"{report.records} records, {told}")
