"""The vault over real sockets: who may, what is refused, what a broken request leaves, and how it ends."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
import pytest

from actors.cli import vault as serving_cli
from actors.cli.healthcheck import check_health
from actors.cli.vault import LOCK
from actors.clock import SystemClock
from actors.logs import make_logger
from actors.ops import vault as serving_of
from actors.ops.vault import VaultServer
from actors.settings import BadSettings, Endpoint, Settings
from ledger.errors import DiskFull, StorageError
from persistence.disk import RealDisk, RealHandle, lock_owner
from persistence.folder_objects import FolderObjects
from persistence.objects import MAX_OBJECT_BYTES, Refused, Unreachable, create_once
from persistence.offload import ThreadOffload, inline
from persistence.vault_objects import PAGE_KEYS, VAULT_HEADER, VaultObjects
from tests.actors.vaults import TOKEN, Lines, Vault, server, serving
from tests.memory.objects import Call, MemoryBucket, MemoryObjects
from tests.persistence.making import TestRandomness

BEARER = {"Authorization": f"Bearer {TOKEN}"}
ONLY_NEW = {"If-None-Match": "*"}


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects(MemoryBucket())


@pytest.fixture
def unexcited(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that the library takes for a bug of ours happens."""
    yield
    assert [record for record in caplog.get_records("call") if record.levelname == "ERROR"] == []


@pytest.fixture
async def vault(objects: MemoryObjects) -> AsyncIterator[Vault]:
    async with serving(objects) as running:
        yield running


class Answered(msgspec.Struct):
    status: int
    body: bytes
    headers: dict[str, str]


async def ask(
    vault: Vault, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answered:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, vault.address + path, data=body, headers=BEARER if headers is None else headers) as a,
    ):
        return Answered(a.status, await a.read(), dict(a.headers))


