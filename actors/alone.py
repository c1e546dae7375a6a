"""Forgetting where no bot runs: for as long as it takes, the same tree without a gateway."""

import asyncio
import logging
import sys

from actors.clock import SystemClock, SystemRandomness
from actors.forgetting import ForgetReport, ForgetRequest, Progress, forgetting_in
from actors.guild import Nowhere
from actors.journal import Journal
from actors.logs import make_logger
from actors.opening import cloud_side, opened, recover
from actors.salvager import Salvager
from actors.settings import Settings
from actors.supervision import journal_spec, spawn
from actors.tree import Supervise
from persistence.disk import RealDisk
from persistence.local import hold_folder
from persistence.offload import ThreadOffload


def forget_alone(
    supervise: Supervise, settings: Settings, request: ForgetRequest, progress: Progress
) -> ForgetReport:
    """Forgets where no bot runs: the same tree without a gateway, for as long as it takes.

    Raises:
        FolderInUse: when a bot runs on the folder: it has to be asked (``POST /forget``).
        LedgerError: when nothing can be recorded.
    """
    held = hold_folder(RealDisk(), settings.ledger_data, "just now, to forget")
    offload = ThreadOffload("disk")
    try:
        return asyncio.run(_forget_alone(supervise, settings, request, progress, offload))
    finally:
        offload.close()
        held.release()


async def _forget_alone(
    supervise: Supervise, settings: Settings, request: ForgetRequest, progress: Progress, offload: ThreadOffload
) -> ForgetReport:
    clock, named = SystemClock(), settings.named_layers()
    log = make_logger(settings, clock, sys.stderr, logging.WARNING)
    async with opened(settings, offload, clock) as (store, cloud, _):
        side = None
        if cloud is not None:
            side = cloud_side(cloud, store, lambda: False, clock, log)
            await side.handover.expect_nobody()
        await recover(store, clock, log)
        journal = Journal(store, named, clock, asyncio.sleep, log)
        supervisor = supervise(
            journal=journal,
            keep=lambda _digest, _payload: None,
            clock=clock,
            randomness=SystemRandomness(),
            sleep=asyncio.sleep,
            log=log,
        )
        supervisor.connect(Nowhere())
        if side is not None:
            side.attach(journal, named)
        specs = (journal_spec(journal), *(() if side is None else side.specs()))
        salvager = Salvager(store.salvage, supervisor.roster, clock, asyncio.sleep, log)
        forgetting = forgetting_in(supervisor.roster, supervisor, journal, settings, offload, clock=clock)

        async def forget() -> ForgetReport:
            await salvager.salvage_all()
            return await forgetting.forget(request, progress)

        tree, work = spawn(supervisor.run(specs), "supervisor"), spawn(forget(), "forgetting")
        await asyncio.wait({tree, work}, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()  # where the tree is gone, nobody is left who would answer it
        await supervisor.drain(None if side is None else side.leave)
        tree.cancel()
        await asyncio.wait({tree, work})
        if not tree.cancelled():
            tree.result()
        return work.result()
