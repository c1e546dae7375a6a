"""What every HTTP server of the program does alike: listening, and asking for a token."""

import hmac
import os

from aiohttp import web
from pydantic import SecretStr

from actors.settings import Endpoint
from ledger.errors import LedgerError


class CannotListen(LedgerError):
    """The address is taken, or not this machine's."""

    hint = "choose another LEDGER_HTTP, or stop the process that listens there; a vault also takes --listen"


async def listen(runner: web.AppRunner, endpoint: Endpoint) -> int:
    """Begins to serve; the port that it really is.

    Raises:
        CannotListen: when the address cannot be had.
    """
    site = web.TCPSite(runner, endpoint.host, endpoint.port)
    try:
        await site.start()
    except OSError as error:
        raise CannotListen(f"cannot listen on {endpoint} ({_why(error)})") from error
    port: int = runner.addresses[0][1]
    return port


def bears(request: web.Request, token: SecretStr) -> bool:
    """Whether the request carries the token; takes as long for a wrong one as for the right one."""
    given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
    return hmac.compare_digest(given, f"Bearer {token.get_secret_value()}".encode())


def _why(error: OSError) -> str:
    """In the system's words: asyncio's own tell the address again. A name that is not known has no such number."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
