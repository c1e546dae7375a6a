"""Real stores on loopback, started when a test first asks for one and stopped when the tests are over.

One of each for a test session (with xdist: for a worker). SeaweedFS comes with its wheel as the program ``weed``;
moto is a second opinion. Each test has a prefix of its own.
"""

import os
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

import msgspec
import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

BUCKET: Final = "ledger"
ACCESS_KEY: Final = "tests-access-key"
SECRET_KEY: Final = "tests-secret-key"
STARTS: Final = 5
UP_WITHIN_S: Final = 30.0
_PORTS: Final = ("master", "filer", "volume", "s3", "admin")
_numbers: Final = count(1)


class S3(msgspec.Struct, frozen=True):
    """A running S3 with one bucket. ``environ``: the variables that a process needs to reach it."""

    endpoint: str
    environ: Mapping[str, str]

    def address(self) -> str:
        """A place in the bucket with nothing in it."""
        return f"s3://{BUCKET}/test/{os.getpid()}-{next(_numbers)}"


class Place(msgspec.Struct, frozen=True):
    """An address with nothing behind it yet, and the variables that a process needs to reach it."""

    address: str
    environ: Mapping[str, str]


@pytest.fixture(scope="session")
def seaweed() -> Iterator[S3]:
    for _ in range(STARTS):
        ports = free_ports(2 * len(_PORTS))
        s3 = s3_at(f"http://127.0.0.1:{ports[2 * _PORTS.index('s3')]}")
        with tempfile.TemporaryDirectory(prefix="weed-", ignore_cleanup_errors=True) as folder:
            with _weed(Path(folder), ports) as process:
                try:
                    up = _comes_up(process, s3)
                    if up:
                        yield s3
                finally:
                    process.kill()
            for port in ports:  # it leaves its sockets behind
                for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    left.unlink()
        if up:
            return
    pytest.fail("SeaweedFS does not come up")


@pytest.fixture(scope="session")
def moto() -> Iterator[S3]:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- takes a second, and few tests want it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    urlopen(Request(f"{endpoint}/{BUCKET}", method="PUT"), timeout=UP_WITHIN_S).close()
    yield s3_at(endpoint)
    server.stop()


@pytest.fixture
def s3_address(seaweed: S3) -> Place:
    """A place of its own in a real S3."""
    return Place(seaweed.address(), seaweed.environ)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port on which nobody listens, nor can anybody: it is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        yield port


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def s3_at(endpoint: str) -> S3:
    return S3(
        endpoint,
        {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
    )


def _weed(folder: Path, ports: list[int]) -> subprocess.Popen[bytes]:
    options = {
        "dir": str(folder),
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "bucket": BUCKET,
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "s3.localSocket": str(folder / "s3.sock"),
        "filer.localSocket": str(folder / "filer.sock"),
        **{f"{part}.port": str(port) for part, port in zip(_PORTS, ports[::2], strict=True)},
        **{f"{part}.port.grpc": str(port) for part, port in zip(_PORTS, ports[1::2], strict=True)},
    }
    with (folder / "weed.log").open("wb") as log:
        return subprocess.Popen(
            [_program(), "-logdir", folder, "mini", *(f"-{k}={v}" for k, v in options.items())],
            cwd=folder,
            env={"HOME": str(folder), "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
            stdout=log,
            stderr=log,
        )


def _program() -> Path:
    return Path(sysconfig.get_path("scripts")) / "weed"


def _comes_up(process: subprocess.Popen[bytes], s3: S3) -> bool:
    """Whether the bucket is there in time."""
    bucket = S3Store(BUCKET, config=s3.environ, client_options={"allow_http": True}, retry_config={"max_retries": 0})
    end = time.monotonic() + UP_WITHIN_S
    while process.poll() is None and time.monotonic() < end:
        with suppress(BaseError):
            obstore.list(bucket).collect()
            return True
        time.sleep(0.05)
    return False
