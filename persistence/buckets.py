"""Objects in a bucket of S3, Google Cloud Storage or Azure, through obstore.

Rules: obstore repeats nothing by itself, since one level of retries is above; every request has a time limit; a
creation that the store calls a conflict is looked up, because S3 answers 409 also where nothing was written. Of an
error only what is known to be harmless is told: a URL may carry a signature, a body the access key.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import AzureStore, GCSStore, S3Store

from persistence.objects import BadVariable, Refused, Unreachable, check_key

if TYPE_CHECKING:  # obstore has these for type checkers only
    from obstore.store import ClientConfig, RetryConfig

Store: TypeAlias = S3Store | GCSStore | AzureStore

CONNECT_S: Final = 5
READ_S: Final = 20
"""Without a byte."""
REQUEST_S: Final = 60
"""From connecting until the last byte."""
PAGE_KEYS: Final = 1_000
CLIENT: Final["ClientConfig"] = {
    "connect_timeout": timedelta(seconds=CONNECT_S),
    "read_timeout": timedelta(seconds=READ_S),
    "timeout": timedelta(seconds=REQUEST_S),
    # Tigris, and so Railway, answers from any region without it; nobody else knows the name.
    "default_headers": {"X-Tigris-Consistent": "true"},
}
NO_RETRIES: Final["RetryConfig"] = {"max_retries": 0, "retry_timeout": timedelta(seconds=REQUEST_S)}

_STATUS: Final = re.compile(r"status code: (\d{3})")
_PANICS: Final = frozenset({"pyo3_runtime", "pyo3_async_runtimes"})
"""Where a panic of obstore's comes from. It is no ``Exception``, and would end more than this call."""
_CODE: Final = re.compile(r"<Code>(\w{1,60})</Code>")
_CAUSE: Final = re.compile(r'(?:message|error): "([^"\n]{1,120})"')
_ROLE: Final = re.compile(r"169\.254\.|metadata\.google|/latest/api/token|/latest/meta-data")
"""Where a machine's role is asked for: last, when no variable holds credentials."""
_NO_OBJECT: Final = frozenset({"NoSuchKey", "BlobNotFound"})
"""Any other 404 may be a missing bucket's or a proxy's: an empty store would be believed by a recovery."""
_LATER: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LATER_CODES: Final = frozenset({"RequestTimeout", "SlowDown", "OperationAborted"})
_WHY: Final = {
    "NoSuchBucket": "there is no such bucket: make it, or correct the address",
    "ContainerNotFound": "there is no such container: make it, or correct the address",
    "InvalidAccessKeyId": "the access key is not known there: check it, and the endpoint it belongs to",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "AuthenticationFailed": "the account's key is not right",
    "ExpiredToken": "the credentials have expired",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "PermanentRedirect": "the bucket lies in another region or at another endpoint: set AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket lies in another region: set AWS_REGION",
    "AccessDenied": "these credentials may not do that: they need to read, write, list and delete there",
}
_WHY_STATUS: Final = {
    401: "the credentials are refused",
    403: "these credentials may not do that: they need to read, write, list and delete there",
    404: "there is no such bucket, or the endpoint is no store",
    501: "the store does not know this call",
    507: "the store is full",
}


class BucketObjects:
    """``Objects`` of one bucket, below the store's prefix."""

    def __init__(self, store: Store, address: str) -> None:
        self._store = store
        self._address = address

    @property
    def address(self) -> str:
        return self._address

    async def get(self, key: str) -> bytes | None:
        check_key(key)
        with self._told("read", key):
            try:
                found = await obstore.get_async(self._store, key)
                if found.meta["e_tag"] is None:
                    raise Unreachable(f"{self._address}: read {key}: what answers is no store (it gives no ETag)")
                return bytes(await found.bytes_async())
            except FileNotFoundError as error:
                if _code(str(error)) in _NO_OBJECT:
                    return None
                raise

    async def create(self, key: str, data: bytes) -> bool:
        check_key(key)
        with self._told("create", key):
            try:
                await obstore.put_async(self._store, key, data, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return await self._is_there(key)
        return True

    async def put(self, key: str, data: bytes) -> None:
        check_key(key)
        with self._told("write", key):
            await obstore.put_async(self._store, key, data, use_multipart=False)

    async def keys(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        folder = prefix.rpartition("/")[0]  # obstore takes whole parts only
        pages = obstore.list(  # pyright: ignore[reportUnknownMemberType] -- of the kind that is not returned here
            self._store, folder or None, offset=after or None, chunk_size=PAGE_KEYS, return_arrow=False
        )
        while True:
            with self._told("list", prefix):
                page = await anext(pages, None)
            if page is None:
                return
            for found in page:
                if found["path"].startswith(prefix) and found["path"] > after:
                    yield found["path"]

    async def delete(self, key: str) -> None:
        check_key(key)
        with self._told("delete", key):
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError as error:
                if _code(str(error)) not in _NO_OBJECT:
                    raise

    async def close(self) -> None:
        """Nothing to release: connections end with the store."""

    async def _is_there(self, key: str) -> bool:
        """False (not created), since the key is taken; of a conflict with a write that failed nothing is left."""
        try:
            await obstore.head_async(self._store, key)
        except FileNotFoundError as error:
            raise Unreachable(
                f"{self._address}: create {key}: another write was under way; nobody's is there"
            ) from error
        return False

    @contextmanager
    def _told(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise _told(str(error), f"{self._address}: {verb} {key}".rstrip()) from None
        except BaseException as error:
            if type(error).__module__ not in _PANICS:
                raise
            said = f"{self._address}: {verb} {key}".rstrip()
            raise Refused(f"{said}: obstore broke off, perhaps over one of the store's variables") from None


def _code(text: str) -> str:
    found = _CODE.search(text)
    return found[1] if found else ""


def _told(text: str, what: str) -> Unreachable | Refused:
    """What happened, and whether asking again may help, from the text that obstore gives its errors."""
    status, code = int((_STATUS.search(text) or ["", "0"])[1]), _code(text)
    if _ROLE.search(text):
        return Refused(f"{what}: there are no credentials: no variable holds any, and this machine has no role")
    if "InvalidCertificate" in text:
        return Refused(f"{what}: the endpoint's certificate is not one that this machine trusts")
    if not status and "InvalidContentType" in text:  # rustls, of bytes that are none of TLS
        why = "what answers there does not speak TLS: perhaps AWS_ENDPOINT_URL must be http://, or of another port"
        return BadVariable(f"{what}: {why}")
    if not status:
        return Unreachable(f"{what}: no answer ({_cause(text)})")
    named = f"HTTP {status} {code}".rstrip()
    if status in _LATER or code in _LATER_CODES:
        return Unreachable(f"{what}: the store says later ({named})")
    return Refused(f"{what}: {_WHY.get(code) or _WHY_STATUS.get(status, 'the store refuses')} ({named})")


def _cause(text: str) -> str:
    if found := _CAUSE.search(text):
        return found[1]
    if "kind: Timeout" in text:
        return "none in time"
    return "it broke off" if "kind: Interrupted" in text else "none that can be read"
