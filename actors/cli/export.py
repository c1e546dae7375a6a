"""``inviteledger export``: one JSON line a join, oldest first, from the log's valid prefix.

It reads without a lock, so it may run beside the bot; then it shows what was durable when it looked.
"""

import heapq
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, TextIO

import msgspec

from actors.cli.anchors import CheckpointAnchors
from actors.cli.exits import OK, WRONG
from actors.cli.history import GuildHistory, JoinLine
from actors.cli.piping import reader_may_leave
from ledger.ids import GuildId
from persistence.disk import RealDisk
from persistence.reading import Reading


def export_joins(data: Path, database: Path, guild: GuildId | None, out: BinaryIO, err: TextIO) -> int:
    """Prints the joins of one guild or of all; notes go to ``err``.

    Returns:
        0, or 1 when records that were durable cannot be read here, so that joins are missing.

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
    _note(reading, data, guild, err)
    _print(histories, out)
    gone = not reading.chains.heads and database.exists()
    if gone:
        err.write(
            f"{data / 'log'} holds nothing, but {database} is there: start the bot, which rebuilds its log from it\n"
        )
    return WRONG if gone or reading.scan.missing else OK


def _print(histories: Mapping[GuildId, GuildHistory], out: BinaryIO) -> None:
    encoder = msgspec.json.Encoder()
    merged = heapq.merge(*(history.joins() for history in histories.values()), key=_place)
    with reader_may_leave(out):
        out.writelines(encoder.encode(line) + b"\n" for _, line in merged)


def _place(join: tuple[int, JoinLine]) -> int:
    return join[0]


def _note(reading: Reading, data: Path, guild: GuildId | None, err: TextIO) -> None:
    heads = reading.chains.heads
    if not heads:
        err.write(f"note: no records in {data / 'log'}; is LEDGER_DATA the bot's?\n")
    elif guild is not None and guild not in heads:
        err.write(f"note: nothing is recorded of guild {guild}, but of {len(heads)} others\n")
    if reading.scan.missing:
        ranges = ", ".join(f"{first} to {last}" for first, last in reading.scan.missing)
        err.write(f"note: records {ranges} cannot be read; the bot puts back at its start what the database has\n")
