"""``inviteledger restore``: a backup, or the cloud, becomes a data folder; compared with its source, or not there."""

from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from actors.cli.contents import Say, said_of, sum_of
from actors.cli.errors import BadWords
from actors.cli.exits import OK, WRONG
from actors.cli.piping import printing
from actors.cli.progress import progress
from actors.cli.times import shown
from actors.cli.tools import Tools
from actors.gateway.wording import count
from ledger.errors import Corrupt
from persistence.backups import Backup, SourceDamaged, becoming_whole, read_note
from persistence.copying import Copied, Cut, NothingThere, copy_history
from persistence.histories import FolderHistory, History
from persistence.marker import folder_id

CLOUD: Final = "cloud"
_CUT: Final = (
    "this is a separate history from now on: give the bot a LEDGER_CLOUD of its own (another prefix); it does not",
    "start with the one that holds what was cut off",
)
_NOTHING_CUT: Final = (
    "nothing was recorded later, but this is a separate history from now on: give the bot a LEDGER_CLOUD of its own",
    "(another prefix). To go on with the cloud of before, restore without --at, into another folder",
)


class BadRestore(BadWords):
    """What was said of a restore cannot be meant."""

    hint = "`restore --to DIR [--from BACKUP] [--at TIME]`, or `restore --drill`"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be restored: into which folder, and up to when (milliseconds since 1970; None = all)."""

    to: Path
    until_ms: int | None


async def restore_backup(tools: Tools, backup: Path, wish: Wish) -> int:
    """Restores what ``inviteledger backup`` wrote.

    Returns:
        0, or 1 when the history had lost records already before it was backed up.

    Raises:
        SourceDamaged: when the backup is not what was written.
        LedgerError: when it could not be restored. In either case the folder is as it was.
    """
    try:
        note = read_note(tools.disk, backup)
        copied = await _as_noted(tools, backup, note, wish)
    except Corrupt as error:
        raise SourceDamaged(f"{backup} is damaged: {error}") from error
    lost = 0 if wish.until_ms is not None else note.checkpoints - copied.checkpoints
    return _tell(tools, str(backup), copied, wish, lost)


async def _as_noted(tools: Tools, backup: Path, note: Backup, wish: Wish) -> Copied:
    with becoming_whole(tools.disk, wish.to, "inviteledger restore") as place:
        try:
            copied = await _copy(tools, FolderHistory(tools.disk, backup, (note.epoch, note.lineage)), place, wish)
        except NothingThere as error:
            if not note.contents.records:
                raise
            raise SourceDamaged(f"{backup} is damaged: none of {sum_of(note.contents)} can be read") from error
        if copied.source != note.contents:
            told = f"{sum_of(copied.source)} can be read of {sum_of(note.contents)}"
            raise SourceDamaged(f"{backup} is damaged: {told}")
    return copied


async def restore_history(tools: Tools, history: History, name: str, wish: Wish) -> int:
    """Restores a history that tells itself what it holds: the cloud (see ``restore_backup``)."""
    try:
        with becoming_whole(tools.disk, wish.to, "inviteledger restore") as place:
            copied = await _copy(tools, history, place, wish)
    except NothingThere as error:
        raise NothingThere(f"{name}: {error}") from error
    except Corrupt as error:
        raise SourceDamaged(f"{name} is damaged: {error}") from error
    return _tell(tools, name, copied, wish)


async def _copy(tools: Tools, history: History, place: Path, wish: Wish) -> Copied:
    cut = None
    if wish.until_ms is not None:
        lineage, now_ms = tools.randomness.token(), tools.clock.now_ms()
        cut = Cut(until_ms=wish.until_ms, lineage=lineage, now_ms=now_ms)
    copied = await copy_history(history, tools.disk, place, cut, partial(progress, tools.err))
    folder_id(tools.disk, place, tools.randomness, copied.epoch)
    return copied


def _tell(tools: Tools, name: str, copied: Copied, wish: Wish, lost: int = 0) -> int:
    """Says what was restored; ``lost``: so many checkpoints of the source could not be read."""
    same = copied.source.records - copied.left_out
    with printing(tools.out):
        say = Say("restore", tools.out)
        say(
            *said_of(copied, cut=wish.until_ms is not None),
            f"from {name} into {wish.to.absolute()}, and read back: {count(same, 'record')} as they are there",
        )
        if lost:
            say(f"{count(lost, 'checkpoint')} could not be read there and left out: a bot makes them anew")
        if wish.until_ms is not None:
            added = count(copied.contents.records - same, "record")
            say(f"cut at {shown(wish.until_ms)}: {count(copied.left_out, 'later record')} left out")
            say(f"{added} added: that each guild goes on from there, and who is to be forgotten")
            say(*(_CUT if copied.left_out else _NOTHING_CUT))
        if copied.reforgotten:
            say(f"{copied.reforgotten} times somebody was forgotten later than that: so they are here, too")
        say(*(f"does no harm: {remark}" for remark in copied.remarks))
        say(*(f"the history was not whole: {note}" for note in copied.notes))
        if copied.notes:
            say("a start of the bot with its own folder, or with the cloud, may still have what is missing here")
        say(f"to run on it: set LEDGER_DATA to {wish.to.absolute()}; names are asked of Discord again")
    return WRONG if copied.notes else OK
