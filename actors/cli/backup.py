"""``inviteledger backup``: a copy of the history in a folder of its own, read back; also beside a running bot."""

import asyncio
from functools import partial
from pathlib import Path

from actors.cli.contents import Say, said_of
from actors.cli.exits import OK, WRONG
from actors.cli.piping import printing
from actors.cli.progress import progress
from actors.cli.recorded import nothing_recorded
from actors.cli.times import compact
from actors.cli.tools import Tools
from actors.command import command
from persistence.backups import Backup, becoming_whole, write_note
from persistence.copying import Copied, copy_history
from persistence.formats import RELEASE
from persistence.histories import FolderHistory


def back_up(tools: Tools, data: Path, database: Path, to: Path | None) -> int:
    """Copies what is durable in the log of ``data``, and the newest checkpoints, into ``to``.

    Args:
        tools: what it works with.
        data: the data folder.
        database: the database's file: where there is no log, the bot makes one of it.
        to: an empty folder, or one that is not there; None = one named by the time, in the working folder.

    Returns:
        0, or 1 when nothing is recorded, or records were missing already (the rest is kept all the same).

    Raises:
        LedgerError: when it could not be made: then nothing that looks like a backup is there.
    """
    disk = tools.disk
    if not disk.names(data / "log"):
        tools.err.write(nothing_recorded(disk, data, database))
        return WRONG
    now_ms = tools.clock.now_ms()
    folder = to or Path(f"inviteledger-backup-{compact(now_ms)}")
    with becoming_whole(disk, folder, "inviteledger backup") as place:
        history, showing = FolderHistory(disk, data, None), partial(progress, tools.err)
        copied = asyncio.run(copy_history(history, disk, place, None, showing))
        write_note(disk, place, _note(copied, now_ms))
    with printing(tools.out):
        say = Say("backup", tools.out)
        say(*said_of(copied))
        say(f"written to {folder.absolute()}, and read back")
        for note in copied.notes:
            say(f"the log itself is not whole: {note}")
        say(f"to put it back: {command('restore')} --from {folder} --to DIR")
    return WRONG if copied.notes else OK


def _note(copied: Copied, now_ms: int) -> Backup:
    return Backup(
        made_ms=now_ms,
        contents=copied.contents,
        epoch=copied.epoch,
        lineage=copied.lineage,
        checkpoints=copied.checkpoints,
        release=RELEASE,
    )
