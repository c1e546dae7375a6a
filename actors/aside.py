"""Payloads that could not be read or handled go into quarantine, off the event loop: a storm must not stop it.

Nor may it stop the log, so they have a thread of their own, and a limit to how many of them wait for it in memory.
"""

from typing import Final

from structlog.typing import FilteringBoundLogger

from ledger.errors import LedgerError, StorageError
from persistence.offload import Offload
from persistence.quarantine import Quarantine

WAITING_BYTES: Final = 32 * 1024 * 1024
"""Discord's largest payloads, those of guilds that come, have a few million bytes."""
EACH_BYTES: Final = 8 * 1024
"""What waits beside a payload: a task, a call, a future."""


class Aside:
    """What waits to be kept. ``offload`` belongs to the caller."""

    def __init__(self, quarantine: Quarantine, offload: Offload, log: FilteringBoundLogger) -> None:
        self._quarantine = quarantine
        self._offload = offload
        self._log = log
        self._waiting_bytes = 0

    async def put(self, digest: str, payload: bytes) -> None:
        """Keeps a payload by its digest; where that fails it is said, and the payload is gone."""
        size = EACH_BYTES + len(payload)
        self._waiting_bytes += size
        try:
            await self._keep(digest, payload)
        except LedgerError as error:
            self._log.error("quarantine.failed", digest=digest, error=str(error))
        finally:
            self._waiting_bytes -= size

    async def _keep(self, digest: str, payload: bytes) -> None:
        if self._waiting_bytes > max(WAITING_BYTES, EACH_BYTES + len(payload)):
            raise StorageError(f"{self._waiting_bytes} bytes of such events wait to be kept")
        why = "an event that could not be read"
        await self._offload(lambda: self._quarantine.keep(f"{digest}.json", payload, why))
