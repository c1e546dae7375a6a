"""The whole bot as a process of its own, against a Discord on loopback that the test drives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from actors.cli.bot_process import BotProcess
from actors.cli.history import JoinLine
from actors.cli.scoreboard import exported
from ledger.ids import GuildId, UserId
from ledger.records import Status
from sandbox import Guild, Invite, Join, Sandbox


class Stage:
    """A guild with one staff member and one invite, and a bot that has not been started yet."""

    module = "supervisor"
    """What is started as ``python -m``."""
    witness = "off"
    """The second witness would say more of a join at some later time: ``Hurried``."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.folder = folder
        self.data = folder / "data"
        self.guild: Guild = self.world.add_guild("Harbour")
        self.staff = self.world.add_staff(self.guild)
        self.invite: Invite = self.world.add_invite(self.guild, self.staff)
        self.bot = self.make_bot("bot.log")

    def make_bot(self, transcript: str, **environ: str) -> BotProcess:
        """Another process on the same folder."""
        said = {
            "DISCORD_TOKEN": self.sandbox.token,
            "DISCORD_API_URL": self.sandbox.api_url,
            "LEDGER_DATA": str(self.data),
            "LEDGER_DISK": "lasting",
            "LEDGER_HTTP": "127.0.0.1:0",
            "LEDGER_LOG": "json",
            "LEDGER_SECOND_WITNESS": self.witness,
        }
        return BotProcess(said | environ, self.folder / transcript, module=self.module)

    def said(self, transcript: str = "bot.log") -> str:
        """Everything that the process wrote."""
        path = self.folder / transcript
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def told(self, join: Join) -> JoinLine | None:
        """The export's line of a join."""
        key = (GuildId(str(join.guild_id)), UserId(str(join.user_id)), join.joined_at_us // 1_000)
        return exported(self.data).get(key)

    async def worked_out(self, *joins: Join) -> list[JoinLine]:
        """Waits until each of them has a verdict."""

        def done() -> bool:
            return all((line := self.told(join)) and line.status is not Status.PENDING for join in joins)

        await self.bot.until(done, "verdicts")
        lines = [self.told(join) for join in joins]
        return [line for line in lines if line is not None]


StageT = TypeVar("StageT", bound=Stage)


@asynccontextmanager
async def staged(kind: type[StageT], folder: Path) -> AsyncIterator[StageT]:
    """A stage on a Discord of its own, which at the end has met nothing that it does not know or allow."""
    async with Sandbox(seed=3, identify_every_s=0.0) as sandbox:
        stage = kind(sandbox, folder)
        yield stage
        await stage.bot.kill()
        assert list(sandbox.unhandled) == []
        assert list(sandbox.violations) == []


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(Stage, tmp_path) as stage:
        yield stage
