"""The redeploy: old and new process overlap while people join; nothing is lost, nothing counted twice.

Two real processes, a Discord on loopback, a cloud in a folder or in S3. What the new one exports at the end is
compared with the sandbox's truth, and with every join that either process acknowledged.
"""

import asyncio
import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from actors.cli.bot_process import BotProcess
from actors.cli.scoreboard import exported, truth_of
from ledger.records import CreditGranted, CreditReversed, Record, RepeatRecorded, Status
from persistence.disk import RealDisk
from persistence.reading import read_log
from sandbox import Guild, Invite, Sandbox
from tests.servers import Place

STALE = 69
JOIN_EVERY_S = 0.1
DRAINED_S = 5.0
"""The drain's own limits see to that (``test_drain.py``), however slow the machine."""


class Deploys:
    """A server with two invites, a cloud, and processes that come and go. ``cloud``: where it is."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.world, self.folder = sandbox, sandbox.world, folder
        self.guild: Guild = self.world.add_guild("Harbour")
        staff = [self.world.add_staff(self.guild) for _ in range(2)]
        self.invites: list[Invite] = [self.world.add_invite(self.guild, each) for each in staff]
        self.bots: list[BotProcess] = []
        self.cloud = Place((folder / "cloud").as_uri(), {})
        self._joined = asyncio.Event()

    def bot(self, name: str, *, disk: str, ack: str) -> BotProcess:
        """A process on the data folder ``name``."""
        environ = {
            "DISCORD_TOKEN": self.sandbox.token,
            "DISCORD_API_URL": self.sandbox.api_url,
            "LEDGER_DATA": str(self.data(name)),
            "LEDGER_DISK": disk,
            "LEDGER_HTTP": "127.0.0.1:0",
            "LEDGER_LOG": "json",
            "LEDGER_CLOUD": self.cloud.address,
            "LEDGER_ACK": ack,
            **self.cloud.environ,
        }
        transcript = self.folder / f"{len(self.bots)}.log"
        self.bots.append(BotProcess(environ, transcript, module="tests.system.hasty"))
        return self.bots[-1]

    def data(self, name: str) -> Path:
        return self.folder / name

    @asynccontextmanager
    async def joining(self) -> AsyncIterator[None]:
        """People join, by one invite and the other in turn, whatever happens inside the block."""
        task = asyncio.get_running_loop().create_task(self._join_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _join_on(self) -> None:
        while True:
            for invite in self.invites:
                self.world.join(self.guild, via=invite.code)
                self._joined.set()
                await asyncio.sleep(JOIN_EVERY_S)

    async def joins(self, count: int) -> None:
        """Waits for so many more."""
        for _ in range(count):
            self._joined.clear()
            await self._joined.wait()

    async def settled(self, bot: BotProcess, name: str) -> None:
        """Waits until every join of the world has a verdict there."""

        def done() -> bool:
            told = exported(self.data(name))
            return all(
                join in told and told[join].status is not Status.PENDING for join in truth_of(self.world.truth)
            )

        await bot.until(done, "a verdict for every join")

    def judge(self, name: str) -> None:
        truth, told = truth_of(self.world.truth), exported(self.data(name))
        acknowledged = {join for bot in self.bots for join in bot.acknowledged}
        assert acknowledged <= told.keys()
        assert told.keys() == truth.keys()
        wrong = [
            join
            for join, line in told.items()
            if line.status in {Status.CERTAIN, Status.LIKELY} and line.code != truth[join]
        ]
        assert wrong == []
        records = [frame.record for frame in read_log(RealDisk(), self.data(name) / "log")]
        assert [record for record in records if isinstance(record.event, RepeatRecorded)] == [], "told by both"
        assert {join: held for join, held in credits_in(records).items() if held not in (0, 1)} == {}

    async def end(self) -> None:
        for bot in self.bots:
            await bot.kill()


def credits_in(records: Sequence[Record]) -> Mapping[object, int]:
    """How many credits each membership holds at the end, by its kind."""
    held: Counter[object] = Counter()
    for record in records:
        match record.event:
            case CreditGranted(user=user, opened_us=opened_us, kind=kind):
                held[user, opened_us, kind] += 1
            case CreditReversed(user=user, opened_us=opened_us, kind=kind):
                held[user, opened_us, kind] -= 1
            case _:
                pass
    return held


@pytest.fixture
async def deploys(tmp_path: Path) -> AsyncIterator[Deploys]:
    async with Sandbox(seed=3, identify_every_s=0.0) as sandbox:
        each = Deploys(sandbox, tmp_path)
        try:
            yield each
        finally:
            await each.end()


@pytest.mark.parametrize(("disk", "ack"), [("ephemeral", "cloud"), ("lasting", "database")])
async def test_old_and_new_overlap_and_the_old_one_is_told_to_stop(deploys: Deploys, disk: str, ack: str):
    old, new = deploys.bot("old", disk=disk, ack=ack), deploys.bot("new", disk=disk, ack=ack)
    await old.start(guilds=1)
    async with deploys.joining():
        await deploys.joins(5)
        await new.start_standby()
        assert (await new.line("standby.began"))["level"] == ("info" if ack == "cloud" else "warning")
        await deploys.joins(5)
        assert await old.stop() == 0
        await new.line("recovery.finished")
        await deploys.joins(5)
    await deploys.settled(new, "new")
    assert await new.stop() == 0
    deploys.judge("new")
    for bot in (old, new):
        told = await bot.line("drain.finished")
        assert (told["cut"], told["seconds"] <= DRAINED_S) == ([], True)


async def test_the_old_one_is_killed_while_the_new_one_stands_by(deploys: Deploys):
    old, new = deploys.bot("old", disk="ephemeral", ack="cloud"), deploys.bot("new", disk="ephemeral", ack="cloud")
    await old.start(guilds=1)
    async with deploys.joining():
        await deploys.joins(5)
        await new.start_standby()
        await deploys.joins(3)
        await old.kill()
        await new.line("holder.silent")
        await new.line("recovery.finished")
        await deploys.joins(5)
    await deploys.settled(new, "new")
    assert await new.stop() == 0
    deploys.judge("new")


async def test_with_nothing_left_but_the_cloud_a_new_disk_comes_back(deploys: Deploys):
    old = deploys.bot("old", disk="ephemeral", ack="cloud")
    await old.start(guilds=1)
    async with deploys.joining():
        await deploys.joins(5)
        assert (await old.line("history.began"))["level"] == "warning", (
            "the cloud might be another one than was meant"
        )
        await old.kill()
        new = deploys.bot("new", disk="ephemeral", ack="cloud")
        await new.start(guilds=1)
        await deploys.joins(5)
    await deploys.settled(new, "new")
    assert await new.stop() == 0
    deploys.judge("new")


async def test_a_killed_bot_whose_folder_is_wiped_comes_back_from_a_real_s3(deploys: Deploys, s3_address: Place):
    """SeaweedFS; the same folder, with nothing in it any more, as on a machine that was made anew."""
    deploys.cloud = s3_address
    old = deploys.bot("data", disk="ephemeral", ack="cloud")
    await old.start(guilds=1)
    async with deploys.joining():
        await old.until(lambda: len(old.acknowledged) >= 8, "joins")
        await old.kill()
        shutil.rmtree(deploys.data("data"))
        new = deploys.bot("data", disk="ephemeral", ack="cloud")
        await new.start(guilds=1)
        assert old.acknowledged <= exported(deploys.data("data")).keys()
        await deploys.joins(3)
    await deploys.settled(new, "data")
    assert await new.stop() == 0
    deploys.judge("data")


async def test_a_frozen_holder_that_wakes_finds_itself_overtaken_and_stops(deploys: Deploys):
    old, new = deploys.bot("old", disk="ephemeral", ack="cloud"), deploys.bot("new", disk="ephemeral", ack="cloud")
    await old.start(guilds=1)
    async with deploys.joining():
        await deploys.joins(3)
        os.kill(old.pid, signal.SIGSTOP)
        await new.start(guilds=1)
        await deploys.joins(3)
        os.kill(old.pid, signal.SIGCONT)
        assert await old.wait() == STALE
        await deploys.joins(3)
    await deploys.settled(new, "new")
    assert await new.stop() == 0
    deploys.judge("new")


@pytest.mark.parametrize("end", [BotProcess.stop, BotProcess.kill])
async def test_on_one_lasting_disk_the_new_one_waits_for_the_folder(
    deploys: Deploys, end: Callable[[BotProcess], Awaitable[int | None]]
):
    old, new = (
        deploys.bot("same", disk="lasting", ack="database"),
        deploys.bot("same", disk="lasting", ack="database"),
    )
    await old.start(guilds=1)
    async with deploys.joining():
        await deploys.joins(5)
        starting = asyncio.get_running_loop().create_task(new.start(guilds=1))
        await deploys.joins(5)
        assert not await end(old)
        await starting
        await deploys.joins(5)
    await deploys.settled(new, "same")
    assert await new.stop() == 0
    deploys.judge("same")
