"""Stores by their address, and what an operator is told when one cannot be used; never a secret."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from persistence.address import BadAddress
from persistence.buckets import BucketObjects
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.objects import Objects, Refused, Unreachable
from persistence.offload import inline
from persistence.stores import open_objects
from persistence.vault_objects import VaultObjects
from tests.persistence.making import TestRandomness
from tests.servers import Place, free_ports

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
    assert isinstance(store, kind)
    assert store.address == address
    await store.close()


def test_what_is_no_address_opens_nothing():
    with pytest.raises(BadAddress):
        opened("ftp://bucket")


@pytest.mark.parametrize(
    ("address", "environ", "why"),
    [
        ("s3://bucket", {"AWS_SECRET_ACCESS_KEY": SECRET}, "s3://bucket: .*Missing AccessKeyId"),
        ("s3://bucket", {**VARIABLES, "AWS_ENDPOINT_URL": "http://s3.example.org"}, "AWS_ALLOW_HTTP"),
        ("gs://bucket", {"GOOGLE_SERVICE_ACCOUNT_KEY": SECRET}, "gs://bucket: .*service account"),
        ("az://container", {"AZURE_STORAGE_ACCOUNT_KEY": SECRET}, "az://container: .*Account must be specified"),
        ("az://container", {**AZURE, "AZURE_STORAGE_ACCOUNT_KEY": SECRET}, "az://container: .*Invalid Access Key"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(address: str, environ: Mapping[str, str], why: str):
    with pytest.raises(Refused, match=why) as caught:
        opened(address, environ)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ENDPOINT_URL": "http://s3.example.org", "AWS_ALLOW_HTTP": "true"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"},
        {"AWS_ENDPOINT_URL": "https://s3.example.org"},
        {"AWS_ENDPOINT_URL": "http://s3.example.org", "AWS_ENDPOINT_URL_S3": "https://s3.example.org"},
        {"AWS_ENDPOINT_URL": "", "AWS_SESSION_TOKEN": ""},
    ],
)
def test_an_endpoint_is_asked_where_nobody_listens_on_the_way(environ: Mapping[str, str]):
    opened("s3://bucket", {**VARIABLES, **environ})


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


@asynccontextmanager
async def answering(answer: Answer | None, **methods: Answer) -> AsyncIterator[Mapping[str, str]]:
    """A server that says the same to everything but to some methods; None = nothing at all."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        said = methods.get(asked.split()[0].decode(), answer)
        if said is not None:
            status, body = said
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
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
        (None, Unreachable, "no answer"),
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


async def test_a_store_that_is_not_there_is_unreachable():
    environ = {**VARIABLES, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_ports(1)[0]}"}
    with pytest.raises(Unreachable, match=r"no answer \(Connection refused"):
        await opened("s3://bucket", environ).get("seg/1")


def test_a_folder_is_opened_where_it_is(tmp_path: Path):
    assert opened(tmp_path.as_uri()).address == tmp_path.as_uri()
