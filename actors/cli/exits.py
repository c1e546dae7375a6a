"""How the program ends: exit codes, and what is said of an error, in one sentence with its fix."""

from typing import Final

from actors.forgetting import WHERE_IDS_ARE, BadForgetting
from actors.gateway.names import LibraryMismatch
from actors.settings import BadSettings
from ledger.errors import LedgerError, NewerFormat, WrongHistory
from persistence.backups import FolderNotEmpty, InsideHistory, NoBackup, SourceDamaged
from persistence.copying import CopyDiffers, NothingThen
from persistence.histories import NameUnknown
from persistence.objects import Refused
from persistence.probe import StoreUnfit

OK: Final = 0
WRONG: Final = 1
"""What was asked about is not as it should be."""
USAGE: Final = 2
AWAY: Final = 69
"""Something that is needed is away: a disk, a lock, an address. Starting again later may help."""
CONFIGURATION: Final = 78
"""Only the operator can help; starting again does not."""
INTERRUPTED: Final = 130
"""Ctrl-C, as a shell tells it."""


class BadWords(LedgerError):
    """What was said on the command line cannot be meant."""

    hint = f"a server's id is digits ({WHERE_IDS_ARE})"


def exit_code_of(error: LedgerError) -> int:
    """78 where only the operator can help, 2 where the words are wrong, 1 where what was asked about is; else 69."""
    if isinstance(error, BadForgetting | BadWords | FolderNotEmpty | InsideHistory | NoBackup | NothingThen):
        return USAGE
    if isinstance(error, SourceDamaged | CopyDiffers | NameUnknown):
        return WRONG
    only_by_hand = isinstance(
        error, BadSettings | NewerFormat | LibraryMismatch | WrongHistory | Refused | StoreUnfit
    )
    return CONFIGURATION if only_by_hand else AWAY


def explain(error: LedgerError) -> str:
    """What went wrong and what to do about it, for stderr; each line names the program."""
    text = f"{error}: {error.hint}." if error.hint else str(error)
    return "".join(f"inviteledger: {line}\n" for line in text.splitlines())
