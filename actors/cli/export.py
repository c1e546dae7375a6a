"""``inviteledger export``: one JSON line a join, as they were recorded, from the log's valid prefix.

It reads without a lock, so it may run beside the bot; then it shows what was durable when it looked.
"""

import heapq
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, TextIO

import msgspec

from actors.cli.exits import OK, WRONG
from actors.cli.history import GuildHistory, JoinLine
from actors.cli.piping import printing
from actors.cli.recorded import nothing_recorded
from actors.gateway.wording import count
from ledger.ids import GuildId
from persistence.anchors import CheckpointAnchors
from persistence.disk import RealDisk
from persistence.reading import Reading


def export_joins(data: Path, database: Path, guild: GuildId | None, out: BinaryIO, err: TextIO) -> int:
    """Prints the joins of one guild or of all; notes go to ``err``.

    Returns:
        0, or 1 when nothing is recorded there, or of the guild, or durable records cannot be read, so that joins are
        missing.

    Raises:
        NewerFormat: when a later release wrote the log.
        StorageError: when it cannot be read.
    """
    disk = RealDisk()
    reading = Reading(disk, data / "log", CheckpointAnchors(disk, data / "checkpoints"))
    histories: dict[GuildId, GuildHistory] = {}
    for frame in reading:
        record = frame.record
        if guild is None or record.guild == guild:
            histories.setdefault(record.guild, GuildHistory(record.guild)).take(record)
    heads = reading.chains.heads
    if not heads:
        err.write(nothing_recorded(disk, data, database))
    _note(reading, guild, err)
    _print(histories, out)
    unknown = guild is not None and guild not in heads
    return WRONG if not heads or unknown or reading.scan.missing else OK


def _print(histories: Mapping[GuildId, GuildHistory], out: BinaryIO) -> None:
    encoder = msgspec.json.Encoder()
    merged = heapq.merge(*(history.joins() for history in histories.values()), key=_place)
    with printing(out):
        out.writelines(encoder.encode(line) + b"\n" for _, line in merged)


def _place(join: tuple[int, JoinLine]) -> int:
    return join[0]


def _note(reading: Reading, guild: GuildId | None, err: TextIO) -> None:
    heads = reading.chains.heads
    if heads and guild is not None and guild not in heads:
        err.write(f"note: nothing is recorded of guild {guild}, but of {count(len(heads), 'other')}\n")
    if reading.scan.missing:
        ranges = ", ".join(f"{first} to {last}" for first, last in reading.scan.missing)
        err.write(f"note: records {ranges} cannot be read; the bot puts back at its start what the database has\n")
