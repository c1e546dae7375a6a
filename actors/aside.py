"""Payloads that could not be read or handled go into quarantine, off the event loop: a storm must not stop it."""

from structlog.typing import FilteringBoundLogger

from ledger.errors import LedgerError
from persistence.offload import Offload
from persistence.quarantine import Quarantine


async def put_aside(
    quarantine: Quarantine, offload: Offload, digest: str, payload: bytes, log: FilteringBoundLogger
) -> None:
    """Keeps a payload by its digest; where that fails it is said, and the payload is gone."""
    try:
        await offload(lambda: quarantine.keep(f"{digest}.json", payload, "an event that could not be read"))
    except LedgerError as error:
        log.error("quarantine.failed", digest=digest, error=str(error))  # noqa: TRY400 -- expected: no traceback
