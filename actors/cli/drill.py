"""``inviteledger restore --drill``: is the cloud alone enough? It is restored into scratch, and compared.

What came back is folded as a recovery does it (newest checkpoint, records behind it); beside it the live history,
the log of the data folder, is folded record by record up to the same place. Heads and states must be the same.
The cloud is read first: what the log has behind its last record is lag, and no difference; what it lacks before that
is missing. Guilds are compared one after the other, so that memory holds the state of one guild, and where the
records lie.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
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
from ledger.errors import Corrupt, DiskFull
from ledger.ids import GuildId
from persistence.anchors import CheckpointAnchors
from persistence.chains import NO_HEAD
from persistence.copying import Contents, CopyDiffers, NothingThen, copy_history
from persistence.histories import History, kept_checkpoints
from persistence.layer import Head
from persistence.reading import Reading

TOLD: Final = 20
"""So many differences are told."""


class NoScratch(DiskFull):
    """There is no room for what comes back."""

    hint = "free space there, or name a folder on another disk in TMPDIR, with room for the log and what is read"


async def drill(tools: Tools, data: Path, database: Path, history: History, source: str) -> int:
    """Restores ``history``, which is named ``source``, compares it with the log of ``data``, and writes the report.

    Returns:
        0 when they are the same, 1 when not, or nothing is recorded in ``data``.

    Raises:
        NoScratch: when there is no room for the scratch folder; then there is no report.
        StorageError: when the cloud, the log or the scratch folder cannot be used; then there is no report.
        NewerFormat: when a later release wrote one of them.
    """
    if not tools.disk.names(data / "log"):
        tools.err.write(nothing_recorded(tools.disk, data, database))
        return WRONG
    began_s = tools.clock.monotonic_s()
    report, remarks = await _compared(tools, data, history, source)
    took_s = round(tools.clock.monotonic_s() - began_s, 1)
    report = msgspec.structs.replace(report, at_ms=tools.clock.now_ms(), took_s=took_s)
    keep_drill(tools.disk, data, report)
    _tell(tools, report, remarks)
    return WRONG if report.differences else OK


async def _compared(tools: Tools, data: Path, history: History, source: str) -> tuple[Drill, Sequence[str]]:
    """The report, and what does no harm."""
    try:
        with _scratch() as folder:
            copied = await copy_history(history, tools.disk, folder, None, partial(progress, tools.err))
            live, copy = _Side(tools, data), _Side(tools, folder)
            await live.read("reading the log", copied.contents)
            await copy.read("reading what came back", copied.contents)
            differences = tuple([each async for each in _differences(tools, copied.heads, copy, live)])
    except (Corrupt, CopyDiffers, NothingThen) as error:
        differences = (f"what came back is not whole: {error}", *history.notes())
        return Drill(source=source, differences=differences), history.remarks()
    report = Drill(
        source=source,
        lineage=copied.lineage,
        records=copied.contents.records,
        guilds=len(copied.heads),
        gsn=copied.contents.gsn,
        lag_records=live.behind,
        differences=(*_missing(live.lacking), *copied.notes, *differences),
    )
    return report, copied.remarks


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder below TMPDIR, which goes at the end."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="inviteledger-drill-")
    except OSError as error:
        raise NoScratch(f"there can be no scratch folder: {error}") from error
    try:
        with folder as name:
            yield Path(name)
    except DiskFull as error:
        raise NoScratch(str(error)) from error


def _missing(records: int) -> Iterator[str]:
    if records:
        yield f"{count(records, 'record')} that the log has {'is' if records == 1 else 'are'} missing there"


async def _differences(
    tools: Tools, heads: Mapping[GuildId, Head], copy: "_Side", live: "_Side"
) -> AsyncIterator[str]:
    with progress(tools.err, "comparing") as advance:
        guilds = heads.keys() | live.reached.keys()
        for number, guild in enumerate(sorted(guilds), start=1):
            head = heads.get(guild, NO_HEAD)
            if difference := live.difference(guild, head, copy.recovered(guild, head)):
                yield f"guild {guild}: {difference}"
            advance(number, len(guilds))
            await asyncio.sleep(0)  # here, as in all that reads, who ends the drill is heard


class _Side:
    """A history in a folder: what came back, or the live one.

    ``behind``: how many records it has behind the last one that came back; ``lacking``: how many that are missing in
    what came back; ``reached``: the seq of each guild's last record that is neither.
    """

    def __init__(self, tools: Tools, folder: Path) -> None:
        checkpoints = folder / "checkpoints"
        self._err = tools.err
        self._reading = Reading(tools.disk, folder / "log", CheckpointAnchors(tools.disk, checkpoints))
        self._states = States(self._reading, lambda guild: kept_checkpoints(tools.disk, checkpoints / guild, guild))
        self.behind = self.lacking = 0
        self.reached: dict[GuildId, int] = {}

    async def read(self, what: str, came_back: Contents) -> None:
        """Finds where its records lie, and compares which there are."""
        with progress(self._err, what) as advance:
            for number, frame in enumerate(self._reading, start=1):
                gsn = frame.record.gsn
                is_behind = gsn > came_back.gsn
                is_lacking = any(first <= gsn <= last for first, last in came_back.missing)
                self.behind += is_behind
                self.lacking += is_lacking
                if not (is_behind or is_lacking):
                    self.reached[frame.record.guild] = frame.record.seq
                if number % PROGRESS_EVERY == 0:
                    advance(number, max(number, came_back.records))
                    await asyncio.sleep(0)

    def recovered(self, guild: GuildId, head: Head) -> str:
        """The digest of the state that a recovery makes; empty = none."""
        state = self._states.recovered(guild, head.seq)
        return "" if state is None else state_digest(state)

    def difference(self, guild: GuildId, head: Head, came_back: str) -> str:
        """What is different from a guild that ends at ``head`` with a state of this digest; empty = nothing."""
        there = self._reading.chains.heads.get(guild, NO_HEAD)
        if there.seq < head.seq:
            return f"seq {head.seq} came back, the log ends at {there.seq}"
        if head.seq < self.reached.get(guild, 0):
            return f"seq {head.seq} came back, where the log has {self.reached[guild]}"
        if self._reading.digest_at(guild, head.seq) != head.digest:
            return f"what came back stands on another chain than the log at seq {head.seq}"
        state = self._states.at(guild, head.seq)
        if state is None or state_digest(state) != came_back:
            return f"the state at seq {head.seq} is not that of the live history"
        return ""


def _tell(tools: Tools, report: Drill, remarks: Sequence[str]) -> None:
    with printing(tools.out):
        say = Say("drill", tools.out)
        say(f"restored from {report.source} into scratch, and compared with the live history: {report.took_s} s")
        if report.lag_records:
            say(f"the cloud lags by {count(report.lag_records, 'record')}, which is no difference")
        say(*(f"does no harm: {remark}" for remark in remarks[:TOLD]))
        say(*report.differences[:TOLD])
        if report.differences:
            say("to do: start the bot anew, and drill again; what is told then as well is in no layer any more")
        told = count(len(report.differences), "difference") if report.differences else "digests equal"
        say(f"{report.records} records, {told}")
