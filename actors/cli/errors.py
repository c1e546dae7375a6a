"""An error as the command line tells it: one sentence with its fix, and an exit code."""

import sys

from actors.cli.exits import AWAY, CONFIGURATION, USAGE, WRONG
from actors.forgetting import WHERE_IDS_ARE, BadForgetting
from actors.gateway.names import LibraryMismatch
from actors.settings import BadSettings
from ledger.errors import LedgerError, NewerFormat, WrongHistory
from persistence.backups import FolderNotEmpty, InsideHistory, NoBackup, SourceDamaged, StaysAsItIs
from persistence.copying import CopyDiffers, NothingThen
from persistence.histories import NameUnknown
from persistence.objects import Refused
from persistence.probe import StoreUnfit


class BadWords(LedgerError):
    """What was said on the command line cannot be meant."""

    hint = f"a server's id is digits ({WHERE_IDS_ARE})"


def exit_code_of(error: LedgerError) -> int:
    """78 where only the operator can help, 2 where the words are wrong, 1 where what was asked about is; else 69."""
    if isinstance(error, BadForgetting | BadWords | NothingThen):
        return USAGE
    if isinstance(error, FolderNotEmpty | InsideHistory | NoBackup | StaysAsItIs):
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


def tell(error: LedgerError) -> int:
    """Says it on stderr; its exit code."""
    sys.stderr.write(explain(error))
    return exit_code_of(error)
