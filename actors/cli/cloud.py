"""What ``doctor`` finds out about the store of LEDGER_CLOUD: it is tried with objects of its own, which go again."""

import asyncio
from collections.abc import Iterator
from typing import Final

from actors.clock import SystemRandomness
from actors.gateway.findings import Finding, Severity, Topic
from actors.ground import open_cloud
from actors.settings import Settings
from persistence.address import parse_address
from persistence.disk import RealDisk
from persistence.objects import TO_CHECK, Refused, Unreachable
from persistence.offload import ThreadOffload
from persistence.probe import StoreUnfit, probe
from persistence.vault_objects import NoAccess

PATIENCE_S: Final = 30.0


def try_cloud(settings: Settings) -> Iterator[Finding]:
    """A finding or two; none where no cloud is set."""
    address = settings.cloud()
    if address is None:
        return
    place = parse_address(address)
    if place.scheme == "file" and place.folder().is_relative_to(settings.ledger_data.absolute()):
        fix = "name a folder on another disk, best of another machine"
        yield _found(Severity.WARNING, f"LEDGER_CLOUD, {address}, lies in LEDGER_DATA and is lost with it", fix)
    yield _tried(settings, address)


def _tried(settings: Settings, address: str) -> Finding:
    offload = ThreadOffload("cloud")
    try:
        asyncio.run(_probe(settings, offload))
    except Unreachable as error:
        # with a disk that goes away nothing is known of earlier records: the bot waits for the cloud
        severity = Severity.AWAY if settings.footing().kind == "ephemeral" else Severity.WARNING
        return _found(severity, f"LEDGER_CLOUD cannot be reached ({error})", error.hint)
    except NoAccess as error:
        return _token_refused(settings, address, error.hint)
    except (Refused, StoreUnfit) as error:
        is_plain = type(error) is Refused  # its own hint says that `doctor` tries it
        fix = TO_CHECK if is_plain else error.hint
        return _found(Severity.BLOCKING, f"LEDGER_CLOUD cannot be used ({error})", fix)
    finally:
        offload.leave()  # a folder that gives no answer keeps nobody
    return _found(Severity.FINE, f"LEDGER_CLOUD, {address}, keeps what it is given, and two writers apart", "")


def _token_refused(settings: Settings, vault: str, fix: str) -> Finding:
    differs = (
        "is another than the vault's own" if settings.ledger_cloud_token else "is not set, and the vault wants it"
    )
    return _found(Severity.BLOCKING, f"LEDGER_CLOUD_TOKEN {differs} (LEDGER_CLOUD, {vault}, says HTTP 401)", fix)


async def _probe(settings: Settings, offload: ThreadOffload) -> None:
    objects = open_cloud(settings, RealDisk(), offload, SystemRandomness())
    assert objects is not None, "there is an address"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await probe(objects, SystemRandomness())
    except TimeoutError as error:
        raise Unreachable(f"{objects.address}: no answer within {PATIENCE_S:g} s") from error
    finally:
        await objects.close()


def _found(severity: Severity, what: str, fix: str) -> Finding:
    return Finding(topic=Topic.CLOUD, severity=severity, what=what, fix=fix)
