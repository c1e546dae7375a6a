"""``inviteledger verify``: walks every chain of every layer, a line a layer, then what is wrong with it and where."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TextIO

from actors.cli.cloud_layer import NAME as CLOUD
from actors.cli.cloud_layer import compared_with_log, inspect_cloud
from actors.cli.database import OF_A_BACKUP, inspect_database
from actors.cli.errors import exit_code_of
from actors.cli.exits import OK, WRONG
from actors.cli.inspection import (
    BACKUP,
    Inspected,
    find_checkpoints,
    inspect_backup,
    inspect_checkpoints,
    inspect_log,
)
from actors.cli.piping import printing
from actors.cli.progress import progress
from actors.cli.reach import Reached
from actors.cli.recorded import is_anything_recorded, nothing_recorded
from actors.cli.tools import Tools
from actors.gateway.wording import count
from actors.settings import BadSettings
from ledger.errors import Corrupt, NewerFormat, StorageError
from persistence.anchors import CheckpointAnchors
from persistence.backups import is_backup
from persistence.copying import Tally
from persistence.disk import RealDisk
from persistence.reading import Reading
from persistence.scan import last_gsn, survey


def verify_layers(data: Path, database: Path, out: TextIO, err: TextIO) -> int:
    """Inspects log, checkpoints and, unless a running bot holds it, the database; of a backup, what it is to hold.

    Returns:
        0, or 1 when anything is wrong, or nothing is recorded there.

    Raises:
        NewerFormat: when a later release wrote something.
        StorageError: when something cannot be read.
    """
    disk = RealDisk()
    if not is_anything_recorded(disk, data, database) and not is_backup(disk, data):
        err.write(nothing_recorded(disk, data, database))
        return WRONG
    layers, _ = _inspect(data, database, err)
    return _told(layers, out)


async def verify_all_layers(
    tools: Tools, data: Path, database: Path, cloud: AbstractAsyncContextManager[Reached]
) -> int:
    """The same, and the cloud: it is read first, so that what the log has besides is what it lags by.

    Returns:
        0, or 1 when anything is wrong; a layer that lags is not. Where the cloud cannot be read, or none is set, the
        others are told all the same, and the reason's exit code is given.

    Raises:
        NewerFormat, StorageError: as ``verify_layers``.
    """
    try:
        async with cloud as store:
            there = await inspect_cloud(tools, store.objects, store.offload, partial(progress, tools.err))
            layers, reading = _inspect(data, database, tools.err)
            every = (*layers, await compared_with_log(there, reading))
    except (BadSettings, Corrupt, NewerFormat, StorageError) as error:
        layers, _ = _inspect(data, database, tools.err)  # raises again where it was one of these
        why = f"{error}: {error.hint}" if error.hint else str(error)
        unread = Inspected(CLOUD, "cannot be verified", (why,), advised=True)
        _told([*layers, unread], tools.out)
        return exit_code_of(error)
    return _told(every, tools.out)


def _inspect(data: Path, database: Path, err: TextIO) -> tuple[Sequence[Inspected], Reading]:
    """The layers of a data folder, and the log as it was read."""
    disk = RealDisk()
    checkpoints = find_checkpoints(disk, data / "checkpoints")
    found = survey(disk, data / "log")
    reading = Reading(disk, data / "log", CheckpointAnchors(disk, data / "checkpoints"))
    tally = Tally()
    of = last_gsn(disk, found)
    with progress(err, "reading the log") as advance:
        log = inspect_log(disk, found, reading, tally, lambda done: advance(done, max(done, of)))
    of_checkpoints = inspect_checkpoints(disk, checkpoints, reading)
    if is_backup(disk, data):
        of_backup = inspect_backup(disk, data, tally.contents(), len(checkpoints))
        return (log, of_checkpoints, of_backup, OF_A_BACKUP), reading
    return (log, of_checkpoints, inspect_database(disk, data, database, reading.chains.heads)), reading


def _told(layers: Sequence[Inspected], out: TextIO) -> int:
    with printing(out):
        for layer in layers:
            _tell(layer, out)
        if any(layer.wrong and not layer.advised for layer in layers):
            out.write(f"to do: {_to_do(layers)}\n")
    return WRONG if any(layer.wrong for layer in layers) else OK


def _to_do(layers: Sequence[Inspected]) -> str:
    if any(layer.name == BACKUP for layer in layers):
        return "take another backup; what this one still holds comes back when a bot is started on a copy of it"
    return (
        "keep a copy of LEDGER_DATA, then start the bot, or start it anew: it puts back what another layer has, and "
        "says in recovery.finished what no layer has. What is damaged in the cloud stays there, and does no harm "
        "then. What goes on being told is in no layer any more, or nobody can tell what it held: an empty store in "
        "LEDGER_CLOUD (another prefix) gets all that there is"
    )


def _tell(layer: Inspected, out: TextIO) -> None:
    state = f"; {count(len(layer.wrong), 'fault')}:" if layer.wrong else ""
    out.write(f"{layer.name}: {layer.held}{state}\n")
    out.writelines(f"  {layer.name}: {fault}\n" for fault in layer.wrong)
    out.writelines(f"  {layer.name}: does no harm: {remark}\n" for remark in layer.harmless)