Say = Callable[[bytes], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@pytest.fixture
async def say(vault: Vault) -> AsyncIterator[Say]:
    """Opens a connection and writes to it, whatever HTTP makes of that."""
    opened: list[asyncio.StreamWriter] = []

    async def open_and_write(text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", vault.port)
        opened.append(writer)
        writer.write(text)
        await writer.drain()
        return reader, writer

    yield open_and_write
    for writer in opened:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def begin(key: str, length: object, more: str = "") -> bytes:
    """The head of a PUT whose body waits to be asked for."""
    return (
        f"PUT /v1/objects/{key} HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {length}\r\n{more}\r\n"
    ).encode()


ASKS_FIRST = "Expect: 100-continue\r\n"


async def test_the_statuses_of_each_call(vault: Vault):
    path = "/v1/objects/seg/1"
    assert (await ask(vault, "GET", path)).status == 404
    assert (await ask(vault, "PUT", path, b"one", BEARER | ONLY_NEW)).status == 201
    assert (await ask(vault, "PUT", path, b"two", BEARER | ONLY_NEW)).status == 412
    assert (await ask(vault, "GET", path)).body == b"one"
    assert (await ask(vault, "PUT", path, b"three")).status == 204
    assert (await ask(vault, "GET", path)).body == b"three"
    assert (await ask(vault, "DELETE", path)).status == 204
    assert (await ask(vault, "DELETE", path)).status == 204
    assert (await ask(vault, "GET", path)).status == 404


async def test_every_answer_is_signed_and_not_to_be_kept(vault: Vault):
    for method, path, headers in (
        ("GET", "/v1/objects/x", BEARER),
        ("GET", "/v1/objects", BEARER),
        ("GET", "/health", {}),
        ("GET", "/nothing", BEARER),
        ("POST", "/v1/objects/x", BEARER),
        ("GET", "/v1/objects/x", {}),
        ("GET", "/get_discord_data_backup", BEARER),
    ):
        answer = await ask(vault, method, path, headers=headers)
        assert (answer.headers[VAULT_HEADER], answer.headers["Cache-Control"]) == ("1", "no-store"), path


@pytest.mark.parametrize(
    "given", ["", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", TOKEN, f"Basic {TOKEN}", f"Bearer  {TOKEN}", "Bearer ÿ"]
)
async def test_without_the_token_there_is_nothing_but_health(vault: Vault, objects: MemoryObjects, given: str):
    await objects.create("seg/1", b"one")
    headers = {"Authorization": given} if given else {}
    for method, path in (
        ("GET", "/v1/objects/seg/1"),
        ("PUT", "/v1/objects/seg/2"),
        ("DELETE", "/v1/objects/seg/1"),
        ("GET", "/v1/objects"),
        ("GET", "/get_discord_data_backup"),
        ("GET", "/nothing"),
        ("POST", "/v1/objects/seg/1"),
    ):
        answer = await ask(vault, method, path, headers=headers)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (await ask(vault, "GET", "/health", headers=headers)).status == 200
    assert objects.bucket.objects == {"seg/1": b"one"}


async def test_healthcheck_asks_a_vault_as_it_asks_a_bot(vault: Vault):
    told = io.StringIO()
    code = await asyncio.to_thread(check_health, Endpoint("0.0.0.0", vault.port), told)
    assert (code, told.getvalue()) == (0, '{"ready":true}\n')


async def test_who_has_no_token_is_told_of_once_a_minute_and_no_token_is_in_the_log(vault: Vault):
    for _ in range(5):
        await ask(vault, "GET", "/v1/objects", headers={"Authorization": "Bearer wrong-token"})
    await ask(vault, "GET", "/v1/objects")
    (line,) = (line for line in vault.lines.all() if line["event"] == "vault.denied")
    assert (line["remote"], line["requests"]) == ("127.0.0.1", 1)
    assert "token" not in vault.lines.getvalue()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "vault.internal"])
def test_without_a_token_it_serves_only_this_machine(objects: MemoryObjects, host: str):
    with pytest.raises(BadSettings, match="LEDGER_CLOUD_TOKEN must be set"):
        server(objects, Lines(), token="", at=Endpoint(host, 0))
    assert isinstance(server(objects, Lines(), at=Endpoint(host, 0)), VaultServer)


def test_a_token_that_can_be_guessed_guards_only_this_machine(objects: MemoryObjects):
    with pytest.raises(BadSettings, match=r"must have 16 characters at least: .* `openssl rand -hex 32`") as refused:
        server(objects, Lines(), token="x" * 15, at=Endpoint("0.0.0.0", 0))
    assert "xxx" not in str(refused.value)
    assert isinstance(server(objects, Lines(), token="x" * 16, at=Endpoint("0.0.0.0", 0)), VaultServer)
    assert isinstance(server(objects, Lines(), token="x"), VaultServer)


async def test_without_a_token_a_web_page_that_leads_its_name_here_is_refused(objects: MemoryObjects):
    async with serving(objects, token="") as vault:
        for host, status in (("evil.example:80", 403), ("localhost:80", 200), ("127.0.0.1", 200), ("[::1]:80", 200)):
            assert (await ask(vault, "GET", "/v1/objects", headers={"Host": host})).status == status, host


@pytest.mark.parametrize("method", ["POST", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "LINK"])
async def test_methods_that_are_none_of_ours_are_not_allowed(vault: Vault, objects: MemoryObjects, method: str):
    await objects.create("seg/1", b"one")
    answer = await ask(vault, method, "/v1/objects/seg/1")
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(",")) == {"GET", "PUT", "DELETE"}
    assert objects.bucket.objects == {"seg/1": b"one"}


