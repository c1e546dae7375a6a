"""Objects in a vault (``inviteledger vault``, ``actors/ops/vault.py``): the same calls over HTTP.

Rules: an answer is a vault's only with the header ``VAULT_HEADER``. What a proxy, a host's edge or a wrong address
says in its place is never taken for "there is no such object": an empty store would be believed by a recovery. No
redirect is followed, so that the token goes nowhere else. Nothing is tried again here (``create_once`` and whoever
uploads do); but aiohttp sends a request anew where a kept connection turned out to be closed, which is one more way
in which a ``create`` can meet its own object.

Over plain ``http://`` only hosts are asked that no public name or address leads to (``persistence/address.py``).
"""

from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

import aiohttp
import msgspec

from persistence.address import parse_address
from persistence.objects import MAX_OBJECT_BYTES, Refused, Unreachable, check_key

OBJECTS_PATH: Final = "v1/objects"
VAULT_HEADER: Final = "Inviteledger-Vault"
VAULT_FORMAT: Final = "1"
PAGE_KEYS: Final = 5_000
"""Keys of a page, at most."""

CONNECT_S: Final = 10.0
SILENCE_S: Final = 30.0
"""How long nothing may come of an answer that is awaited."""
TOTAL_S: Final = 120.0
"""How long a request may take whole: the largest object at 5 Mbit/s."""

_CREATE_ONLY: Final = MappingProxyType({"If-None-Match": "*"})
_LATER: Final = frozenset({408, 429})
_NO_ACCESS: Final = 401
_FOR_GOOD: Final = frozenset({*range(300, 400), _NO_ACCESS, 403, 407, 413})
"""What a proxy says that only an operator can change; a 404 or 502 may be that of a vault's deploy."""
_OK, _CREATED, _DONE, _NONE, _EXISTS, _SERVER_ERROR, _FULL = 200, 201, 204, 404, 412, 500, 507
SAID_BYTES: Final = 200
"""So much of an answer's text is told."""


class NoAccess(Refused):
    """The vault wants a token, and has got none or another one."""

    hint = "set LEDGER_CLOUD_TOKEN to the one that the vault was started with"


class KeysPage(msgspec.Struct, frozen=True):
    """A page of a listing. ``more``: others follow behind the last of ``keys``."""

    keys: tuple[str, ...]
    more: bool


class _Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes


_pages: Final = msgspec.json.Decoder(KeysPage)


class VaultObjects:
    """``Objects`` of a vault. One session, made at the first call, in the loop of that call.

    Args:
        address: ``https://HOST[:PORT][/PATH]``; the path is that of a proxy in front of the vault.
        token: the vault's LEDGER_CLOUD_TOKEN, "" where it needs none.

    Raises:
        BadAddress: when it is none, or would send the token over a public network for all to read.
    """

    def __init__(self, address: str, token: str) -> None:
        self._base = str(parse_address(address))
        self._headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._open: aiohttp.ClientSession | None = None

    @property
    def address(self) -> str:
        return self._base

    async def get(self, key: str) -> bytes | None:
        answer = await self._ask("GET", key, expected={_OK, _NONE})
        return answer.body if answer.status == _OK else None

    async def create(self, key: str, data: bytes) -> bool:
        answer = await self._ask("PUT", key, data=data, headers=_CREATE_ONLY, expected={_CREATED, _EXISTS})
        return answer.status == _CREATED

    async def put(self, key: str, data: bytes) -> None:
        await self._ask("PUT", key, data=data, expected={_DONE})

    async def keys(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        more = True
        while more:
            page = await self._page(prefix, after)
            for key in page.keys:
                yield key
            more, after = page.more, page.keys[-1] if page.keys else after

    async def delete(self, key: str) -> None:
        await self._ask("DELETE", key, expected={_DONE})

    async def close(self) -> None:
        """Safe to call twice; the next call would open anew."""
        session, self._open = self._open, None
        if session is not None:
            await session.close()

    async def _page(self, prefix: str, after: str) -> KeysPage:
        where = urlencode({"prefix": prefix, "after": after})
        answer = await self._send("GET", f"?{where}", expected={_OK})
        try:
            page = _pages.decode(answer.body)
        except msgspec.MsgspecError as error:
            raise Unreachable(f"{self.address}: a listing cannot be read ({error})") from error
        if page.more and (not page.keys or page.keys[-1] <= after):
            raise Unreachable(f"{self.address}: a listing does not go on")
        return page

    async def _ask(
        self,
        method: str,
        key: str,
        *,
        expected: set[int],
        data: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> _Answer:
        check_key(key)
        if data is not None and len(data) > MAX_OBJECT_BYTES:
            raise Refused(f"{key} has {len(data)} bytes; a vault takes {MAX_OBJECT_BYTES}")
        return await self._send(method, f"/{key}", expected=expected, data=data, headers=headers)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        expected: set[int],
        data: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> _Answer:
        body = None if data is None else BytesIO(data)  # bytes would be written in one piece, beside the loop's turn
        try:
            async with self._session().request(
                method, f"{self._base}/{OBJECTS_PATH}{path}", data=body, headers=headers, allow_redirects=False
            ) as answer:
                self._check_sender(answer)
                text = await answer.read()
        except aiohttp.ClientSSLError as error:
            raise Refused(f"{self.address}: TLS failed ({error.strerror or type(error).__name__})") from error
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise Unreachable(f"{self.address} does not answer ({error or type(error).__name__})") from error
        if answer.status not in expected:
            said = f"{self.address}: HTTP {answer.status}, {text[:SAID_BYTES].decode(errors='replace').strip()}"
            raise _error_of(answer.status)(said)
        return _Answer(answer.status, text)

    def _check_sender(self, answer: aiohttp.ClientResponse) -> None:
        """Whether a vault answered, before anything of it is read."""
        if answer.headers.get(VAULT_HEADER) != VAULT_FORMAT:
            said = f"what answers at {self.address} is not a vault (HTTP {answer.status})"
            if answer.status in _FOR_GOOD:
                raise Refused(said)
            raise Unreachable(f"{said}: it is just being deployed, or LEDGER_CLOUD is another's address")

    def _session(self) -> aiohttp.ClientSession:
        if self._open is None:
            self._open = aiohttp.ClientSession(
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S, sock_read=SILENCE_S),
                auto_decompress=False,
            )
        return self._open


def _error_of(status: int) -> type[Refused | Unreachable]:
    if _is_later(status):
        return Unreachable
    return NoAccess if status == _NO_ACCESS else Refused


def _is_later(status: int) -> bool:
    return status in _LATER or (status >= _SERVER_ERROR and status != _FULL)
