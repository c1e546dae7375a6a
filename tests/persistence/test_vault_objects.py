"""The vault's client against whatever may answer in a vault's place."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from ledger.errors import StorageError
from persistence import vault_objects
from persistence.address import BadAddress
from persistence.objects import Objects, Refused, Unreachable, create_once
from persistence.vault_objects import VAULT_HEADER, NoAccess, VaultObjects

TOKEN = "a-token-of-a-vault"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SIGNED = {VAULT_HEADER: "1"}


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[VaultObjects]:
    """A client of a server that answers whatever it is asked in one way."""
    runner = web.AppRunner(_application(handler), shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    client = VaultObjects(f"http://127.0.0.1:{runner.addresses[0][1]}", TOKEN)
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def _application(handler: Handler) -> web.Application:
    application = web.Application(client_max_size=1 << 30)
    application.add_routes([web.route("*", "/{path:.*}", handler)])
    return application


def status(code: int, text: str = "", headers: dict[str, str] = SIGNED) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=code, text=text, headers=headers)

    return answer


async def called(objects: Objects) -> list[type[StorageError] | object]:
    """What each call gives or raises."""
    return [
        await _outcome(objects.get("a")),
        await _outcome(objects.create("a", b"")),
        await _outcome(objects.put("a", b"")),
        await _outcome(objects.delete("a")),
        await _outcome(_listed(objects)),
    ]


async def _outcome(call: Awaitable[object]) -> object:
    try:
        return await call
    except StorageError as error:
        return type(error) if TOKEN not in f"{error} {error!r}" else "the token"


async def _listed(objects: Objects) -> list[str]:
    return [key async for key in objects.keys("")]


@pytest.mark.parametrize("code", [200, 201, 204, 206, 400, 404, 405, 412, 429, 500, 502, 503, 504, 507])
async def test_what_is_not_a_vaults_is_no_answer(code: int):
    async with answering(status(code, "<html>not found</html>" if code != 204 else "", {})) as client:
        assert await called(client) == [Unreachable] * 5


@pytest.mark.parametrize("code", [301, 302, 307, 308, 401, 403, 407, 413])
async def test_what_only_an_operator_can_change_is_refused(code: int):
    async with answering(status(code, headers={"Location": "/elsewhere"})) as client:
        assert await called(client) == [Refused] * 5
    async with answering(status(code, headers={"Location": "/elsewhere"} | SIGNED)) as client:
        assert await called(client) == [NoAccess if code == 401 else Refused] * 5


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (400, Refused),
        (405, Refused),
        (411, Refused),
        (413, Refused),
        (507, Refused),
        (408, Unreachable),
        (429, Unreachable),
        (500, Unreachable),
        (502, Unreachable),
        (503, Unreachable),
    ],
)
async def test_what_a_vault_does_not_do_is_told_apart(code: int, raised: type[StorageError]):
    async with answering(status(code, "why\n")) as client:
        assert await called(client) == [raised] * 5
        with pytest.raises(raised, match=f"HTTP {code}, why$"):
            await client.put("a", b"")


async def test_a_status_that_answers_another_call_is_no_success():
    async with answering(status(200, '{"keys":[],"more":false}')) as client:
        get, create, put, delete, keys = await called(client)
        assert (create, put, delete) == (Refused, Refused, Refused)
        assert (get, keys) == (b'{"keys":[],"more":false}', [])
    async with answering(status(412)) as client:
        assert await called(client) == [Refused, False, Refused, Refused, Refused]
    async with answering(status(404)) as client:
        assert await called(client) == [None, Refused, Refused, Refused, Refused]


async def test_the_token_goes_to_the_address_and_nowhere_else():
    heard: list[str | None] = []

    async def elsewhere(request: web.Request) -> web.Response:
        heard.append(request.headers.get("Authorization"))
        return web.Response(headers=SIGNED)

    async with answering(elsewhere) as other:

        async def lead_away(_request: web.Request) -> web.Response:
            return web.Response(status=307, headers=SIGNED | {"Location": f"{other.address}/v1/objects/a"})

        async with answering(lead_away) as client:
            assert await called(client) == [Refused] * 5
        assert heard == []
        await other.get("a")
    assert heard == [f"Bearer {TOKEN}"]


async def test_cookies_are_not_kept():
    heard: list[str | None] = []

    async def bake(request: web.Request) -> web.Response:
        heard.append(request.headers.get("Cookie"))
        return web.Response(headers=SIGNED | {"Set-Cookie": "a=b"})

    async with answering(bake) as near:
        client = VaultObjects(near.address.replace("127.0.0.1", "localhost"), TOKEN)
        await client.get("a")
        await client.get("a")
        await client.close()
    assert heard == [None, None]


@pytest.mark.parametrize("length", [10, 1_000_000])
async def test_an_answer_that_breaks_off_is_none(length: int):
    async def tear(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers=SIGNED | {"Content-Length": str(length)})
        await answer.prepare(request)
        await answer.write(b"x" * (length - 1))
        assert request.transport is not None
        request.transport.close()
        return answer

    async with answering(tear) as client:
        with pytest.raises(Unreachable):
            await client.get("a")


async def test_an_answer_that_does_not_come_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vault_objects, "SILENCE_S", 0.02)
    never = asyncio.Event()

    async def keep(_request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    async with answering(keep) as client:
        assert await called(client) == [Unreachable] * 5
        never.set()


async def test_whose_answer_was_lost_finds_its_own_object():
    kept: dict[str, bytes] = {}

    async def lose_the_first(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(body=kept[request.path], headers=SIGNED)
        if request.path in kept:
            return web.Response(status=412, headers=SIGNED)
        kept[request.path] = await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response(status=201, headers=SIGNED)

    async with answering(lose_the_first) as client:
        assert await _outcome(client.create("epoch/1", b"mine")) in {Unreachable, False}  # aiohttp may ask again
        assert not await client.create("epoch/1", b"mine")
        assert await create_once(client, "epoch/1", b"mine")
        assert not await create_once(client, "epoch/1", b"another's")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"keys":["a"],"more":true}', '{"keys":[],"more":true}', '{"keys":[1],"more":false}']
)
async def test_a_listing_that_cannot_be_is_no_answer(text: str):
    """The same page again and again would be read for ever."""
    async with answering(status(200, text)) as client:
        with pytest.raises(Unreachable):
            await _listed(client)


async def test_tls_that_fails_is_refused():
    async with answering(status(200)) as plain:
        client = VaultObjects(plain.address.replace("http:", "https:"), TOKEN)
        assert await called(client) == [Refused] * 5
        await client.close()


async def test_a_path_of_a_proxy_stands_before_every_call():
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response(text='{"keys":[],"more":false}', headers=SIGNED)

    async with answering(note) as client:
        for path in ("/my/vault", "/my/vault/"):
            behind = VaultObjects(client.address.rstrip("/") + path, TOKEN)
            await behind.get("seg/1")
            assert await _listed(behind) == []
            await behind.close()
    assert asked == ["/my/vault/v1/objects/seg/1", "/my/vault/v1/objects?prefix=&after="] * 2


@pytest.mark.parametrize(
    "address",
    [
        "https://vault.example.org",
        "https://vault.example.org:8443/path",
        "https://203.0.113.9",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:8080",
        "http://10.0.0.7",
        "http://100.64.0.7",
        "http://[fd00::7]",
        "http://vault:8080",
        "http://vault.railway.internal:8080",
        "http://vault.internal",
        "http://vault.default.svc.cluster.local",
    ],
)
def test_these_are_addresses(address: str):
    assert VaultObjects(address, TOKEN).address.rstrip("/") == address


@pytest.mark.parametrize(
    "address",
    [
        "http://vault.example.org",
        "http://8.8.8.8",
        "http://[2001:4860:4860::8888]",
        "http://vault.internal.example.org",
        "https://user:secret-word@vault.example.org",
        "https://vault.example.org?token=secret-word",
        "https://vault.example.org#secret-word",
        "ftp://vault.example.org",
        "vault.example.org",
        "https://",
        "https://vault:port",
    ],
)
def test_these_are_none(address: str):
    with pytest.raises(BadAddress) as caught:
        VaultObjects(address, TOKEN)
    assert "secret-word" not in f"{caught.value!r}"
