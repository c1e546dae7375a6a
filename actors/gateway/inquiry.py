"""Single questions to Discord's REST API, before any login: one try, a deadline, answers or failures as values.

aiohttp and not the library's client, because the library asks up to five times (25 s of a 502), throws the Date
header away, and points itself at a server by a constant that the whole process shares. Redirects are not followed:
the token goes where the operator said and nowhere else.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, Self, TypeVar

import aiohttp
import msgspec

from actors.gateway.failures import Failure, Forbidden, Limited, Malformed, TimedOut, Unavailable, wait_of
from actors.gateway.findings import UNAUTHORIZED
from actors.gateway.payloads import decode

DEADLINE_S: Final = 10.0
DEFAULT_RETRY_S: Final = 60.0
"""Where a 429 does not say how long."""
USER_AGENT: Final = "DiscordBot (https://github.com/inviteledger/inviteledger, 1)"
"""Discord's front turns away what does not call itself so."""

T = TypeVar("T")


class Inquiry:
    """Asks with one token; a context manager.

    Args:
        api_url: REST base.
        token: the bot's.
        now_ms: our clock, compared with Discord's.
        deadline_s: for each question.
    """

    def __init__(self, api_url: str, token: str, now_ms: Callable[[], int], deadline_s: float = DEADLINE_S) -> None:
        self.skew_s: float | None = None
        """How far our clock is ahead of Discord's, by the last answer; None = not known."""
        self._api_url = api_url.rstrip("/")
        self._headers = {"Authorization": f"Bot {token}", "User-Agent": USER_AGENT}
        self._now_ms = now_ms
        self._deadline_s = deadline_s
        self._session = aiohttp.ClientSession()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str, kind: type[T]) -> T | Failure:
        """What stands at a path."""
        return await self._ask("GET", path, kind, b"")

    async def patch(self, path: str, body: object, kind: type[T]) -> T | Failure:
        """Changes what stands at a path; what stands there then."""
        return await self._ask("PATCH", path, kind, msgspec.json.encode(body))

    async def _ask(self, method: str, path: str, kind: type[T], body: bytes) -> T | Failure:
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        url = f"{self._api_url}{path}"
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                self._session.request(method, url, headers=headers, data=body, allow_redirects=False) as answer,
            ):
                return self._read(answer, await answer.read(), kind)
        except TimeoutError:
            return TimedOut(after_s=self._deadline_s)
        except (aiohttp.ClientError, OSError) as error:
            return Unavailable(status=0, why=_in_words(error))

    def _read(self, answer: aiohttp.ClientResponse, body: bytes, kind: type[T]) -> T | Failure:
        self._compare_clocks(answer.headers.get("Date", ""))
        match answer.status:
            case 200:
                return _decoded(body, kind)
            case 401:
                return Forbidden(reason=UNAUTHORIZED)
            case 403:
                return Forbidden()
            case 429:
                return Limited(retry_after_s=wait_of(answer.headers.get("Retry-After", ""), DEFAULT_RETRY_S))
            case status:
                return Unavailable(status=status)

    def _compare_clocks(self, date: str) -> None:
        """The header has whole seconds, cut off; the middle of that second is the best guess."""
        with suppress(ValueError):
            theirs: datetime = parsedate_to_datetime(date)
            self.skew_s = self._now_ms() / 1_000 - theirs.timestamp() - 0.5


def _in_words(error: aiohttp.ClientError | OSError) -> str:
    """The system's words where it has any: asyncio's own tell addresses and Python."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if not isinstance(cause, OSError) or cause.errno is None:
        return "the connection broke"
    return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)


def _decoded(body: bytes, kind: type[T]) -> T | Failure:
    try:
        return decode(msgspec.json.decode(body), kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Malformed(why=type(error).__name__)
