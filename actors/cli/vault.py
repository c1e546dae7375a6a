"""``inviteledger vault``: keeps a bot's cloud layer in a folder and serves it over HTTP (``actors/ops/vault.py``)."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from actors.cli.document import document
from actors.cli.errors import BadWords
from actors.cli.exits import OK
from actors.clock import Sleep, SystemClock, SystemRandomness
from actors.ground import await_lock, started_at, warn_of_disk
from actors.logs import adopt_libraries, make_logger
from actors.ops.vault import VaultServer
from actors.outlet import Outlet
from actors.settings import BadSettings, Endpoint, Settings, parse_endpoint
from actors.signals import asked_to_stop
from ledger.errors import FolderInUse, StorageError
from persistence.backups import OF_THE_DISK, holds_history, in_use, is_taken, refuse_within_history, told_names
from persistence.cloud import CloudLayer
from persistence.cloud_bytes import segment_key
from persistence.disk import Disk, Held, RealDisk
from persistence.folder_objects import UNFINISHED, FolderObjects
from persistence.local import hold_folder
from persistence.offload import ThreadOffload

LOCK: Final = ".lock"
"""In the vault's folder; no key of an object begins so."""
_KEPT: Final = frozenset(
    {"boundary", "checkpoint", "epoch", "goodbye", "index", "pack", "probe", "pulse", "seg", "standby"}
)
"""What a cloud is made of (docs/durability.md)."""


class VaultInUse(FolderInUse):
    """Another vault serves the folder."""

    hint = "stop the other vault, or name another folder with --folder"


class NoVaultFolder(BadWords):
    """A folder is not one to serve: whoever has the token writes over and removes what lies there."""

    hint = "name a folder of the vault's own with --folder: an empty one, or one that is not there yet"


class NotOnlyVaults(NoVaultFolder):
    """A vault's folder holds other things as well."""

    hint = "move that away, and leave the rest where it is: with another folder the bot would have an empty cloud"


class BadAddress(BadWords):
    """What was said is nothing to listen on."""

    hint = "HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"


def endpoint_of(settings: Settings, said: str | None) -> Endpoint:
    """Where a vault listens: as said on the command line, else as LEDGER_HTTP or the host's PORT says.

    Raises:
        BadAddress: when it cannot be meant.
    """
    try:
        return settings.http() if said is None else parse_endpoint(said)
    except ValueError as error:
        raise BadAddress(f"{said!r} is nothing to listen on") from error


def folder_of(settings: Settings, said: str | None) -> Path:
    """Where a vault keeps what it serves: as said on the command line, else in LEDGER_DATA.

    Raises:
        NoVaultFolder: when an empty word was said, which would be the working folder.
    """
    if said == "":
        raise NoVaultFolder("--folder names nothing (a variable that is not set?), so nothing is served")
    return settings.ledger_data / "vault" if said is None else Path(said)


def serve_vault(settings: Settings, folder: Path, endpoint: Endpoint) -> int:
    """Serves until SIGTERM or Ctrl-C.

    Raises:
        BadSettings: without a token that is hard to guess on an address that others can reach; when the folder
            cannot be written.
        NoVaultFolder: when the folder holds anything but a vault's objects that a key could lead to, or is a file.
        InsideHistory: when it lies in a data folder, in a backup, or in another vault's.
        CannotListen: when the address cannot be had.
        VaultInUse: when another vault serves the folder, and still does 10 s later.
    """
    clock = SystemClock()
    stdout = Outlet(sys.stdout)
    log = make_logger(settings, clock, stdout)
    adopt_libraries(settings, clock, stdout)
    disk, reading = ThreadOffload("disk"), ThreadOffload("document")
    objects = FolderObjects(RealDisk(), folder, disk, SystemRandomness())

    def everything() -> AsyncGenerator[bytes, None]:
        return document(CloudLayer(objects, reading, SystemRandomness(), clock, "vault"), clock)

    server = VaultServer(
        endpoint=endpoint,
        token=settings.ledger_cloud_token,
        objects=objects,
        document=everything,
        clock=clock,
        log=log,
    )
    refuse_within_history(folder)
    _check_folder(folder)
    _refuse_of_others(folder)
    warn_of_disk(folder, settings, log)
    try:
        asyncio.run(_serve(server, folder, disk, log))
    finally:
        disk.close()
        reading.close()
    log.info("vault.stopped")
    stdout.finish()
    return OK


def _refuse_of_others(folder: Path) -> None:
    """Refuses what a key could lead to, and is no vault's.

    A vault's folder, or a ``file://`` cloud's, has ``.unfinished`` since its first write, and else folders. A copy
    may have lost that, since it is empty: it is known by its first segment, and holds what a cloud is made of alone.
    """
    disk = RealDisk()
    folders, is_copy = disk.folders(folder), os.access(folder / segment_key(1), os.F_OK)
    is_vault = UNFINISHED in folders
    kept = folders if is_vault else folders & _KEPT if is_copy else frozenset[str]()
    ours = {name for name in kept if not holds_history(folder / name)}
    if others := [name for name in disk.names(folder) if name not in ours and not _is_beside_keys(name)]:
        why = f"{folder} holds what is no vault's ({told_names(others)}){in_use(folder)}"
        error = NotOnlyVaults if is_vault or is_copy else NoVaultFolder
        raise error(f"{why}, and whoever has the vault's token could remove it; nothing is served")


def _is_beside_keys(name: str) -> bool:
    """Whether no key leads there: a vault leaves alone what a desktop, or a disk of its own, puts there."""
    return (name.startswith(".") and name != UNFINISHED) or name in OF_THE_DISK


def _check_folder(folder: Path) -> None:
    if is_taken(folder):
        raise NoVaultFolder(f"{folder} is no folder: a file, or a link that leads nowhere, is in its place")
    try:
        RealDisk().make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):  # permissions alone tell root nothing of a disk that is read-only
            return
    except (OSError, StorageError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        fix = f"give it to user {os.getuid()} (chown), or name another with --folder"
        raise BadSettings(
            [f"The vault's folder, {folder}, must be one that can be written ({why}): {fix}."]
        ) from error


async def hold_vault(disk: Disk, folder: Path, sleep: Sleep, log: FilteringBoundLogger) -> Held:
    """The lock of a vault's folder; another one may be on its way out, so it is waited for.

    Raises:
        VaultInUse: when it is still held after the wait.
    """

    def lock() -> Held:
        try:
            return hold_folder(disk, folder, started_at(), LOCK)
        except FolderInUse as busy:
            raise VaultInUse(str(folder), busy.owner) from busy

    return await await_lock(lock, sleep, log)


async def _serve(server: VaultServer, folder: Path, disk: ThreadOffload, log: FilteringBoundLogger) -> None:
    held = await hold_vault(RealDisk(), folder, asyncio.sleep, log)
    try:
        await _serve_until_told(server)
    finally:
        disk.close()  # requests that were cut off may have left work, which is done before another vault serves
        held.release()


async def _serve_until_told(server: VaultServer) -> None:
    await server.run(asked_to_stop())
