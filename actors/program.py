"""The bot as a process: its parts, made once from the settings, how they start, and how they end in order.

The supervisor is handed in by whoever composes the program (``supervisor.py``), which nobody imports.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import NoReturn

from structlog.typing import FilteringBoundLogger

from actors.aside import Aside
from actors.cli.app import RunOptions
from actors.cli.errors import exit_code_of
from actors.cli.exits import OK
from actors.clock import SystemClock, SystemRandomness
from actors.cloud_side import Cloud
from actors.drain import Drain, Step
from actors.drills import Drill, last_drill
from actors.forgetting import forgetting_in
from actors.gateway.names import LibraryMismatch
from actors.gateway.runner import Gateway
from actors.ground import hold, tell_of_new_history, warn_of_data, warn_of_first_start
from actors.journal import Journal
from actors.keeper import Keeper
from actors.logs import adopt_libraries, make_logger
from actors.memory import calm_collector
from actors.opening import cloud_side, opened
from actors.ops.health import Vitals
from actors.ops.http import OpsServer
from actors.ops.serving import CannotListen
from actors.outlet import Outlet
from actors.salvager import Salvager
from actors.settings import Settings
from actors.signals import asked_to_stop
from actors.supervision import ChildSpec, Restart, journal_spec, spawn, told
from actors.tree import Supervise
from ledger.errors import LedgerError, Stale
from ledger.ports import Clock
from persistence.disk import Held, RealDisk
from persistence.offload import ThreadOffload
from persistence.quarantine import Quarantine
from persistence.store import Store


class Program:
    """The whole bot: its parts, made once from the settings, and how they start and end."""

    def __init__(
        self,
        supervise: Supervise,
        settings: Settings,
        store: Store,
        side: ThreadOffload,
        log: FilteringBoundLogger,
        *,
        clock: Clock,
        cloud: Cloud | None,
        began: Callable[[int], None],
        chaos: bool,
    ) -> None:
        randomness = SystemRandomness()
        self._clock = clock
        self._log = log
        self._store = store
        self._draining = False
        self._release = version("inviteledger")
        self._data = settings.ledger_data
        self.cloud = None if cloud is None else cloud_side(cloud, store, self._hears_discord, clock, log)
        turn = None if self.cloud is None else self.cloud.await_turn
        self.journal = Journal(store, settings.named_layers(), clock, asyncio.sleep, log, turn=turn, began=began)
        if self.cloud is not None:
            self.cloud.attach(self.journal, settings.named_layers())
        self.supervisor = supervise(
            journal=self.journal,
            keep=self._keep,
            clock=clock,
            randomness=randomness,
            sleep=asyncio.sleep,
            log=log,
        )
        self._side = side
        self._aside = Aside(Quarantine(RealDisk(), settings.ledger_data / "quarantine"), side, log)
        self._drill: Drill | None = None
        self._looks_at_drill = False
        self.gateway = Gateway(
            token=settings.token().get_secret_value(),
            api_url=settings.discord_api_url,
            roster=self.supervisor.roster,
            inside=self.supervisor,
            clock=clock,
            sleep=asyncio.sleep,
            randomness=randomness,
            spawn=spawn,
            keep=self._keep,
            witness=settings.ledger_second_witness == "on",
            log=log,
        )
        self.supervisor.connect(self.gateway.outside)
        self.keeper = Keeper(store, self.journal, self.supervisor, clock=clock, sleep=asyncio.sleep, log=log)
        self.salvager = Salvager(store.salvage, self.supervisor.roster, clock, asyncio.sleep, log)
        self.http = OpsServer(
            endpoint=settings.http(),
            token=settings.ledger_http_token,
            health=self,
            forget=forgetting_in(
                self.supervisor.roster, self.supervisor, self.journal, settings, side, clock=clock
            ).forget,
            kill=self.supervisor.kill,
            chaos=chaos,
            log=log,
        )

    def _hears_discord(self) -> bool:
        status = self.gateway.status()
        return status.connected and not status.awaited

    def _keep(self, digest: str, payload: bytes) -> None:
        self.supervisor.jobs.start(self._aside.put(digest, payload), f"quarantine/{digest[:8]}")

    def _newest_drill(self) -> Drill | None:
        """The last drill as of the last time that anybody asked: a disk that hangs holds up nobody who asks."""
        if not self._looks_at_drill:
            self._looks_at_drill = True
            self.supervisor.jobs.start(self._look_at_drill(), "drill")
        return self._drill

    async def _look_at_drill(self) -> None:
        try:
            self._drill = await self._side(lambda: last_drill(RealDisk(), self._data))
        finally:
            self._looks_at_drill = False

    def specs(self) -> tuple[ChildSpec, ...]:
        """The root's children, in the order of their start."""
        return (
            journal_spec(self.journal),
            *(() if self.cloud is None else self.cloud.specs()),
            ChildSpec(name="caretaker", start=self.supervisor.caretaker.run),
            ChildSpec(name="salvager", start=self.salvager.run),
            ChildSpec(name="keeper", start=self.keeper.run, fatal=(Stale,)),
            ChildSpec(name="http", start=self.http.run, fatal=(CannotListen,)),
            ChildSpec(
                name="gateway",
                start=self.gateway.run,
                restart=Restart.TRANSIENT,
                fatal=(LibraryMismatch,),
            ),
        )

    def vitals(self) -> Vitals:
        """The process now (``ops.health.Health``)."""
        gateway = self.gateway.status()
        return Vitals(
            release=self._release,
            held=gateway.held,
            connected=gateway.connected,
            shards=gateway.shards,
            awaited=gateway.awaited,
            draining=self._draining,
            standby=self.cloud is not None and self.cloud.handover.is_waiting,
            drill=self._newest_drill(),
            tree=self.supervisor.statistics(),
            journal=self.journal.statistics(),
            keeper=self.keeper.statistics(),
            mailboxes=self.supervisor.roster.statistics(),
            dispatches=gateway.dispatches,
            requests=gateway.requests,
            errands=gateway.errands,
        )

    async def run(self, stop: asyncio.Future[str]) -> None:
        """Runs until ``stop`` has a result, which says why; then drains in order.

        Raises:
            LedgerError: when a child died of what no restart mends.
        """
        self._newest_drill()  # so that the first who asks is told of it
        tree = spawn(self.supervisor.run(self.specs()), "supervisor")
        try:
            either: set[asyncio.Future[None] | asyncio.Future[str]] = {tree, stop}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._drain(tree, _why_stopped(tree, stop))
        if not tree.cancelled():
            tree.result()

    async def _drain(self, tree: asyncio.Task[None], why: str) -> None:
        """Let a newcomer pass, stop intake, empty the mailboxes, keep checkpoints, flush, end all, say goodbye."""
        self._draining = True
        self._log.info("bot.draining", why=why)
        drain = Drain(self._clock)
        if self.cloud is not None:
            await self.cloud.let_pass(drain)
        self.gateway.stop_intake()
        await self.supervisor.drain(self._leave, drain)
        tree.cancel()
        await asyncio.wait({tree}, timeout=drain.left_s(Step.CHILDREN))
        await self._store.close()
        async with drain.limit(Step.GATEWAY):
            await self.gateway.close()
        self._log.info("drain.finished", seconds=round(drain.took_s, 2), cut=list(drain.cut))

    async def _leave(self, drain: Drain) -> None:
        """Nothing is recorded any more: the cloud gets the rest, and all of it is read back."""
        if self.cloud is not None:
            await self.cloud.leave(drain)
        await self.keeper.finish(drain)


