"""The store behind an address: what an operator writes in LEDGER_CLOUD becomes ``Objects``.

Credentials come by each store's usual variables, from the environment that is handed in; what a container or a cloud
machine brings by itself (roles) obstore finds, in the process' own environment: empty variables are taken out of it.
Nothing is asked of the store here: ``persistence/probe.py`` does.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import SplitResult, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from ledger.ports import Randomness
from persistence.address import (
    AZURE_VARIABLES,
    GCS_VARIABLES,
    S3_ENDPOINTS,
    S3_VARIABLES,
    VARIABLES,
    Address,
    is_loopback,
    parse_address,
)
from persistence.buckets import CLIENT, NO_RETRIES, BucketObjects, Store
from persistence.disk import Disk
from persistence.folder_objects import FolderObjects
from persistence.objects import BadVariable, Objects, Refused
from persistence.offload import Offload
from persistence.patience import PatientObjects
from persistence.vault_objects import VaultObjects

_URL: Final = re.compile(r"https?://[\w.~:/%+=\[\]-]+", re.ASCII | re.IGNORECASE)
"""Over most other characters, such as those of ${HOST}, obstore panics at each request."""

if TYPE_CHECKING:  # obstore has these for type checkers only
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, S3Config


def open_objects(
    address: str,
    token: str | None,
    environ: Mapping[str, str],
    *,
    disk: Disk,
    offload: Offload,
    randomness: Randomness,
) -> Objects:
    """The store behind an address.

    Args:
        address: as in LEDGER_CLOUD.
        token: what a vault asks for.
        environ: where a bucket's variables are.
        disk: what a folder lies on.
        offload: where a folder is worked at; stays the caller's to close.
        randomness: for names of what is unfinished in a folder.

    Raises:
        BadAddress: when it is no address.
        Refused: when the store cannot even be asked with these variables.
    """
    place = parse_address(address)
    match place.scheme:
        case "file":
            return FolderObjects(disk, place.folder(), offload, randomness)
        case "http" | "https":
            return PatientObjects(VaultObjects(str(place), token or ""))
        case "s3" | "gs" | "az":
            return PatientObjects(BucketObjects(_bucket(place, environ), str(place)))


def _bucket(place: Address, environ: Mapping[str, str]) -> Store:
    _unset_what_is_empty()
    open_bucket = {"s3": _s3, "gs": _gcs, "az": _azure}[place.scheme]
    try:
        return open_bucket(place, environ)
    except BaseError as error:
        why = str(error).partition("\n")[0]
        raise Refused(f"{place}: {why}") from None


def _s3(place: Address, environ: Mapping[str, str]) -> Store:
    said = _said(place, (name for name in S3_VARIABLES if name not in S3_ENDPOINTS), environ)
    endpoint = _endpoint(place, environ)
    if endpoint is not None:
        said[S3_ENDPOINTS[0]] = endpoint.geturl()  # it holds whatever the others say
    client: ClientConfig = {**CLIENT, "allow_http": endpoint is not None and endpoint.scheme == "http"}
    # one object at a time is deleted, and not every S3 knows how to delete many
    config = cast("S3Config", {**said, "disable_bulk_delete": True})
    prefix = place.path or None
    return S3Store(place.host, prefix=prefix, config=config, client_options=client, retry_config=NO_RETRIES)


def _gcs(place: Address, environ: Mapping[str, str]) -> Store:
    config, prefix = cast("GCSConfig", _said(place, GCS_VARIABLES, environ)), place.path or None
    return GCSStore(place.host, prefix=prefix, config=config, client_options=CLIENT, retry_config=NO_RETRIES)


def _azure(place: Address, environ: Mapping[str, str]) -> Store:
    config, prefix = cast("AzureConfig", _said(place, AZURE_VARIABLES, environ)), place.path or None
    return AzureStore(place.host, prefix=prefix, config=config, client_options=CLIENT, retry_config=NO_RETRIES)


def _said(place: Address, names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that hold anything. Over a line break, most often at the end of a key, obstore panics."""
    said = {name: environ[name] for name in names if environ.get(name)}
    for name, value in said.items():
        if not value.isprintable() and name != "GOOGLE_SERVICE_ACCOUNT_KEY":  # whose JSON may have lines
            raise BadVariable(
                f"{place}: {name} holds a line break, or another character that nobody sees, perhaps at its end, "
                "and no request can carry that"
            )
    return said


def _unset_what_is_empty() -> None:
    """Obstore looks into the process' environment by itself, and takes an empty variable for a value."""
    for name in VARIABLES:
        if os.environ.get(name) == "":
            del os.environ[name]


def _endpoint(place: Address, environ: Mapping[str, str]) -> SplitResult | None:
    """Where an S3 is asked elsewhere than at Amazon; without encryption only where the operator may mean that.

    A path may belong to it. One that ends with the bucket, as some stores show theirs, would be asked for the bucket
    in the bucket: it gives and takes single objects, and lists none.
    """
    name = next((name for name in S3_ENDPOINTS if environ.get(name)), None)
    if name is None:
        return None
    endpoint = _url(environ[name].strip())
    if endpoint is None:
        raise BadVariable(
            f"{place}: {name} is no endpoint: it must be https:// and a host, perhaps with a port, such as "
            "https://s3.example.org:9000"
        )
    above, _, last = endpoint.path.rstrip("/").rpartition("/")
    if last == place.host and not _is_on("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", environ):
        raise BadVariable(
            f"{place}: {name} ends with the bucket, which LEDGER_CLOUD names already, so the store would look for "
            f"{last} in {last}: leave it out there, which makes {endpoint._replace(path=above).geturl()}"
        )
    if endpoint.scheme == "https" or _is_on("AWS_ALLOW_HTTP", environ) or is_loopback(endpoint.hostname or ""):
        return endpoint
    raise BadVariable(
        f"{place}: {name} begins with http://, so whoever is on the way could read what is stored "
        "and change it: use https://, or say AWS_ALLOW_HTTP=true where the network is your own"
    )


def _is_on(name: str, environ: Mapping[str, str]) -> bool:
    return environ.get(name, "").lower() in {"1", "true", "yes", "on"}


def _url(text: str) -> SplitResult | None:
    if not _URL.fullmatch(text):
        return None
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return None
    return url if url.hostname else None
