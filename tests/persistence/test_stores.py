"""Stores by their address, and what an operator is told when one cannot be used; never a secret."""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from obstore.store import S3Store

from persistence.address import S3_ENDPOINTS, S3_VARIABLES, BadAddress
from persistence.buckets import CLIENT, BucketObjects
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.objects import Objects, Refused, Unreachable
from persistence.offload import inline
from persistence.patience import PatientObjects
from persistence.stores import open_objects
from persistence.vault_objects import VaultObjects
from tests.persistence.careless_s3 import careless_s3
from tests.persistence.making import TestRandomness
from tests.servers import Place

SECRET: Final = "never-to-be-told"
VARIABLES: Final = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": SECRET}
AZURE: Final = {"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT_KEY": "bmV2ZXI="}


def opened(address: str, environ: Mapping[str, str] | None = None, token: str | None = None) -> Objects:
    return open_objects(address, token, environ or {}, disk=RealDisk(), offload=inline, randomness=TestRandomness())


@pytest.mark.parametrize(
    ("address", "environ", "kind"),
    [
        ("file:///mnt/ledger", {}, FolderObjects),
        ("s3://bucket/prefix", VARIABLES, BucketObjects),
        ("gs://bucket/prefix", {}, BucketObjects),
        ("az://container/prefix", AZURE, BucketObjects),
        ("https://vault.example.org", {}, VaultObjects),
        ("http://127.0.0.1:8080", {}, VaultObjects),
    ],
)
async def test_an_address_opens_its_store(address: str, environ: Mapping[str, str], kind: type[Objects]):
    store = opened(address, environ, SECRET)
    assert isinstance(store._objects if isinstance(store, PatientObjects) else store, kind)
    assert store.address == address
    await store.close()


NO_ENDPOINTS: Final = (
    "127.0.0.1:9000",
    "s3.example.org",
    "minio:9000",
    "https://",
    "https://s3.example.org:99999",
    "https://[::1",
    '"https://s3.example.org"',
    "ftp://s3.example.org",
    "https://${HOST}",
    "https://s3 example.org",
    "https://sé.example.org",
)


def test_what_is_no_address_opens_nothing():
    with pytest.raises(BadAddress):
        opened("ftp://bucket")


