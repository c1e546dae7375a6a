"""People on the sandbox's guilds: they join, leave, come back and give commands at a steady rate, whatever happens.

The sandbox keeps the truth. Who is there at the end has to be in the records; who came and went while nobody
listened need not be. Interactions are counted, and how often each was answered.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

import msgspec

from actors.cli.bot_process import JoinId
from actors.supervision import spawn
from ledger.ids import GuildId, UserId
from ledger.members import SAME_JOIN_US
from sandbox import VANITY, Guild, Invite, Join, Sandbox, User
from sandbox.answers import Reply
from sandbox.slash import Options

GUILDS: Final = 3
STEP_EVERY_S: Final = 0.25
BURST: Final = 6
CODES_TO_OTHER_WAYS: Final = 40
"""A join by no counter keeps its window open for some seconds, so most come by a code."""
ASK_EVERY_S: Final = 0.5
ASKED: Final = (
    "who_invited",
    "invites",
    "leaderboard",
    "debug_invites",
    "refresh_invite_cache",
    "fix_staff_usernames",
)
AWAY_US: Final = SAME_JOIN_US + 1_000_000
"""Nobody comes back sooner after they joined: a second join so soon counts as the same one, told again."""


class Ask(msgspec.Struct):
    """One interaction. ``owed``: whether somebody lived all the while who could answer it."""

    command: str
    reply: Reply
    owed: bool


def id_of(join: Join) -> JoinId:
    return GuildId(str(join.guild_id)), UserId(str(join.user_id)), join.joined_at_us // 1_000


class Crowd:
    """Guilds with staff and two invites each, one of them with a vanity URL.

    ``calm``: everybody stays and comes by a code, so that uses and joins agree and no window waits for more.
    """

    def __init__(self, sandbox: Sandbox, random: Random, *, calm: bool) -> None:
        self._calm = calm
        self._sandbox = sandbox
        self._world = sandbox.world
        self._random = random
        self._staff: dict[int, list[User]] = {}
        self._invites: dict[int, list[Invite]] = {}
        self._gone: dict[int, list[Join]] = {}
        self._unheard = False
        self.asks: list[Ask] = []
        self.guilds = [self._found(f"Harbour {n}", vanity="harbour" if n == 0 else None) for n in range(GUILDS)]

    def _found(self, name: str, *, vanity: str | None) -> Guild:
        guild = self._world.add_guild(name, vanity=vanity)
        self._world.settle(guild, 20)
        self._staff[guild.id] = [self._world.add_staff(guild) for _ in range(2)]
        self._invites[guild.id] = [self._world.add_invite(guild, staff) for staff in self._staff[guild.id]]
        self._gone[guild.id] = []
        return guild

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """People come, go and ask all the while inside the block."""
        tasks = [spawn(self._come_and_go(), "crowd/people"), spawn(self._keep_asking(), "crowd/asks")]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.result()

    def fall_unheard(self) -> None:
        """Nobody may be there to answer: no answer is owed to what waits now, nor to what is asked from now on."""
        self._unheard = True
        for ask in self.asks:
            ask.owed = ask.owed and ask.reply.done

    def be_heard(self) -> None:
        """Somebody is there again, who owes an answer to what is asked from now on."""
        self._unheard = False

    def join(self, guild: Guild) -> Join:
        """One more, by one of its invites."""
        return self._world.join(guild, via=self._random.choice(self._invites[guild.id]).code)

    def there(self) -> set[JoinId]:
        """The joins of those who are members now."""
        return {id_of(join) for join in self._world.truth if self._is_there(join)}

    def unanswered(self) -> list[Ask]:
        """Those who are owed an answer and see none yet."""
        return [ask for ask in self.asks if ask.owed and not ask.reply.done]

    async def _come_and_go(self) -> None:
        while True:
            self._step(self._random.choice(self.guilds))
            await asyncio.sleep(self._random.expovariate(1 / STEP_EVERY_S))

    def _step(self, guild: Guild) -> None:
        dice, gone = self._random.random(), self._gone[guild.id]
        came = [join for join in self._world.truth if join.guild_id == guild.id and self._is_there(join)]
        if dice < 0.15 and came and not self._calm:
            left = self._random.choice(came)
            self._world.leave(guild, self._world.users[left.user_id])
            gone.append(left)
        elif dice < 0.25 and gone and self._world.clock.now_us() - gone[0].joined_at_us > AWAY_US:
            self._world.join(guild, self._world.users[gone.pop(0).user_id], via=self._way(guild))
        elif dice < 0.30:
            for _ in range(BURST):
                self.join(guild)
        else:
            self._world.join(guild, via=self._way(guild))

    def _way(self, guild: Guild) -> str | None:
        ways = [invite.code for invite in self._invites[guild.id]] * CODES_TO_OTHER_WAYS
        others = [*([] if self._calm else [None]), *([VANITY] if guild.vanity.code else [])]
        return self._random.choice([*ways, *others])

    def _is_there(self, join: Join) -> bool:
        member = self._world.guilds[join.guild_id].members.get(join.user_id)
        return member is not None and member.joined_at_us == join.joined_at_us

    async def _keep_asking(self) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / ASK_EVERY_S))
            self._ask(self._random.choice(self.guilds))

    def _ask(self, guild: Guild) -> None:
        name = self._random.choice(ASKED)
        payload = self._sandbox.interaction_payload(guild, self._staff[guild.id][0], name, self._options(guild, name))
        self.asks.append(Ask(name, self._sandbox.interactions.send(payload), owed=not self._unheard))

    def _options(self, guild: Guild, name: str) -> Options:
        if name not in ("who_invited", "invites"):
            return {}
        joins = [join.user_id for join in self._world.truth if join.guild_id == guild.id]
        return {"member": self._random.choice(joins) if joins else self._staff[guild.id][0].id}
