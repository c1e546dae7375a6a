"""The way in: no IDENTIFY without a grant. While something stops the bot, this holds it, and looks again slowly.

It holds instead of ending the process, because a host restarts what ends, at once and for ever, while journal, health
and metrics are of use meanwhile; and what was mended in the portal needs no restart. Only a new token does, since the
environment is read once. All findings are told at once: when they change, then once an hour, and by /readyz.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.gateway.findings import Finding, Severity, Topic, ended_for_good
from actors.gateway.preflight import Grant, Preflight
from actors.gateway.trouble import GatewayRefused
from ledger.ports import Clock, Randomness

AWAY_PAUSES_S: Final = (2.0, 120.0)
"""First and longest pause while Discord is away."""
BLOCKED_PAUSES_S: Final = (30.0, 300.0)
"""While only the operator can help: a refused token counts towards Discord's ban with each question."""
TELL_AGAIN_S: Final = 3_600.0
STEADY_S: Final = 300.0
"""A connection that lasted so long was a good one: the next pause is the first again."""


class Entry:
    """Whoever wants to identify passes here.

    Args:
        check: asks Discord.
        clock: tells when to say it again.
        sleep: pauses.
        randomness: jitter.
        log: where findings are told.
    """

    def __init__(
        self,
        check: Callable[[], Awaitable[Preflight]],
        clock: Clock,
        sleep: Sleep,
        randomness: Randomness,
        log: FilteringBoundLogger,
    ) -> None:
        self.held: tuple[Finding, ...] = ()
        """What stops the bot now."""
        self._check = check
        self._clock = clock
        self._sleep = sleep
        self._randomness = randomness
        self._log = log
        self._refusal: tuple[Finding, ...] = ()
        self._holds = 0
        self._passed_s = clock.monotonic_s()
        self._told: tuple[Topic, ...] = ()
        self._told_s = 0.0
        self._closed = False

    async def grant(self) -> Grant | None:
        """Leave to identify, as soon as nothing stops the bot; None once closed."""
        while not self._closed:
            preflight = await self._check()
            stopping = preflight.stopping() or self._refusal
            if self._closed:
                return None
            if preflight.grant is not None and not stopping:
                self._pass(preflight, preflight.grant)
                return preflight.grant
            await self._hold(stopping)
        return None

    def refuse(self, error: GatewayRefused) -> None:
        """Discord ended the connection for good. If no check finds why, it is tried again after a long pause."""
        if self._clock.monotonic_s() - self._passed_s > STEADY_S:
            self._holds = 0
        self._refusal = (ended_for_good(str(error), error.hint),)

    def close(self) -> None:
        """No grant is given any more; who waits for one hears it after the pause."""
        self._closed = True

    def _pass(self, preflight: Preflight, grant: Grant) -> None:
        self.held, self._told = (), ()
        self._passed_s = self._clock.monotonic_s()
        self._log.info(
            "preflight.passed", application=grant.application, name=grant.name, identifies_left=grant.remaining
        )
        for finding in preflight.findings:
            if finding.severity is Severity.WARNING:
                self._log.warning("preflight.warned", what=finding.what, fix=finding.fix)

    async def _hold(self, stopping: tuple[Finding, ...]) -> None:
        self.held = stopping
        pause_s = self._pause_s(stopping)
        self._holds += 1
        self._tell(stopping, pause_s)
        await self._sleep(pause_s)
        self._refusal = ()

    def _pause_s(self, stopping: tuple[Finding, ...]) -> float:
        blocked = any(finding.severity is Severity.BLOCKING for finding in stopping)
        first_s, longest_s = BLOCKED_PAUSES_S if blocked else AWAY_PAUSES_S
        pause_s = min(longest_s, first_s * 2.0 ** min(self._holds, 10)) * self._randomness.uniform(0.75, 1.0)
        return max(pause_s, *(finding.wait_s for finding in stopping))

    def _tell(self, stopping: tuple[Finding, ...], pause_s: float) -> None:
        topics, now_s = tuple(finding.topic for finding in stopping), self._clock.monotonic_s()
        if topics == self._told and now_s - self._told_s < TELL_AGAIN_S:
            return
        self._told, self._told_s = topics, now_s
        self._log.error("preflight.held", findings=[str(each) for each in stopping], again_s=round(pause_s))
