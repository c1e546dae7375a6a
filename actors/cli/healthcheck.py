"""``inviteledger healthcheck``: asks the bot on this machine whether it is ready, for Docker and the like."""

from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final, TextIO

from actors.cli.exits import OK, WRONG
from actors.settings import Endpoint

TIMEOUT_S: Final = 3.0


def check_health(endpoint: Endpoint, out: TextIO) -> int:
    """Prints what /readyz answers; 0 when it is ready, 1 when it is not, or nobody answers."""
    connection = HTTPConnection(endpoint.near(), endpoint.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        out.write(answer.read().decode(errors="replace"))
    except (OSError, HTTPException) as error:
        out.write(f"no answer from {endpoint} ({error!r}): is the bot running, with the same LEDGER_HTTP?\n")
        return WRONG
    finally:
        connection.close()
    return OK if answer.status == HTTPStatus.OK else WRONG
