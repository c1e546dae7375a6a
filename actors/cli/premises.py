"""What can be found out on this machine before the bot starts: data folder, its disk, database, HTTP address.

Nothing is left behind and no lock is kept, so it can be asked beside a running bot.
"""

import errno
import os
import socket
import tempfile
from collections.abc import Collection, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

import msgspec

from actors.gateway.findings import Finding, Severity, Topic
from actors.ground import remedy_of
from actors.ops.http import Liveness
from actors.settings import Endpoint, Settings
from persistence.disk import NO_ROOM, lock_owner
from persistence.local import is_of_process

PATIENCE_S: Final = 2.0
OTHER_ADDRESS: Final = "choose another LEDGER_HTTP, or stop the process that listens there"
NO_PROCESS: Final = 0
TRIED_BYTES: Final = 4_096
"""A full disk may take an empty file."""


def look_round(settings: Settings, refused: Collection[str]) -> Iterator[Finding]:
    """A finding each; what depends on a setting that was refused is not looked at."""
    data, endpoint = settings.ledger_data, settings.http()
    owner, bot = "", NO_PROCESS
    if "LEDGER_DATA" not in refused:
        yield from _folder(settings)
        owner = lock_owner(data / "lock")
    if {"LEDGER_DATA", "DATABASE_URL"}.isdisjoint(refused):
        yield _database(settings)
    if "LEDGER_HTTP" not in refused:
        bot = _bot_at(endpoint)
        yield _address(endpoint, bot, owner)
    if owner and not is_of_process(owner, bot):
        fix = "stop that process, or name another folder in LEDGER_DATA"
        yield _found(Severity.AWAY, f"LEDGER_DATA, {data}, is in use by {owner}", fix)


def _folder(settings: Settings) -> Iterator[Finding]:
    data = settings.ledger_data
    there = _nearest(data)
    try:
        _write_in(there)
        yield _fine(f"LEDGER_DATA, {data}, can be written")
    except OSError as error:
        fix = f"{_remedy(error, str(there))}, or name another folder in LEDGER_DATA"
        yield _found(Severity.BLOCKING, f"LEDGER_DATA, {data}, cannot be written ({error.strerror})", fix)
        return
    yield _disk(settings)


def _nearest(folder: Path) -> Path:
    """What is there of it: itself, or the nearest folder in which it would be made; a link, wherever it leads."""
    whole = folder.absolute()
    return next(each for each in (whole, *whole.parents) if os.path.lexists(each))


def _write_in(folder: Path) -> None:
    """Raises ``OSError`` when nothing can be: permissions alone tell root nothing of a read-only or full disk."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(TRIED_BYTES))


def _database(settings: Settings) -> Finding:
    """The bot starts without it, and tries it again and again."""
    path = settings.database().absolute()
    try:
        _write_in(_nearest(path.parent))
        if os.access(path, os.F_OK):
            path.open("r+b").close()
    except OSError as error:
        waits = ", and acknowledges no join" if "database" in settings.named_layers() else ""
        what = f"The database, {path}, cannot be written ({error.strerror}): the bot goes on without it{waits}"
        fix = f"{_remedy(error, 'it and its folder')}, or name another file in DATABASE_URL"
        return _found(Severity.WARNING, what, fix)
    return _fine(f"The database, {path}, can be written")


def _remedy(error: OSError, what: str) -> str:
    return "free space there" if error.errno in NO_ROOM else f"give {what} to user {os.getuid()} (chown)"


def _disk(settings: Settings) -> Finding:
    footing, remedy = settings.footing(), remedy_of(settings)
    if remedy:
        return _found(Severity.WARNING, f"What is recorded goes with its disk ({footing.why})", remedy)
    if footing.kind == "lasting":
        return _fine(f"LEDGER_DATA lies on a disk that lasts ({footing.why})")
    return _fine(f"LEDGER_DATA goes with its disk ({footing.why}); what is acknowledged is in the cloud")


def _address(endpoint: Endpoint, bot: int, owner: str) -> Finding:
    if bot and is_of_process(owner, bot):
        return _fine(f"A bot is running on LEDGER_DATA and answers at LEDGER_HTTP, {endpoint}")
    if bot:
        return _found(
            Severity.AWAY, f"At LEDGER_HTTP, {endpoint}, a bot with another LEDGER_DATA runs", OTHER_ADDRESS
        )
    error = _bind(endpoint)
    if error is None:
        return _fine(f"LEDGER_HTTP, {endpoint}, is free")
    return _found(Severity.AWAY, f"LEDGER_HTTP, {endpoint}, cannot be had ({_why(error)})", OTHER_ADDRESS)


def _bind(endpoint: Endpoint) -> OSError | None:
    """Whether it could be listened on; let go at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen()
    except OSError as error:
        return error
    return None


def _why(error: OSError) -> str:
    return "another process has it" if error.errno == errno.EADDRINUSE else str(error.strerror)


def _bot_at(endpoint: Endpoint) -> int:
    """The process id of the bot that answers there; 0 where none does."""
    connection = HTTPConnection(endpoint.near(), endpoint.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/livez")
        return msgspec.json.decode(connection.getresponse().read(), type=Liveness).pid
    except (OSError, HTTPException, msgspec.MsgspecError):
        return NO_PROCESS
    finally:
        connection.close()


def _fine(what: str) -> Finding:
    return Finding(topic=Topic.LOCAL, severity=Severity.FINE, what=what)


def _found(severity: Severity, what: str, fix: str) -> Finding:
    return Finding(topic=Topic.LOCAL, severity=severity, what=what, fix=fix)
