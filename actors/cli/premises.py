"""What can be found out on this machine before the bot starts: the data folder, its disk, the HTTP address.

Nothing is left behind and no lock is taken, so it can be asked beside a running bot.
"""

import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from actors.footing import find_footing, read_mountinfo
from actors.gateway.findings import Finding, Severity, Topic
from actors.settings import Endpoint, Settings

PATIENCE_S: Final = 2.0


def look_round(settings: Settings) -> Iterator[Finding]:
    """A finding each."""
    yield _folder(settings.ledger_data)
    yield _disk(settings)
    yield _address(settings.http())


def _folder(data: Path) -> Finding:
    there = next(each for each in (data.absolute(), *data.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):  # permissions alone tell root nothing of a read-only or full disk
            return _fine(f"LEDGER_DATA, {data}, can be written")
    except OSError as error:
        fix = f"give {there} to user {os.getuid()} (chown), or name another folder in LEDGER_DATA"
        return _found(Severity.BLOCKING, f"LEDGER_DATA, {data}, cannot be written ({error.strerror})", fix)


def _disk(settings: Settings) -> Finding:
    footing = find_footing(settings.ledger_data, settings.ledger_disk, os.environ, read_mountinfo())
    if footing.kind == "lasting":
        return _fine(f"LEDGER_DATA lies on a disk that lasts ({footing.why})")
    fix = "mount a volume at LEDGER_DATA, or say LEDGER_DISK=lasting if it does last"
    return _found(Severity.WARNING, f"What is recorded goes with its disk ({footing.why})", fix)


def _address(endpoint: Endpoint) -> Finding:
    error = _bind(endpoint)
    if error is None:
        return _fine(f"LEDGER_HTTP, {endpoint}, is free")
    if error.errno == errno.EADDRINUSE and _is_bot(endpoint):
        return _fine(f"A bot is running and answers at LEDGER_HTTP, {endpoint}")
    fix = "choose another LEDGER_HTTP, or stop the process that listens there"
    return _found(Severity.AWAY, f"LEDGER_HTTP, {endpoint}, cannot be had ({error.strerror})", fix)


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


def _is_bot(endpoint: Endpoint) -> bool:
    connection = HTTPConnection(endpoint.near(), endpoint.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/livez")
        return b'"alive"' in connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _fine(what: str) -> Finding:
    return Finding(topic=Topic.LOCAL, severity=Severity.FINE, what=what)


def _found(severity: Severity, what: str, fix: str) -> Finding:
    return Finding(topic=Topic.LOCAL, severity=severity, what=what, fix=fix)