def _why_stopped(tree: asyncio.Task[None], stop: asyncio.Future[str]) -> str:
    if stop.done():
        return stop.result()
    return told(tree.exception()) if tree.done() and not tree.cancelled() else "cancelled"


def run_bot(supervise: Supervise, settings: Settings, options: RunOptions) -> NoReturn:
    """``inviteledger run``: until SIGTERM or SIGINT; what ended it otherwise is its last line, and the exit code.

    The process ends here: all is durable then, and a thread that hangs in a name server, or in a folder on another
    machine, would be waited for.
    """
    clock = SystemClock()
    stdout = Outlet(sys.stdout)
    log = make_logger(settings, clock, stdout)
    stdout.missed = lambda lines: log.warning("log.dropped", lines=lines)
    adopt_libraries(settings, clock, stdout)
    calm_collector()
    failed: LedgerError | None = None
    try:
        asyncio.Runner().run(_run(supervise, settings, clock, log, options))
    except LedgerError as error:
        failed = error
    finally:
        stdout.finish()  # before the last line, so that there is room for it
    if failed is None:
        log.info("bot.stopped")
    else:
        log.error("bot.stopped", error=str(failed), hint=failed.hint)
    stdout.finish()
    os._exit(OK if failed is None else exit_code_of(failed))


async def _run(
    supervise: Supervise, settings: Settings, clock: Clock, log: FilteringBoundLogger, options: RunOptions
) -> None:
    stop = asked_to_stop()
    log.info("bot.started", version=version("inviteledger"), data=str(settings.ledger_data))
    warn_of_data(settings, log)
    disk, data = RealDisk(), settings.ledger_data
    holding = spawn(hold(disk, data, asyncio.sleep, log), "hold")
    either: set[asyncio.Future[Held] | asyncio.Future[str]] = {holding, stop}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not holding.done():
        holding.cancel()
        return
    held = holding.result()
    offload, side = ThreadOffload("disk"), ThreadOffload("aside")
    try:
        async with opened(settings, offload, clock, may_begin_anew=options.abandon_history) as (store, cloud, seen):

            def began(epoch: int) -> None:
                warn_of_first_start(settings, log, seen=seen, earlier=epoch - 1)
                tell_of_new_history(settings, log, earlier=epoch - 1)

            program = Program(
                supervise, settings, store, side, log, clock=clock, cloud=cloud, began=began, chaos=options.chaos
            )
            await program.run(stop)
    finally:
        side.drop()
        offload.close()  # whoever was cut off may have left work, which is done before another process may begin
        held.release()
