"""Whether there is anything to look at: a folder that holds nothing is most often not the bot's."""

from pathlib import Path


def is_anything_recorded(data: Path, database: Path) -> bool:
    return (data / "log").exists() or database.exists()


def nothing_recorded(data: Path) -> str:
    """The sentence for stderr; the command ends with 1."""
    return f"inviteledger: nothing is recorded in {data.absolute()}: is LEDGER_DATA the bot's?\n"
