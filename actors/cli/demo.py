"""``inviteledger demo``: the main job, played against a Discord on loopback. No token, no network.

Processes over real sockets: this one is the sandbox and the director, the others are bots as ``run`` starts them; a
folder is their cloud.
The sandbox keeps the truth; at the end it is compared with what the bot's records say. Exit 0 only if nothing was
lost, nothing credited twice, and no name is wrong.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from textwrap import indent
from typing import Final

from rich.console import Console

from actors.cli.bot_process import BotProcess, JoinId
from actors.cli.exits import OK, WRONG
from actors.cli.scoreboard import NAMING, exported, score, table_of, truth_of, vip_credits
from actors.cli.transcript import readable
from actors.supervision import spawn
from ledger.records import Status
from sandbox import NI, VANITY, Guild, Invite, Sandbox, User
from sandbox.slash import Options

PAUSE_S: Final = 0.03
"""Between the joins of a burst."""
ROUNDS: Final = 5
CLUMPS, CLUMP_EVERY_S = 3, 6.0
"""Of six joins each: 60 a minute."""
INDEXED_US: Final = 15_000_000
"""How long after a join Discord's member search knows of it."""
SHOWN: Final = (("who_invited", ("member",)), ("leaderboard", ()), ("debug_invites", ()))
"""Commands whose answers are shown, with the options that are filled in."""


def play() -> int:
    """Plays the demo in a scratch folder, which goes afterwards unless something went wrong."""
    console = Console(highlight=False)
    scratch = Path(tempfile.mkdtemp(prefix="inviteledger-demo-"))
    try:
        code = asyncio.run(_play(console, scratch))
    except KeyboardInterrupt:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    if code == OK:
        shutil.rmtree(scratch)
    else:
        console.print(f"What the bot said and kept is in {scratch}")
    return code


async def _play(console: Console, scratch: Path) -> int:
    async with Sandbox(seed=7, identify_every_s=0.0) as sandbox:
        story = Story(sandbox, scratch, console)
        try:
            for title, act in story.acts():
                console.print(f"[bold]·[/] {title} …", end="")
                await act()
                console.print(f" [green]done[/] ({len(sandbox.world.truth)} joins so far)")
        finally:
            await story.close()
        return story.tell_the_end()