@pytest.mark.parametrize(
    ("address", "environ", "why"),
    [
        ("s3://bucket", {"AWS_SECRET_ACCESS_KEY": SECRET}, "s3://bucket: .*Missing AccessKeyId"),
        *(
            ("s3://bucket", {**VARIABLES, name: "http://s3.example.org"}, f"{name} begins .*AWS_ALLOW_HTTP")
            for name in S3_ENDPOINTS
        ),
        *(
            ("s3://bucket", {**VARIABLES, "AWS_ENDPOINT_URL": wrong}, "AWS_ENDPOINT_URL is no endpoint.*https://")
            for wrong in NO_ENDPOINTS
        ),
        *(
            (
                "s3://bucket/prefix",
                {**VARIABLES, "AWS_ENDPOINT_URL_S3": f"https://minio:9000{path}"},
                f"^s3://bucket/prefix: AWS_ENDPOINT_URL_S3 ends with the bucket, .* makes https://minio:9000{above}$",
            )
            for path, above in (("/bucket", ""), ("/bucket/", ""), ("/storage/v1/bucket", "/storage/v1"))
        ),
        ("s3://bucket/prefix", {**VARIABLES, "AWS_ENDPOINT": "minio"}, "^s3://bucket/prefix: AWS_ENDPOINT is no end"),
        ("gs://bucket", {"GOOGLE_SERVICE_ACCOUNT_KEY": SECRET}, "gs://bucket: .*service account"),
        ("az://container", {"AZURE_STORAGE_ACCOUNT_KEY": SECRET}, "az://container: .*Account must be specified"),
        ("az://container", {**AZURE, "AZURE_STORAGE_ACCOUNT_KEY": SECRET}, "az://container: .*Invalid Access Key"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(address: str, environ: Mapping[str, str], why: str):
    with pytest.raises(Refused, match=why) as caught:
        opened(address, environ)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in S3_VARIABLES if name not in S3_ENDPOINTS])
@pytest.mark.parametrize(
    "value", [f"{SECRET}\n", f"{SECRET}\r\n", f"{SECRET}\t", f"\0{SECRET}", f"{SECRET}\x7f{SECRET}"]
)
def test_what_no_request_can_carry_is_refused_by_the_name_of_its_variable(name: str, value: str):
    with pytest.raises(Refused, match=f"^s3://bucket/prefix: {name} holds a line break, or another") as caught:
        opened("s3://bucket/prefix", {**VARIABLES, name: value})
    assert SECRET not in str(caught.value)
    assert caught.value.hint == "correct that variable (environment, /run/secrets or .env)"


@pytest.mark.parametrize("name", ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCOUNT_NAME"])
def test_that_holds_for_other_stores_as_well(name: str):
    with pytest.raises(Refused, match=f"^az://container: {name} holds a line break"):
        opened("az://container", {**AZURE, name: f"{AZURE[name]}\n"})


def test_the_text_of_a_service_account_may_have_lines():
    with pytest.raises(Refused, match=r"^gs://bucket: .*service account"):
        opened("gs://bucket", {"GOOGLE_SERVICE_ACCOUNT_KEY": "{\n}\n"})


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ENDPOINT_URL": "http://s3.example.org", "AWS_ALLOW_HTTP": "true"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"},
        {"AWS_ENDPOINT_URL": "https://s3.example.org"},
        {"AWS_ENDPOINT_URL": "https://s3.example.org/storage/v1/s3"},
        {"AWS_ENDPOINT_URL": "https://s3.example.org/bucket", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"},
        {"AWS_ENDPOINT_URL": "http://s3.example.org", "AWS_ENDPOINT_URL_S3": "https://s3.example.org"},
        {"AWS_ENDPOINT_URL": "", "AWS_SESSION_TOKEN": "", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": ""},
    ],
)
def test_an_endpoint_is_asked_where_nobody_listens_on_the_way(environ: Mapping[str, str]):
    opened("s3://bucket", {**VARIABLES, **environ})


@pytest.mark.parametrize("name", S3_ENDPOINTS[:2])
async def test_an_empty_variable_of_the_process_is_none(monkeypatch: pytest.MonkeyPatch, deaf_port: int, name: str):
    """Obstore reads it by itself, and panics; Compose hands an empty line of an env file over."""
    monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_REGION", "")
    store = opened("s3://bucket", {**VARIABLES, "AWS_ENDPOINT": f" http://127.0.0.1:{deaf_port}"})
    with pytest.raises(Unreachable, match=r"no answer \(Connection refused"):
        await store.get("seg/1")
    assert not {name, "AWS_REGION"} & {*os.environ}


async def test_a_panic_of_obstores_is_a_store_that_refuses():
    store = BucketObjects(S3Store("bucket", config={**VARIABLES, "AWS_ENDPOINT_URL": "no url"}), "s3://bucket")
    with pytest.raises(Refused, match="read seg/1: obstore broke off"):
        await store.get("seg/1")


# What is wrong with a bucket

Ask: TypeAlias = Callable[[Objects], Awaitable[object]]


async def listing(store: Objects) -> list[str]:
    return [key async for key in store.keys("seg/")]


CALLS: Final[Mapping[str, Ask]] = {
    "read seg/1": lambda store: store.get("seg/1"),
    "create seg/1": lambda store: store.create("seg/1", b"x"),
    "write seg/1": lambda store: store.put("seg/1", b"x"),
    "delete seg/1": lambda store: store.delete("seg/1"),
    "list seg/": listing,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("address", "wrong", "why"),
    [
        ("s3://ledger/x", "AWS_SECRET_ACCESS_KEY", "the secret key does not belong .*SignatureDoesNotMatch"),
        ("s3://ledger/x", "AWS_ACCESS_KEY_ID", "the access key is not known there.*InvalidAccessKeyId"),
        ("s3://nobody/x", "NOTHING", "there is no such bucket: make it.*NoSuchBucket"),
    ],
)
async def test_a_bucket_that_refuses_is_told_with_what_to_do(
    s3_address: Place, call: str, address: str, wrong: str, why: str
):
    """Above all a bucket that is not there is no bucket with nothing in it."""
    with pytest.raises(Refused, match=f"^{address}: {call}: {why}") as caught:
        await CALLS[call](opened(address, {**s3_address.environ, wrong: SECRET}))
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


Answer: TypeAlias = tuple[int, str]
LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


@asynccontextmanager
async def answering(answer: Answer | None, **methods: Answer) -> AsyncIterator[Mapping[str, str]]:
    """A server that says the same to everything but to some methods; None = nothing at all."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(asked)
        await reader.readexactly(
            int(length[1]) if length else 0
        )  # closed with bytes unread, a socket resets the answer
        said = methods.get(asked.split()[0].decode(), answer)
        if said is not None:
            status, body = said
            head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close"  # or it is used again
            writer.write(f"{head}\r\n\r\n{body}".encode())
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield {**VARIABLES, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}


def saying(code: str) -> str:
    return f"<Error><Code>{code}</Code><AWSAccessKeyId>{SECRET}</AWSAccessKeyId></Error>"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (None, Unreachable, "no answer (none that can be read)"),
        ((500, saying("InternalError")), Unreachable, "later (HTTP 500 InternalError)"),
        ((503, saying("SlowDown")), Unreachable, "later (HTTP 503 SlowDown)"),
        ((429, ""), Unreachable, "later (HTTP 429)"),
        ((400, saying("RequestTimeout")), Unreachable, "later (HTTP 400 RequestTimeout)"),
        ((400, saying("AuthorizationHeaderMalformed")), Refused, "set AWS_REGION"),
        ((401, ""), Refused, "the credentials are refused (HTTP 401)"),
        ((403, saying("RequestTimeTooSkewed")), Refused, "clock is wrong"),
        ((403, "<html>a proxy"), Refused, "these credentials may not do that"),
        ((404, saying("NoSuchBucket")), Refused, "there is no such bucket"),
        ((404, saying("ContainerNotFound")), Refused, "there is no such container"),
        ((501, saying("NotImplemented")), Refused, "does not know this call"),
        ((507, ""), Refused, "full"),
        ((418, ""), Refused, "the store refuses (HTTP 418)"),
    ],
)
async def test_what_a_store_answers_is_told_apart(call: str, answer: Answer | None, kind: type[Exception], why: str):
    async with answering(answer) as environ:
        with pytest.raises((Unreachable, Refused)) as caught:
            await CALLS[call](opened("s3://bucket/prefix", environ))
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"s3://bucket/prefix: {call}: ")
    assert why in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_a_conflict_that_left_nothing_is_no_object():
    """S3 says 409 where a write was under way, and nothing may have come of it."""
    async with answering((409, saying("ConditionalRequestConflict")), HEAD=(404, "")) as environ:
        with pytest.raises(Unreachable, match="another write was under way"):
            await opened("s3://bucket", environ).create("seg/1", b"x")


@pytest.mark.parametrize("call", ["read seg/1", "delete seg/1"])
async def test_a_404_of_who_knows_whom_is_no_missing_object(call: str):
    async with answering((404, "not found")) as environ:
        with pytest.raises(Refused, match="endpoint is no store"):
            await CALLS[call](opened("s3://bucket", environ))
    for code in ("NoSuchKey", "BlobNotFound"):
        async with answering((404, saying(code))) as environ:
            assert await CALLS[call](opened("s3://bucket", environ)) is None


async def speak_of(raw: bytes, tls: ssl.SSLContext | None = None) -> tuple[asyncio.Server, Mapping[str, str]]:
    """A server that says these bytes to whoever asks."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    return server, {**VARIABLES, "AWS_ENDPOINT_URL": f"{'https' if tls else 'http'}://127.0.0.1:{port}"}


HEAD: Final = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nLast-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\n'


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (HEAD + b"Content-Length: 100\r\n\r\npart of it", "it broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "what answers is no store"),
        (b"SSH-2.0-x\r\n", "none that can be read"),
    ],
)
async def test_what_is_no_whole_answer_of_a_store_is_no_object(raw: bytes, why: str):
    server, environ = await speak_of(raw)
    async with server:
        with pytest.raises(Unreachable, match=why):
            await opened("s3://bucket", environ).get("seg/1")


async def test_a_store_that_anybody_could_be_is_refused(tmp_path: Path):
    server, environ = await speak_of(HEAD, self_signed(tmp_path / "store.pem"))
    async with server:
        with pytest.raises(Refused, match="certificate is not one that this machine trusts"):
            await opened("s3://bucket", environ).get("seg/1")


@pytest.mark.parametrize("raw", [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-x\r\n"])
@pytest.mark.parametrize("call", CALLS)
async def test_who_is_asked_by_https_and_speaks_no_tls_is_told_from_nobody(call: str, raw: bytes):
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(raw)
        await writer.drain()
        await reader.read()  # closed with bytes unread, a socket resets the answer
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        environ = {**VARIABLES, "AWS_ENDPOINT_URL": f"https://127.0.0.1:{port}"}
        why = f"^s3://bucket: {call}: what answers there does not speak TLS: perhaps AWS_ENDPOINT_URL must"
        with pytest.raises(Refused, match=why) as caught:
            await CALLS[call](opened("s3://bucket", environ))
    assert caught.value.hint.startswith("correct that variable")


async def test_a_store_that_is_silent_is_unreachable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(CLIENT, "read_timeout", timedelta(milliseconds=200))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        environ = {**VARIABLES, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{listening.getsockname()[1]}"}
        with pytest.raises(Unreachable, match="none in time"):
            await opened("s3://bucket", environ).create("seg/1", b"x")


async def test_who_has_no_credentials_is_told_so(monkeypatch: pytest.MonkeyPatch, deaf_port: int):
    """Obstore then asks the machine for its role, here one that has none."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{deaf_port}")
    with pytest.raises(Refused, match="there are no credentials"):
        await opened("s3://bucket", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).get("seg/1")


def self_signed(path: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=36_500))
    pem = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    path.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_store_that_is_not_there_is_unreachable(deaf_port: int):
    environ = {**VARIABLES, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{deaf_port}"}
    with pytest.raises(Unreachable, match=r"no answer \(Connection refused"):
        await opened("s3://bucket", environ).get("seg/1")


async def test_each_call_is_one_request_with_what_it_needs():
    """Written whole, however large; created only where nothing is; listed from where one was."""
    async with careless_s3() as (s3, asked):
        store = opened("s3://ledger/prefix", s3.environ)
        await store.create("seg/1", b"x")
        await store.put("seg/2", bytes(6_000_000))
        await store.delete("seg/2")
        assert await listing(store) == ["seg/1"]
        assert [key async for key in store.keys("seg/", after="seg/1")] == []
    said = [(request.method, request.rel_url.query.get("start-after")) for request in asked]
    assert said == [("PUT", None), ("PUT", None), ("DELETE", None), ("GET", None), ("GET", "prefix/seg/1")]
    assert [request.headers.get("If-None-Match") for request in asked[:2]] == ["*", None]
    assert {request.headers["X-Tigris-Consistent"] for request in asked} == {"true"}


async def test_a_vault_is_shown_the_token():
    async with careless_s3() as (s3, asked):
        store = opened(s3.endpoint, token="a-token")
        with pytest.raises((Refused, Unreachable), match="is not a vault"):
            await store.get("seg/1")
        await store.close()
    assert asked[0].headers["Authorization"] == "Bearer a-token"


def test_a_folder_is_opened_where_it_is(tmp_path: Path):
    assert opened(tmp_path.as_uri()).address == tmp_path.as_uri()
