"""How users and guilds come into being: names, first roles, first members. No events."""

from random import Random
from typing import Final

from sandbox.clock import US_PER_S, Clock, Ids
from sandbox.models import (
    EVERYONE,
    Channel,
    Guild,
    Member,
    Permission,
    Role,
    User,
    Vanity,
)

SETTLED_US: Final = 30 * 86_400 * US_PER_S
FIRST: Final = ("amber", "brisk", "calm", "dapper", "eager", "frosty", "gentle", "hazel", "jolly", "keen")
SECOND: Final = ("badger", "crane", "dolphin", "ermine", "falcon", "gecko", "heron", "ibis", "lynx", "otter")


class Founder:
    def __init__(self, clock: Clock, ids: Ids, rng: Random) -> None:
        self._clock = clock
        self._ids = ids
        self._rng = rng

    def user(self, name: str | None, *, bot: bool) -> User:
        user_id = self._ids.aged_snowflake()
        return User(id=user_id, name=name or self._name(user_id), bot=bot)

    def guild(
        self,
        name: str,
        owner: User,
        bot: User,
        *,
        features: list[str],
        vanity: Vanity,
        permissions: Permission,
        staff: Permission,
    ) -> Guild:
        guild_id = self._ids.aged_snowflake()
        roles = self._roles(guild_id, bot, permissions, staff)
        guild = Guild(
            id=guild_id,
            name=name,
            owner=owner,
            features=features,
            vanity=vanity,
            everyone=roles[0],
            staff_role=roles[1],
            bot_role=roles[2],
            roles={role.id: role for role in roles},
            channels=[Channel(id=self._ids.aged_snowflake(), name="general")],
        )
        self.settle(guild, owner)
        self.settle(guild, bot, guild.bot_role)
        return guild

    def settle(self, guild: Guild, user: User, *roles: Role) -> Member:
        """Make `user` a member without a story: there since long before anybody looked."""
        member = self.seat(guild, user, *roles)
        member.joined_at_us -= SETTLED_US
        return member

    def seat(self, guild: Guild, user: User, *roles: Role) -> Member:
        """Make `user` a member from now on."""
        roles_held = [role.id for role in roles]
        member = Member(user=user, joined_at_us=self._clock.tick_us(), roles=roles_held)
        guild.members[user.id] = member
        return member

    def _roles(self, guild_id: int, bot: User, own: Permission, staff: Permission) -> tuple[Role, Role, Role]:
        return (
            Role(id=guild_id, name="@everyone", permissions=EVERYONE, position=0),
            Role(id=self._ids.aged_snowflake(), name="Staff", permissions=staff, position=2),
            Role(id=self._ids.aged_snowflake(), name=bot.name, permissions=own, position=3, managed=True),
        )

    def _name(self, user_id: int) -> str:
        return f"{self._rng.choice(FIRST)}_{self._rng.choice(SECOND)}{user_id % 1000}"
