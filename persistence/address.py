"""Where a cloud layer's objects are, as an operator writes it (LEDGER_CLOUD), and its variables. Pure.

s3://bucket/prefix    gs://bucket/prefix    az://container/prefix    file:///folder    https://vault
"""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from persistence.objects import Refused, check_key

Scheme = Literal["s3", "gs", "az", "file", "http", "https"]
EXAMPLES: Final = "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, file:///folder or https://vault"
PRIVATE_NAMES: Final = (".internal", ".local", ".localhost", ".svc", ".home.arpa")
"""Ends of names that no public name has: Railway's, Fly's and Kubernetes' inner ones among them."""
S3_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Where an S3 is asked: the first of these that is said."""
S3_VARIABLES: Final = (
    *S3_ENDPOINTS,
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_ALLOW_HTTP",
)
GCS_VARIABLES: Final = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY")
AZURE_VARIABLES: Final = (
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
)
SECRET_VARIABLES: Final = frozenset(
    {
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_CLIENT_SECRET",
    }
)
VARIABLES: Final = frozenset({*S3_VARIABLES, *GCS_VARIABLES, *AZURE_VARIABLES})
"""What is read for the stores beside an address; roles of containers and machines obstore finds by itself."""
_BUCKETS: Final = frozenset({"s3", "gs", "az"})
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}[A-Za-z0-9]", re.ASCII)


class BadAddress(ValueError):
    """What is no address of objects; the text completes "… must be", and holds nothing of the address."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """``host``: the bucket, or the vault's host and port; ``path``: the prefix within, or the folder."""

    scheme: Scheme
    host: str
    path: str

    def folder(self) -> Path:
        """The folder of ``file://``."""
        return Path(self.path)

    def __str__(self) -> str:
        if self.scheme == "file":
            return self.folder().as_uri()
        return f"{self.scheme}://{self.host}/{self.path}".rstrip("/")


def parse_address(text: str) -> Address:
    """Takes an address apart.

    Raises:
        BadAddress: when it is none, or holds what belongs elsewhere (credentials, a query).
    """
    parts = _split(text)
    if parts.scheme == "file":
        return _of_folder(parts)
    if parts.scheme in _BUCKETS:
        return _of_bucket(parts)
    if parts.scheme in {"http", "https"}:
        return _of_vault(parts)
    raise BadAddress(EXAMPLES)


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise BadAddress(EXAMPLES) from error
    if "@" in parts.netloc:
        raise BadAddress("an address without credentials in it: they have variables of their own")
    if parts.query or parts.fragment:
        raise BadAddress("an address without ? and #")
    return parts


def _of_folder(parts: SplitResult) -> Address:
    path = unquote(parts.path)
    if parts.netloc not in {"", "localhost"} or not path.startswith("/") or not path.strip("/") or "\0" in path:
        raise BadAddress("file:/// and the path of a folder from the root on, such as file:///mnt/ledger")
    return Address(scheme="file", host="", path=path)


def _of_bucket(parts: SplitResult) -> Address:
    if not _BUCKET.fullmatch(parts.netloc):
        raise BadAddress(f"{parts.scheme}:// and a bucket's name, of three or more letters, digits, dots, hyphens")
    prefix = parts.path.strip("/")
    if prefix:
        try:
            check_key(prefix)
        except Refused as error:
            raise BadAddress("an address whose prefix is of letters, digits and _ . - between single /") from error
    return Address(scheme=cast("Scheme", parts.scheme), host=parts.netloc, path=prefix)


def _of_vault(parts: SplitResult) -> Address:
    if not parts.hostname:
        raise BadAddress(f"{parts.scheme}:// and the vault's host, such as https://vault.example.org")
    if parts.scheme == "http" and not is_private(parts.hostname):
        raise BadAddress("https://, since the vault's token would go over a public network for all to read")
    return Address(scheme=cast("Scheme", parts.scheme), host=parts.netloc, path=parts.path.strip("/"))


def is_loopback(host: str) -> bool:
    """Whether only this machine is behind it. A name that is not an address counts as elsewhere."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Whether no public host can be meant: loopback, a private address, a name of one word or of a private zone."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(PRIVATE_NAMES)