@pytest.mark.parametrize(
    "key", ["..", "../x", "%2e%2e/x", "%2e%2e%2fx", "a//b", "a/", "", ".hidden", "a%00", "a%20b", "a%5cb", "x" * 201]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_is_no_key_is_refused(say: Say, objects: MemoryObjects, method: str, key: str):
    reader, _ = await say(
        f"{method} /v1/objects/{key} HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Length: 1\r\nConnection: close\r\n\r\nx".encode(),
    )
    head = await reader.read()
    assert b" 400 " in head.partition(b"\r\n")[0], head
    assert b"is no key" in head
    assert objects.bucket.objects == {}


async def test_pages_follow_one_another(vault: Vault, objects: MemoryObjects):
    for number in range(25):
        await objects.create(f"seg/{number:03}", b"x")
    await objects.create("epoch/1", b"x")
    found, after = [], ""
    for size in (10, 10, 5):
        answer = await ask(vault, "GET", f"/v1/objects?prefix=seg/&after={after}&limit=10")
        page = json.loads(answer.body)
        assert (len(page["keys"]), page["more"]) == (size, size == 10)
        found += page["keys"]
        after = found[-1]
    assert found == [f"seg/{number:03}" for number in range(25)]
    assert json.loads((await ask(vault, "GET", "/v1/objects?prefix=none")).body) == {"keys": [], "more": False}


async def test_the_client_goes_from_page_to_page(vault: Vault, objects: MemoryObjects):
    names = [f"seg/{number:06}" for number in range(2 * PAGE_KEYS + 1)]
    objects.bucket.objects.update((name, b"") for name in names)
    client = VaultObjects(vault.address, TOKEN)
    assert [key async for key in client.keys("seg/")] == names
    assert [key async for key in client.keys("seg/", names[PAGE_KEYS])] == names[PAGE_KEYS + 1 :]
    await client.close()


@pytest.mark.parametrize("limit", ["0", "-1", "x", "", "1.5", str(PAGE_KEYS + 1), "9" * 5_000, "٣"])
async def test_a_page_has_a_limit(vault: Vault, limit: str):
    assert (await ask(vault, "GET", f"/v1/objects?limit={limit}")).status == 400


@pytest.mark.parametrize(
    "more", ['If-None-Match: "abc"\r\n', "If-Match: *\r\n", 'If-None-Match: *\r\nIf-Match: "a"\r\n']
)
async def test_a_condition_that_is_not_kept_is_refused(say: Say, objects: MemoryObjects, more: str):
    reader, _ = await say(begin("seg/1", 1, more) + b"x")
    assert b" 400 " in await reader.readline()
    assert objects.bucket.objects == {}


async def test_a_body_without_length_is_refused(vault: Vault, objects: MemoryObjects):
    async def body() -> AsyncIterator[bytes]:
        yield b"x"

    async with aiohttp.ClientSession() as session:
        answer = await session.put(f"{vault.address}/v1/objects/seg/1", data=body(), headers=BEARER)
        assert answer.status == 411
    assert objects.bucket.objects == {}


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(vault: Vault, say: Say, objects: MemoryObjects):
    reader, _ = await say(begin("seg/1", MAX_OBJECT_BYTES + 1))
    assert b" 413 " in await reader.readline()
    assert objects.bucket.objects == {}
    client = VaultObjects(vault.address, TOKEN)
    with pytest.raises(Refused, match="bytes; a vault takes"):
        await client.put("seg/1", bytes(MAX_OBJECT_BYTES + 1))
    await client.close()


async def test_the_largest_object_is_taken(vault: Vault):
    client = VaultObjects(vault.address, TOKEN)
    largest = bytes(MAX_OBJECT_BYTES)
    assert await client.create("pack/1", largest)
    assert await client.get("pack/1") == largest
    await client.close()


@pytest.mark.parametrize("length", ["x", "-1", "1, 2", "99999999999999999999999999"])
async def test_a_length_that_is_none_leaves_nothing(say: Say, objects: MemoryObjects, length: str):
    reader, _ = await say(begin("seg/1", length) + b"x")
    status = await reader.readline()
    assert b" 400 " in status or b" 413 " in status, status
    assert objects.bucket.objects == {}


@pytest.mark.usefixtures("unexcited")
@pytest.mark.parametrize("sent", [0, 1, 99])
@pytest.mark.parametrize("abruptly", [0, 1])
async def test_an_upload_that_breaks_off_leaves_nothing(
    vault: Vault, say: Say, objects: MemoryObjects, sent: int, abruptly: int
):
    reader, writer = await say(begin("seg/1", 100, ASKS_FIRST))
    assert b" 100 " in await reader.readline()
    writer.write(b"x" * sent)
    await writer.drain()
    if abruptly:
        writer.transport.abort()
    else:
        writer.write_eof()
        await reader.read()
    vault.stop()  # it waits for what is in hand
    await vault.ended()
    assert objects.bucket.objects == {}
    assert not [line for line in vault.lines.all() if line["level"] == "error"]


async def test_what_follows_a_body_is_no_part_of_it(vault: Vault, say: Say, objects: MemoryObjects):
    reader, _ = await say(begin("seg/1", 3) + b"one" + begin("seg/2", 3, "Connection: close\r\n") + b"two")
    assert (await reader.read()).count(b" 204 ") == 2
    vault.stop()
    await vault.ended()
    assert objects.bucket.objects == {"seg/1": b"one", "seg/2": b"two"}


async def test_a_body_that_does_not_come_is_not_waited_for(
    say: Say, objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(serving_of, "BODY_S", 0.01)
    reader, _ = await say(begin("seg/1", 10) + b"x")
    assert b" 408 " in await reader.readline()
    assert objects.bucket.objects == {}


async def test_of_many_who_create_one_key_exactly_one_does(vault: Vault, objects: MemoryObjects):
    everybody = asyncio.Barrier(20)

    async def meet(call: Call) -> None:
        if call.verb == "create" and call.data < b"0008":  # as many as are taken at once
            await asyncio.sleep(0)

    objects.before = meet
    clients = [VaultObjects(vault.address, TOKEN) for _ in range(20)]

    async def create(number: int, client: VaultObjects) -> bool:
        await everybody.wait()
        return await create_once(client, "epoch/1", b"%04d" % number)

    won = await asyncio.gather(*(create(number, client) for number, client in enumerate(clients)))
    assert sum(won) == 1
    assert objects.bucket.objects == {"epoch/1": b"%04d" % won.index(True)}
    for client in clients:
        await client.close()


async def test_no_more_bodies_than_a_few_are_held_at_once(vault: Vault, say: Say, objects: MemoryObjects):
    held, free, all_held = 0, asyncio.Event(), asyncio.Event()

    async def hold(call: Call) -> None:
        nonlocal held
        if call.verb == "put":
            held += 1
            if held == serving_of.MAX_BODIES:
                all_held.set()
            await free.wait()

    objects.before = hold
    said = [await say(begin(f"seg/{number}", 1) + b"x") for number in range(serving_of.MAX_BODIES + 3)]
    await all_held.wait()
    for _ in range(3):
        assert (await ask(vault, "GET", "/health")).status == 200
    assert held == serving_of.MAX_BODIES
    free.set()
    for reader, _ in said:
        assert b" 204 " in await reader.readline()
    assert len(objects.bucket.objects) == serving_of.MAX_BODIES + 3


FULL = Refused("full")
FULL.__cause__ = DiskFull("No space left on device")


@pytest.mark.parametrize(
    ("error", "status", "raised"),
    [
        (FULL, 507, Refused),
        (DiskFull("No space left on device"), 507, Refused),
        (Unreachable("fsync failed"), 500, Unreachable),
        (Refused("permission denied"), 503, Unreachable),
        (StorageError("EIO"), 503, Unreachable),
    ],
)
async def test_what_the_disk_cannot_do_is_told(
    vault: Vault, objects: MemoryObjects, error: StorageError, status: int, raised: type[StorageError]
):
    async def fail(call: Call) -> None:
        del call
        raise error

    objects.before = fail
    assert (await ask(vault, "PUT", "/v1/objects/seg/1", b"one", BEARER | ONLY_NEW)).status == status
    line = await vault.lines.line("vault.failed")
    assert (line["method"], line["path"], line["error"]) == ("PUT", "/v1/objects/seg/1", str(error))
    assert line["hint"] == (DiskFull.hint if status == 507 else error.hint), (
        "what a client is to do helps nobody here"
    )
    client = VaultObjects(vault.address, TOKEN)
    for call in (
        client.create("seg/1", b"one"),
        client.put("seg/1", b"one"),
        client.get("seg/1"),
        client.delete("x"),
    ):
        with pytest.raises(raised):
            await call
    with pytest.raises(raised):
        _ = [key async for key in client.keys("")]
    await client.close()


class FullDisk(RealDisk):
    """A disk without room, until there is."""

    room = False

    def append_to(self, path: Path) -> RealHandle:
        handle = super().append_to(path)
        if not self.room:
            handle.write(b"a part of it")
            handle.close()
            raise DiskFull("No space left on device")
        return handle


async def test_a_full_disk_is_507_and_leaves_nothing(tmp_path: Path):
    disk = FullDisk()
    async with serving(FolderObjects(disk, tmp_path / "kept", inline, TestRandomness())) as vault:
        for headers in (BEARER, BEARER | ONLY_NEW):
            answer = await ask(vault, "PUT", "/v1/objects/seg/1", b"one", headers)
            assert (answer.status, answer.body) == (507, b"the vault's disk is full\n")
        assert (await ask(vault, "GET", "/v1/objects/seg/1")).status == 404
        assert json.loads((await ask(vault, "GET", "/v1/objects")).body) == {"keys": [], "more": False}
        disk.room = True
        assert (await ask(vault, "PUT", "/v1/objects/seg/1", b"one", BEARER | ONLY_NEW)).status == 201
        assert (await ask(vault, "GET", "/v1/objects/seg/1")).body == b"one"


async def test_what_is_in_hand_is_ended_and_what_comes_then_is_told_to_come_later(
    vault: Vault, say: Say, objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(serving_of, "DRAIN_S", 600.0)  # the end is not waited for longer than it takes
    reader, writer = await say(begin("seg/1", 3, ASKS_FIRST))
    assert b" 100 " in await reader.readline()
    vault.stop()
    assert (await vault.lines.line("vault.draining"))["requests"] == 1
    client = VaultObjects(vault.address, TOKEN)
    with pytest.raises(Unreachable, match="HTTP 503, the vault is stopping"):
        await client.put("seg/2", b"two")
    assert (await ask(vault, "GET", "/health", headers={})).status == 503
    assert (await ask(vault, "GET", "/v1/objects", headers={})).status == 401
    writer.write(b"one")
    await reader.readline()
    assert b" 204 " in await reader.readline()
    await vault.ended()
    with pytest.raises(Unreachable, match="does not answer"):
        await client.get("seg/1")
    await client.close()
    assert objects.bucket.objects == {"seg/1": b"one"}


async def test_nobody_holds_up_the_end_for_long(
    vault: Vault, say: Say, objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(serving_of, "DRAIN_S", 0.01)
    monkeypatch.setattr(serving_of, "SHUTDOWN_S", 0.01)
    reader, _ = await say(begin("seg/1", 3, ASKS_FIRST))
    assert b" 100 " in await reader.readline()
    vault.stop()
    await vault.ended()
    assert objects.bucket.objects == {}


async def numbers() -> AsyncGenerator[bytes, None]:
    for number in range(1_000):
        yield b"%d\n" % number


async def test_the_document_comes_in_pieces_and_is_told_of(objects: MemoryObjects):
    async with serving(objects, document=numbers) as vault:
        answer = await ask(vault, "GET", "/get_discord_data_backup")
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.body == b"".join(b"%d\n" % number for number in range(1_000))
        assert (await vault.lines.line("document.served"))["bytes"] == len(answer.body)


@pytest.mark.usefixtures("unexcited")
async def test_a_document_that_cannot_be_finished_is_not_taken_for_whole(objects: MemoryObjects):
    async def torn() -> AsyncGenerator[bytes, None]:
        yield b'{"guilds":{'
        raise StorageError("a segment is gone")

    async with serving(objects, document=torn) as vault:
        with pytest.raises(aiohttp.ClientError):
            await ask(vault, "GET", "/get_discord_data_backup")
        assert (await vault.lines.line("document.failed"))["error"] == "a segment is gone"
        with pytest.raises(aiohttp.ClientError):
            await ask(vault, "GET", "/get_discord_data_backup")  # and the next may try


async def test_a_document_that_cannot_be_begun_is_a_status(objects: MemoryObjects):
    async def away() -> AsyncGenerator[bytes, None]:
        raise StorageError("the folder is gone")
        yield b""

    async with serving(objects, document=away) as vault:
        assert (await ask(vault, "GET", "/get_discord_data_backup")).status == 503
        assert (await vault.lines.line("vault.failed"))["error"] == "the folder is gone"


async def test_one_reads_everything_at_a_time(objects: MemoryObjects):
    go_on = asyncio.Event()

    async def slow() -> AsyncGenerator[bytes, None]:
        yield b"{"
        await go_on.wait()
        yield b"}"

    async with serving(objects, document=slow) as vault:
        async with aiohttp.ClientSession() as session:
            first = await session.get(f"{vault.address}/get_discord_data_backup", headers=BEARER)
            second = await ask(vault, "GET", "/get_discord_data_backup")
            assert (second.status, second.headers["Retry-After"]) == (503, "1")
            go_on.set()
            assert await first.read() == b"{}"
        assert (await ask(vault, "GET", "/get_discord_data_backup")).body == b"{}"


@pytest.mark.usefixtures("unexcited")
async def test_who_leaves_in_the_middle_of_the_document_is_in_nobodys_way(objects: MemoryObjects):
    left = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield bytes(1_000_000)
        finally:
            left.set()

    async with serving(objects, document=endless) as vault:
        async with aiohttp.ClientSession() as session:
            answer = await session.get(f"{vault.address}/get_discord_data_backup", headers=BEARER)
            await answer.content.read(100)
            answer.close()
        await left.wait()
        assert await vault.lines.line("document.failed")


async def test_who_does_not_read_on_is_not_waited_for(objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serving_of, "PIECE_S", 0.05)

    async def endless() -> AsyncGenerator[bytes, None]:
        while True:
            yield bytes(1_000_000)

    async with serving(objects, document=endless) as vault, aiohttp.ClientSession() as session:
        answer = await session.get(f"{vault.address}/get_discord_data_backup", headers=BEARER)
        assert (await vault.lines.line("document.failed"))["error"] == "nobody reads on"
        answer.close()


async def test_a_vault_lets_go_of_its_folder_when_what_it_was_asked_for_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk, hung = ThreadOffload("disk"), threading.Event()
    held_by: list[str] = []

    async def cut_off(_: VaultServer) -> None:
        """It is told to stop while a request waits for a disk that hangs."""
        asked = [
            asyncio.ensure_future(disk(work))
            for work in (hung.wait, lambda: held_by.append(lock_owner(tmp_path / LOCK)))
        ]
        await asyncio.sleep(0)
        for request in asked:
            request.cancel()
        threading.Timer(0.05, hung.set).start()

    monkeypatch.setattr(serving_cli, "_serve_until_told", cut_off)
    lines = Lines()
    log = make_logger(Settings(), SystemClock(), lines)
    await serving_cli._serve(server(MemoryObjects(MemoryBucket()), lines), tmp_path, disk, log)
    assert [owner.startswith("process") for owner in held_by] == [True]
    assert lock_owner(tmp_path / LOCK) == ""
