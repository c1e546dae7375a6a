"""``inviteledger restore --drill``: is the cloud alone enough? It is restored into scratch, and compared.

What came back is opened as a recovery opens it (newest checkpoint, records behind it); beside it the live history,
the log of the data folder, is folded record by record up to the same place. Heads and states must be the same.
The cloud is read first: what the log has besides is lag, and no difference.
"""

import tempfile
from collections.abc import Iterator, Mapping
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


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A guild that came back: the end of its chain, and the digest of its state (``state_digest``)."""

    head: Head
    state: str


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
            found = await _replayed(tools, Path(folder), copied)
    except (Corrupt, CopyDiffers, NothingThen) as error:
        return Drill(source=source, differences=(f"what came back is not whole: {error}",))
    live = _Live(tools, data, found)
    live.read(copied.contents.records)
    return Drill(
        source=source,
        lineage=copied.lineage,
        records=copied.contents.records,
        guilds=len(found),
        gsn=copied.contents.gsn,
        lag_records=live.lag_records,
        differences=(*copied.notes, *live.differences()),
    )


async def _replayed(tools: Tools, folder: Path, copied: Copied) -> Mapping[GuildId, Found]:
    """Every guild as a bot that starts on the folder gets it."""
    store = Store((LocalLayer(tools.disk, folder, inline),), tools.clock, tools.randomness)
    try:
        await store.start()
        found: dict[GuildId, Found] = {}
        with progress(tools.err, "replaying") as advance:
            for guild, head in copied.heads.items():
                state = _state_of(await store.open_guild(guild), guild)
                found[guild] = Found(head=head, state=state_digest(state))
                advance(len(found), len(copied.heads))
        return found
    finally:
        await store.close()


def _state_of(opened: Opened, guild: GuildId) -> GuildState:
    state = GuildState(guild=guild) if opened.checkpoint is None else from_pages(opened.checkpoint.pages)
    for record in opened.tail:
        state = evolve(state, record)
    return state


class _Live:
    """The history of the data folder, up to where each guild came back."""

    def __init__(self, tools: Tools, data: Path, found: Mapping[GuildId, Found]) -> None:
        checkpoints = data / "checkpoints"
        self._tools = tools
        self._found = found
        self._reading = Reading(tools.disk, data / "log", CheckpointAnchors(tools.disk, checkpoints))
        self._states = States(self._reading, lambda guild: kept_checkpoints(tools.disk, checkpoints / guild, guild))
        self.lag_records = 0

    def read(self, there: int) -> None:
        """Reads the log; ``there``: how many records came back."""
        number = 0
        with progress(self._tools.err, "comparing") as advance:
            for number, frame in enumerate(self._reading, start=1):
                found = self._found.get(frame.record.guild)
                if found is not None and frame.record.seq <= found.head.seq:
                    self._states.take(frame.record)
                if number % PROGRESS_EVERY == 0:
                    advance(number, max(number, there))
        self.lag_records = max(0, number - there)

    def differences(self) -> Iterator[str]:
        for guild, found in self._found.items():
            head = found.head
            there = self._reading.chains.heads.get(guild)
            if there is None or there.seq < head.seq:
                yield f"guild {guild}: seq {head.seq} came back, the log ends at {there.seq if there else 0}"
            elif self._reading.digest_at(guild, head.seq) != head.digest:
                yield f"guild {guild}: what came back stands on another chain than the log at seq {head.seq}"
            elif self._state(guild, head.seq) != found.state:
                yield f"guild {guild}: the state at seq {head.seq} is not that of the live history"

    def _state(self, guild: GuildId, seq: int) -> str:
        if guild in self._states.lost:
            self._states.find_lost(guild, seq)
        state = self._states.held.get(guild)
        return "" if state is None or state.seq != seq else state_digest(state)


def _tell(tools: Tools, report: Drill) -> None:
    with printing(tools.out):
        say = Say("drill", tools.out)
        say(f"restored from {report.source} into scratch, and compared with the live history: {report.took_s} s")
        if report.lag_records:
            say(f"the cloud lags by {count(report.lag_records, 'record')}, which is no difference")
        say(*report.differences[:TOLD])
        told = count(len(report.differences), "difference") if report.differences else "digests equal"
        say(f"{report.records} records, {told}")
