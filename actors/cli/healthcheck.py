"""``inviteledger healthcheck``: asks the bot on this machine whether it is ready, for Docker and the like.

It is asked again and again, so what is imported here is little: a third of what all commands take to start.
"""

import sys
from http.client import HTTPConnection, HTTPException
from typing import Final, TextIO

import msgspec

from actors.cli.exits import OK, WRONG
from actors.cli.piping import printing
from actors.settings import Endpoint
from actors.sources import read_settings
from ledger.errors import LedgerError

TIMEOUT_S: Final = 3.0


class Answer(msgspec.Struct, frozen=True):
    """What a bot of any release says on /readyz, at least."""

    ready: bool


def main() -> None:
    """The command by itself, as the whole program performs it."""
    try:
        code = check_health(read_settings().http(), sys.stdout)
    except LedgerError as error:
        from actors.cli.errors import tell  # noqa: PLC0415 -- it knows the errors of all commands

        code = tell(error)
    sys.exit(code)


def check_health(endpoint: Endpoint, out: TextIO) -> int:
    """Prints what /readyz answers; 0 when it is ready, 1 when it is not, or no bot answers."""
    told, ready = _ask(endpoint)
    with printing(out):
        out.write(told)
    return OK if ready else WRONG


def _ask(endpoint: Endpoint) -> tuple[str, bool]:
    """What is to be said, and whether the bot is ready."""
    connection = HTTPConnection(endpoint.near(), endpoint.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        body = connection.getresponse().read()
        return body.decode(errors="replace"), msgspec.json.decode(body, type=Answer).ready
    except msgspec.MsgspecError:
        return f"What answers at {endpoint} is not the bot: is this its LEDGER_HTTP?\n", False
    except OSError as error:
        why = error.strerror or error
    except HTTPException:
        why = "what it said is not HTTP"
    finally:
        connection.close()
    return f"No answer from {endpoint} ({why}): is the bot running, with the same LEDGER_HTTP?\n", False
