"""One shard: a connection that is made, kept, and made anew with a backoff, whatever becomes of the other shards.

The library resumes by itself as long as it can; what ends its ``connect`` is a first connect that is refused, a 503
at login, a close it takes as final, or a payload it stumbles over. A new client is made then. Only what Discord will
never take (``GatewayRefused``) ends ``run``.
"""

import asyncio
from typing import Final

from discord.http import HTTPClient
from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.gateway.backoff import Backoff
from actors.gateway.client import Client
from actors.gateway.commands import install
from actors.gateway.desk import Desk
from actors.gateway.identify import IdentifyGate
from actors.gateway.intake import Intake, Slot
from actors.gateway.losses import LOST, why_lost
from actors.gateway.pacing import Pacer
from actors.gateway.permissions import PermissionWatch
from actors.gateway.registration import Registration
from actors.gateway.restraint import Restraint
from actors.gateway.trouble import FAULTS
from actors.traffic import ShardStatus

LOGIN_S: Final = 60.0
"""The library retries each of a login's requests and has no deadline of its own."""
LOGIN_REQUESTS: Final = 3
"""The bot's user, its application, the gateway's address."""


class Shard:
    """One connection's life.

    Args:
        slot: which shard of how many.
        token: the bot's.
        intake: takes this shard's dispatches.
        watch, desk, registration: shared with the other shards.
        gate: says when it may identify.
        pacer, restraint: the login's requests count as well.
        backoff: its own.
        sleep: pauses.
        log: bound to the shard.
    """

    def __init__(
        self,
        *,
        slot: Slot,
        token: str,
        intake: Intake,
        watch: PermissionWatch,
        desk: Desk,
        registration: Registration,
        gate: IdentifyGate,
        pacer: Pacer,
        restraint: Restraint,
        backoff: Backoff,
        sleep: Sleep,
        log: FilteringBoundLogger,
    ) -> None:
        self.client: Client | None = None
        self.intake = intake
        self._slot = slot
        self._token = token
        self._watch = watch
        self._desk = desk
        self._registration = registration
        self._gate = gate
        self._pacer = pacer
        self._restraint = restraint
        self._backoff = backoff
        self._sleep = sleep
        self._log = log
        self._closing = False

    async def run(self) -> None:
        """Connects, again and again, until ``close``.

        Raises:
            GatewayRefused: when only the operator can help.
        """
        while not self._closing:
            self._backoff.begin()
            why = await self._connect()
            if self._closing:
                return
            pause_s, failures = self._backoff.pause_s(), self._backoff.failures
            self._log.warning("gateway.lost", error=why, failures=failures, again_s=round(pause_s, 1))
            await self._sleep(pause_s)

    async def close(self) -> None:
        """Ends the connection; ``run`` returns."""
        self._closing = True
        if self.client is None:
            return
        (outcome,) = await asyncio.gather(self.client.close(), return_exceptions=True)
        if isinstance(
            outcome, Exception
        ):  # a cancellation is another's, who closed it too: the library waits with both
            raise outcome

    def status(self) -> ShardStatus:
        latency_s = self.client.latency if self.client else float("nan")
        return ShardStatus(
            number=self._slot[0],
            session=self.intake.session,
            connected=bool(self.intake.session) and self.client is not None and self.client.is_connected(),
            latency_s=latency_s if 0 <= latency_s < float("inf") else None,
            awaited=self.intake.awaited(),
        )

    def http(self) -> HTTPClient | None:
        """REST over this shard's login, while it has one."""
        client = self.client
        return client.http if client and client.user and not client.is_closed() else None

    async def _connect(self) -> str:
        """One client's life; why it ended."""
        client = self.client = Client(
            intake=self.intake,
            watch=self._watch,
            slot=self._slot,
            gate=self._gate,
            restraint=self._restraint,
            log=self._log,
        )
        install(client.tree, self._desk)
        try:
            async with client:
                await self._login(client)
                await self._gate.turn(self._slot[0])
                await client.connect()
        except LOST as error:
            return why_lost(error)
        except FAULTS as error:
            return self._stumbled(client, error)
        finally:
            client.note_loss()  # what ends the library's reader by surprise ends without its "disconnect"
        return "the connection ended"

    async def _login(self, client: Client) -> None:
        for _ in range(LOGIN_REQUESTS):
            await self._pacer.beat()
        async with asyncio.timeout(LOGIN_S):
            await client.login(self._token)
        self._registration.begin()

    def _stumbled(self, client: Client, error: Exception) -> str:
        """The library stumbles over the socket it never had; anything else is a bug, of ours or of its."""
        if isinstance(error, AttributeError) and not client.has_had_socket():
            return "the first connect was refused"
        self._log.error("shard.crashed", error=repr(error), exc_info=error)
        return repr(error)