class Story:
    """Three guilds, their staff and their invites, and what happens to them."""

    def __init__(self, sandbox: Sandbox, scratch: Path, console: Console) -> None:
        self._sandbox = sandbox
        self._world = sandbox.world
        self._scratch = scratch
        self._console = console
        self._data = scratch / "data"
        self._bot = self._make_bot()
        self._bots = [self._bot]
        self._guilds: list[Guild] = []
        self._staff: dict[int, list[User]] = {}
        self._invites: dict[int, list[Invite]] = {}

    def _make_bot(self) -> BotProcess:
        """A bot on the data folder of now, and on the one cloud."""
        environ = {
            "DISCORD_TOKEN": self._sandbox.token,
            "DISCORD_API_URL": self._sandbox.api_url,
            "LEDGER_DATA": str(self._data),
            "LEDGER_DISK": "ephemeral",
            "LEDGER_CLOUD": (self._scratch / "cloud").as_uri(),
            "LEDGER_HTTP": "127.0.0.1:0",
            "LEDGER_LOG": "json",
        }
        return BotProcess(environ, self._scratch / f"{self._data.name}.log")

    def acts(self) -> Sequence[tuple[str, Callable[[], Awaitable[None]]]]:
        return (
            ("three guilds with staff; the bot starts", self._opening),
            ("single joins, one after another in each guild", self._single_joins),
            ("a one-use invite, and somebody who came by no invite", self._rare_ways),
            ("the vanity URL", self._vanity),
            ("a burst of twelve on one invite", self._burst_on_one),
            ("a burst of ten over two invites of two people", self._burst_over_two),
            ("a raid, 60 joins a minute over six codes: with Discord's member search and without", self._raid),
            ("what the counters leave open: /review, a person's decision, /why", self._decision),
            ("a VIP upgrade while the bot is down, and another restart: credited once", self._upgrade),
            ("slash commands", self._slash),
            ("a guild actor is killed in the middle of a join", self._killed_actor),
            ("SIGKILL in the middle of a burst, joins while the bot is away, restart", self._killed_process),
            ("the log is deleted, restart", self._log_deleted),
            ("the database is deleted, restart", self._database_deleted),
            ("the whole data folder is deleted, restart: the cloud has it all", self._folder_deleted),
            ("a redeploy: a second bot on an empty disk, while people join", self._redeploy),
            ("SIGTERM: the bot drains", self._curtain),
        )

    async def close(self) -> None:
        """Ends whatever still runs."""
        for bot in self._bots:
            await bot.kill()

    def tell_the_end(self) -> int:
        truth, told = truth_of(self._world.truth), exported(self._data)
        acknowledged = {join for bot in self._bots for join in bot.acknowledged}
        result = score(truth, told, acknowledged, self._data)
        self._console.print(table_of(truth, told))
        self._console.print(str(result))
        return OK if result.is_clean() else WRONG

    async def _opening(self) -> None:
        for name, vanity in (("Harbour", None), ("Orchard", None), ("Foundry", "foundry")):
            guild = self._world.add_guild(name, vanity=vanity)
            self._world.settle(guild, 25)
            self._guilds.append(guild)
            self._staff[guild.id] = [self._world.add_staff(guild) for _ in range(2)]
            self._invites[guild.id] = [self._world.add_invite(guild, staff) for staff in self._staff[guild.id]]
        for guild in self._guilds[1:]:
            self._sandbox.faults.fail("search", 403, times=None, guild_id=guild.id)
        self._sandbox.faults.search_lag_us = INDEXED_US
        await self._bot.start(len(self._guilds))

    async def _single_joins(self) -> None:
        for each in range(ROUNDS):
            for guild in self._guilds:
                self._world.join(guild, via=self._invites[guild.id][each % 2].code)
            await self._all_worked_out()

    async def _rare_ways(self) -> None:
        harbour, orchard, _ = self._guilds
        once = self._world.add_invite(harbour, self._staff[harbour.id][0], max_uses=1)
        self._world.join(harbour, via=once.code)
        self._world.join(orchard, via=None)
        await self._all_worked_out()

    async def _vanity(self) -> None:
        for _ in range(6):
            self._world.join(self._guilds[2], via=VANITY)
        await self._all_worked_out()

    async def _burst_on_one(self) -> None:
        guild = self._guilds[0]
        for _ in range(12):
            self._world.join(guild, via=self._invites[guild.id][0].code)
            await asyncio.sleep(PAUSE_S)
        await self._all_worked_out()

    async def _burst_over_two(self) -> None:
        guild = self._guilds[1]
        for each in range(10):
            self._world.join(guild, via=self._invites[guild.id][each % 2].code)
            await asyncio.sleep(PAUSE_S)
        await self._all_worked_out()

    async def _raid(self) -> None:
        """Six at a time, one by each of six codes: the counters tell how many came by each, and not who."""
        raided = self._guilds[:2]
        for guild in raided:
            for _ in range(4):
                staff = self._world.add_staff(guild)
                self._staff[guild.id].append(staff)
                self._invites[guild.id].append(self._world.add_invite(guild, staff))
        first = len(self._world.truth)
        for _ in range(CLUMPS):
            for guild in raided:
                for invite in self._invites[guild.id]:
                    self._world.join(guild, via=invite.code)
            await asyncio.sleep(CLUMP_EVERY_S)
        await self._all_worked_out()
        raid = truth_of(self._world.truth[first:])
        searched, unsearched = ({join for join in raid if join[0] == str(guild.id)} for guild in raided)
        await self._bot.until(lambda: self._named(searched) == len(searched), "what the member search says")
        self._console.print()
        for where, joins in (("with", searched), ("without", unsearched)):
            open_ = len(joins) - self._named(joins)
            self._console.print(
                f"    {where} member search: {self._named(joins)} named, {open_} left open of {len(joins)}"
            )
        self._console.print("   ", end="")

    def _named(self, joins: set[JoinId]) -> int:
        told = exported(self._data)
        return sum(join in told and told[join].status in NAMING for join in joins)

    async def _decision(self) -> None:
        """A person who asked around decides one of the raid's joins; whom to name, the sandbox knows."""
        guild, told = self._guilds[1], exported(self._data)
        asked = next(
            join
            for join in reversed(self._world.truth)
            if join.guild_id == guild.id and told[next(iter(truth_of([join])))].status is Status.CANDIDATES
        )
        by_code = dict(zip((each.code for each in self._invites[guild.id]), self._staff[guild.id], strict=True))
        code = str(asked.via)
        decided: Options = {
            "member": asked.user_id,
            "staff": by_code[code],
            "code": code,
            "reason": "I asked",
        }
        await self._show(guild, "review list", {})
        await self._show(guild, "review decide", decided)
        await self._show(guild, "why", {"member": asked.user_id})
        self._console.print("   ", end="")

    async def _upgrade(self) -> None:
        """The role comes while nobody listens; the member list tells of it afterwards, and once."""
        guild = self._guilds[0]
        gold = self._world.add_role(guild, "Gold")
        await self._show(guild, "vip_role add", {"role": gold.id})
        joined = next(join for join in self._world.truth if join.guild_id == guild.id and not join.bot)
        await self._bot.stop()
        self._world.give_role(guild, self._world.users[joined.user_id], gold)
        await self._bot.start(len(self._guilds))
        await self._bot.until(lambda: bool(vip_credits(self._data)), "the credit for the upgrade")
        await self._bot.stop()
        await self._joins_after_a_start()
        self._console.print(f"    credits for the upgrade, two restarts later: {vip_credits(self._data).total()}")
        self._console.print("   ", end="")

    async def _show(self, guild: Guild, name: str, options: Options) -> None:
        reply = await self._sandbox.slash(guild, self._staff[guild.id][0], name, options)
        self._console.print(f"\n    [bold]/{name}[/]")
        self._console.print(indent(self._readable(reply.text), "      "), markup=False, soft_wrap=True)

    async def _slash(self) -> None:
        guild = self._guilds[0]
        last = next(join for join in reversed(self._world.truth) if join.guild_id == guild.id)
        for name, options in SHOWN:
            who: Options = dict.fromkeys(options, last.user_id)
            await self._show(guild, name, who)
        self._console.print("   ", end="")

    def _readable(self, text: str) -> str:
        names = {user.id: user.name for user in self._world.users.values()}
        names |= {channel.id: channel.name for guild in self._guilds for channel in guild.channels}
        names |= {role.id: role.name for guild in self._guilds for role in guild.roles.values()}
        return readable(text, names, self._world.clock.now_us() / 1_000_000)

    async def _killed_actor(self) -> None:
        """The join is recorded, its fetch is under way: then the actor dies. Its successor asks again."""
        guild = self._guilds[2]
        gate = self._sandbox.faults.hang("invites", guild_id=guild.id)
        self._world.join(guild, via=self._invites[guild.id][0].code)
        await gate.arrived()
        await self._bot.kill_actor(f"guild/{guild.id}")
        gate.open()
        await self._all_worked_out()

    async def _killed_process(self) -> None:
        guild = self._guilds[2]
        known = len(self._bot.acknowledged)
        for each in range(10):
            self._world.join(guild, via=self._invites[guild.id][each % 2].code)
            if each == 5:  # noqa: PLR2004 -- the middle
                await self._bot.until(lambda: len(self._bot.acknowledged) >= known + 3, "three acknowledged joins")
                await self._bot.kill()
            await asyncio.sleep(PAUSE_S)
        await self._bot.start(len(self._guilds))
        await self._all_worked_out()

    async def _log_deleted(self) -> None:
        await self._bot.stop()
        shutil.rmtree(self._data / "log")
        await self._joins_after_a_start()

    async def _database_deleted(self) -> None:
        await self._bot.stop()
        for path in self._data.glob("ledger.db*"):
            path.unlink()
        await self._joins_after_a_start()

    async def _folder_deleted(self) -> None:
        await self._bot.stop()
        shutil.rmtree(self._data)
        await self._joins_after_a_start()

    async def _redeploy(self) -> None:
        """The new one hears Discord and waits; the old one is told to stop, gives the cloud all it has, and goes."""
        old, guild = self._bot, self._guilds[0]
        self._data = self._scratch / "second"
        self._bot = self._make_bot()
        self._bots.append(self._bot)
        await self._bot.start_standby()
        stopping = spawn(old.stop(), "demo/stop")
        for each in range(10):
            self._world.join(guild, via=self._invites[guild.id][each % 2].code)
            await asyncio.sleep(PAUSE_S)
        await stopping
        await self._bot.line("recovery.finished")
        await self._joins_everywhere()

    async def _joins_after_a_start(self) -> None:
        await self._bot.start(len(self._guilds))
        await self._joins_everywhere()

    async def _joins_everywhere(self) -> None:
        for guild in self._guilds:
            self._world.join(guild, via=self._invites[guild.id][1].code)
        await self._all_worked_out()

    async def _curtain(self) -> None:
        await self._bot.stop()

    async def _all_worked_out(self) -> None:
        """Every join of the world so far has a verdict in the log (a line may have died with the bot)."""

        def worked_out() -> bool:
            told = exported(self._data)
            return all(
                join in told and told[join].status is not Status.PENDING for join in truth_of(self._world.truth)
            )

        await self._bot.until(worked_out, "a verdict for every join")


assert NI == "NI", "the sandbox names the way without a counter as the export does"
