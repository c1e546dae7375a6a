"""Whether there is anything to look at: a folder that holds nothing is most often not the bot's."""

from pathlib import Path

from actors.command import command
from persistence.disk import Disk


def is_anything_recorded(disk: Disk, data: Path, database: Path) -> bool:
    """Whether there is a log or a database.

    Raises:
        StorageError: when nobody may look.
    """
    return any(disk.identity(each) is not None for each in (data / "log", database))


def nothing_recorded(disk: Disk, data: Path, database: Path) -> str:
    """Why a log tells of no guild, and what to do: a sentence for stderr; the command ends with 1.

    Raises:
        StorageError: when nobody may look.
    """
    log = data.absolute() / "log"
    if disk.identity(database) is not None:
        why = (
            f"no history can be read in {log}, but {database} is there: start the bot, which rebuilds its log from it"
        )
    elif disk.names(log):
        back = f"`{command('restore')}` brings back what the cloud or a backup holds"
        why = f"no history can be read in {log}, and there is no database: {back}"
    else:
        why = f"nothing is recorded in {data.absolute()}: is LEDGER_DATA the bot's?"
    return f"inviteledger: {why}\n"
