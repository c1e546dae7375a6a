"""What the bot stands on before it starts: the data folder's lock, a disk that lasts, the cloud's store.

What kind of disk it is, is found out in ``actors/footing.py``; the lock itself is ``persistence/local.py``'s, and
stores are opened in ``persistence/stores.py``.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep, SystemClock
from actors.footing import Footing, find_footing, look_back, read_mountinfo
from actors.settings import BadSettings, Settings
from ledger.errors import FolderInUse, StorageError
from ledger.ports import Randomness
from persistence.disk import NO_ROOM, Disk, Held, RealDisk
from persistence.local import hold_folder
from persistence.objects import Objects
from persistence.offload import Offload
from persistence.stores import open_objects

LOCK_TRIES: Final = 5
LOCK_PAUSE_S: Final = 2.0
"""A second process on one data folder waits 10 s for the first."""


class FolderRefused(BadSettings):
    """The data folder cannot be made or written."""

    hint = "give it to the user who runs the bot (chown), or name another folder in LEDGER_DATA"


def warn_of_disk(data: Path, settings: Settings, log: FilteringBoundLogger) -> None:
    """Says loudly, at each start, when what is kept in a folder will not outlive a deploy."""
    _warn(find_footing(data, settings.ledger_disk, os.environ, read_mountinfo()), data, log)


def warn_of_first_start(settings: Settings, log: FilteringBoundLogger, *, seen: bool, earlier: int) -> None:
    """Says so when only the layers elsewhere remember an earlier start; after recovery (see ``look_back``).

    Not where the cloud has whatever is acknowledged: such a folder may come and go.
    """
    before = settings.footing()
    after = look_back(before, settings.ledger_disk, seen=seen, earlier=earlier)
    if after != before and settings.ack() != "cloud":
        _warn(after, settings.ledger_data, log)


def tell_of_new_history(settings: Settings, log: FilteringBoundLogger, *, earlier: int) -> None:
    """Says so when no layer knows of an earlier start: a wrong folder or prefix looks like a new bot."""
    if earlier:
        return
    data, cloud = settings.ledger_data, settings.cloud()
    aside = data / "quarantine"
    if cloud is not None:
        hint = (
            f"nothing was found at {cloud}: if this bot is not new, stop it, check the address and prefix in "
            "LEDGER_CLOUD, move LEDGER_DATA away, and start it again"
        )
        log.warning("history.began", data=str(data), cloud=cloud, hint=hint)
    elif RealDisk().names(aside):
        hint = (
            f"of what lay here nothing could be read, and it is in {aside} now: stop the bot, move LEDGER_DATA away, "
            "put a backup in its place, and start it again"
        )
        log.warning("history.began", data=str(data), cloud="", hint=hint)
    else:
        hint = "if this bot is not new, stop it, and start it with the LEDGER_DATA that it had"
        log.info("history.began", data=str(data), cloud="", hint=hint)


def _warn(footing: Footing, data: Path, log: FilteringBoundLogger) -> None:
    if footing.kind == "ephemeral":
        hint = f"what is kept there goes with this disk: mount a volume at {data} (or say LEDGER_DISK=lasting)"
        log.warning("disk.ephemeral_found", why=footing.why, data=str(data), hint=hint)


def warn_of_data(settings: Settings, log: FilteringBoundLogger) -> None:
    """The same of LEDGER_DATA, unless the cloud has whatever is acknowledged."""
    if remedy := remedy_of(settings):
        why = settings.footing().why
        log.warning("disk.ephemeral_found", why=why, data=str(settings.ledger_data), hint=remedy)


def remedy_of(settings: Settings) -> str:
    """What to do lest acknowledged records go with their disk; "" where they do not."""
    if settings.footing().kind == "lasting" or settings.ack() == "cloud":
        return ""
    if settings.cloud() is None:
        return "mount a volume at LEDGER_DATA or name a store in LEDGER_CLOUD (or say LEDGER_DISK=lasting)"
    return "leave LEDGER_ACK out: else what was acknowledged in the last second may be in no cloud when the disk goes"


def open_cloud(settings: Settings, disk: Disk, offload: Offload, randomness: Randomness) -> Objects | None:
    """The store of LEDGER_CLOUD; None where there is none. ``offload`` stays the caller's to close.

    Raises:
        Refused: when it cannot even be asked with the variables that are set.
    """
    address, token = settings.cloud(), settings.ledger_cloud_token
    if address is None:
        return None
    return open_objects(
        address,
        token.get_secret_value() if token else None,
        settings.store_variables(),
        disk=disk,
        offload=offload,
        randomness=randomness,
    )


async def hold(disk: Disk, data: Path, sleep: Sleep, log: FilteringBoundLogger) -> Held:
    """The data folder's lock; another process may be on its way out, so it is waited for.

    Raises:
        FolderInUse: when it is still held after the wait.
        FolderRefused: when the folder cannot be made or written.
        DiskFull: when there is no room.
    """
    try:
        return await await_lock(lambda: hold_folder(disk, data, started_at()), sleep, log)
    except StorageError as refused:
        if isinstance(refused.__cause__, OSError) and refused.__cause__.errno in NO_ROOM:
            raise
        raise FolderRefused([f"nothing can be recorded in LEDGER_DATA, {data} ({refused})"]) from refused


async def await_lock(lock: Callable[[], Held], sleep: Sleep, log: FilteringBoundLogger) -> Held:
    """What ``lock`` gives, tried again for a while.

    Raises:
        FolderInUse: when another process still holds it then.
    """
    for _ in range(LOCK_TRIES):
        try:
            return lock()
        except FolderInUse as busy:
            log.warning("folder.awaited", owner=busy.owner, hint=busy.hint)
            await sleep(LOCK_PAUSE_S)
    return lock()


def started_at() -> str:
    """Now, for a person to read."""
    return datetime.fromtimestamp(SystemClock().now_ms() / 1_000, UTC).isoformat(timespec="seconds")
