"""The error tree: what the world can do to us. Our own bugs are assertions, not errors.

    LedgerError
    ├── IllegalMove            a phase change that the table does not know
    ├── StorageError           a layer could not do what it was asked; the outcome is KNOWN: nothing happened
    │   ├── DiskFull           no space, or the disk is read-only
    │   ├── Denied             the file or folder is another user's
    │   ├── LayerRefused       it will not take what another layer holds: a bug of ours, which must stop no other
    │   └── NotConfirmed       the outcome is UNKNOWN: the bytes may or may not be durable
    ├── Corrupt                bytes that are not what was written: checksum, chain, shape
    ├── NewerFormat            written by a later release; nothing was touched
    ├── Fenced                 the writer is stale: an incarnation or a base seq was overtaken
    ├── Stale                  this process is: another one has taken over the history
    ├── WrongHistory           log, database and cloud hold different histories
    └── FolderInUse            another process owns the data folder

Each carries ``hint``: what the operator can do, one sentence.
"""

from collections.abc import Mapping
from typing import ClassVar


class LedgerError(Exception):
    """Base of everything that is expected to go wrong. ``hint`` says what to do about it."""

    hint: ClassVar[str] = ""


class IllegalMove(LedgerError):
    """A guild's phase was asked to change in a way that the table of phases does not list."""


class StorageError(LedgerError):
    """A layer could not do what it was asked, and nothing of it happened."""

    hint = "look at the disk: space, permissions, kernel log"


class DiskFull(StorageError):
    """No space left, quota reached, or the disk is read-only."""

    hint = "free space on the disk that holds LEDGER_DATA; the bot goes on by itself"


class Denied(StorageError):
    """A file or folder may not be opened by the user that runs this."""

    hint = "run it as the user that owns it, or give it to the one that runs this (chown, chmod)"


class LayerRefused(StorageError):
    """A layer will not take what another one holds (a number it has no room for): a bug of ours.

    It is an error and not an assertion, because the other layer goes on.
    """

    hint = "please report it with the log line; nothing is lost, the other layer has it"


class NotConfirmed(StorageError):
    """A write or an fsync failed: whether the bytes are durable is unknown, and asking again proves nothing."""

    hint = (
        "look at the disk: space, kernel log; a bot takes a new epoch, reads back and goes on by itself. If it "
        "repeats, replace the disk"
    )


class Corrupt(LedgerError):
    """Bytes are not what was written (checksum, chain or shape). ``where`` names file and place."""

    hint = "the layer is rebuilt from another one; the bad file is kept in quarantine/"

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


class NewerFormat(LedgerError):
    """A file was written by a later release: ``release``, "" where it does not say. Nothing was touched."""

    hint = "install the release that wrote it, or a later one"

    def __init__(self, where: str, what: str, release: str = "") -> None:
        by = f"a later release, inviteledger {release}" if release else "a later release"
        super().__init__(f"{where} was written by {by}: {what}")
        self.where = where
        self.what = what
        self.release = release


class Fenced(LedgerError):
    """The writer is stale: a newer incarnation or sequence exists. Nothing was written."""


class Stale(LedgerError):
    """Another process has a higher epoch than this one: it writes the history now, and this one has to stop.

    What this one acknowledged without the cloud lies in its folder, and is salvaged when the folder next starts.
    """

    hint = (
        "let the other process run; if it is not wanted, stop it and start this one again. Where both take over in "
        "turn, one's data folder is a copy of the other's: delete `marker` in the copy, and one of them stands by"
    )


class WrongHistory(LedgerError):
    """Layers are of different lineages: one is another bot's, or of before a restore. Nothing was touched."""

    hint = (
        "give each bot a LEDGER_DATA, a DATABASE_URL and a LEDGER_CLOUD of its own (another prefix will do); behind "
        "`restore --at`, which begins another history, move the database of before away, and name another prefix"
    )

    def __init__(self, lineages: Mapping[str, str]) -> None:
        """``lineages``: by what holds it."""
        super().__init__(" and ".join(f"the {name} holds the history {each[:8]}" for name, each in lineages.items()))


class FolderInUse(LedgerError):
    """Another process owns the data folder. ``owner`` is what it wrote about itself."""

    hint = "stop the other process, or give this one another LEDGER_DATA"

    def __init__(self, folder: str, owner: str) -> None:
        super().__init__(f"{folder} is in use by {owner}")
        self.owner = owner
