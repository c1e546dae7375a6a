"""The stage of the world: users, guilds, channels, the bot's place in them, and who is told what.

Events go out only for what the bot may see: it is in the guild, the guild is available, and INVITE_* needs
Manage Channels in the invite's channel, audit entries View Audit Log. Intents are the session's business. Names,
roles and channels change in `changes`; invites, joins and leaves are in `world`.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from sandbox import payloads
from sandbox.clock import Clock, Ids
from sandbox.event import Event
from sandbox.feed import Feed
from sandbox.founding import Founder
from sandbox.models import AuditAction, AuditEntry, Channel, Guild, Invite, Member, Permission, User, Vanity
from sandbox.wire import JsonObject, iso

BOT_PERMISSIONS: Final = Permission.MANAGE_GUILD | Permission.MANAGE_CHANNELS | Permission.VIEW_AUDIT_LOG


EDITABLE: Final = frozenset({"content", "embeds", "components", "flags"})
"""Parts of a message."""


class Stage:
    def __init__(self, clock: Clock, rng: Random) -> None:
        self.clock = clock
        self.ids = Ids(clock, rng)
        self.feed = Feed()
        self.founder = Founder(clock, self.ids, rng)
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.guild_of_channel: dict[int, Guild] = {}
        self.messages: list[JsonObject] = []
        self.is_connected: Callable[[int], bool] = lambda _guild_id: False
        self.bot = self.add_user("inviteledger", bot=True)

    # People and places

    def add_user(self, name: str | None = None, *, bot: bool = False) -> User:
        user = self.founder.user(name, bot=bot)
        self.users[user.id] = user
        return user

    def add_guild(
        self,
        name: str = "The Harbour",
        *,
        owner: User | None = None,
        features: Iterable[str] = (),
        vanity: str | None = None,
        vanity_uses: int = 0,
        permissions: Permission = BOT_PERMISSIONS,
        staff_permissions: Permission = Permission.MANAGE_GUILD,
    ) -> Guild:
        """A guild with an owner, one channel, a staff role, and the bot in it. `vanity` brings VANITY_URL."""
        wanted = [*features, *(["VANITY_URL"] if vanity else [])]
        guild = self.founder.guild(
            name,
            owner or self.add_user(),
            self.bot,
            features=list(dict.fromkeys(wanted)),
            vanity=Vanity(code=vanity, base_uses=vanity_uses),
            permissions=permissions,
            staff=staff_permissions,
        )
        self.guilds[guild.id] = guild
        self.guild_of_channel |= {channel.id: guild for channel in guild.channels}
        self._emit(guild, "GUILD_CREATE", payloads.guild_create(guild, self.bot))
        return guild

    def add_staff(self, guild: Guild, user: User | None = None) -> User:
        """A member with the staff role who has been there all along; no event, no truth."""
        staff = user or self.add_user()
        self.founder.settle(guild, staff, guild.staff_role)
        return staff

    def settle(self, guild: Guild, count: int) -> list[User]:
        """`count` members who have been there all along."""
        settlers = [self.add_user() for _ in range(count)]
        for user in settlers:
            self.founder.settle(guild, user)
        return settlers

    # The bot and its guilds

    def set_permissions(
        self,
        guild: Guild,
        *,
        manage_guild: bool | None = None,
        manage_channels: bool | None = None,
        view_audit_log: bool | None = None,
    ) -> None:
        """Change the bot's role (GUILD_ROLE_UPDATE); None leaves a permission as it is."""
        wishes = {
            Permission.MANAGE_GUILD: manage_guild,
            Permission.MANAGE_CHANNELS: manage_channels,
            Permission.VIEW_AUDIT_LOG: view_audit_log,
        }
        role = guild.bot_role
        for permission, wish in wishes.items():
            if wish is not None:
                role.permissions = role.permissions | permission if wish else role.permissions & ~permission
        self._emit(guild, "GUILD_ROLE_UPDATE", {"guild_id": str(guild.id), "role": payloads.role(role)})

    def make_unavailable(self, guild: Guild) -> None:
        """An outage: life goes on in the guild and nobody is told."""
        self._emit(guild, "GUILD_DELETE", {"id": str(guild.id), "unavailable": True})
        guild.available = False

    def make_available(self, guild: Guild) -> None:
        guild.available = True
        self._emit(guild, "GUILD_CREATE", payloads.guild_available(guild, self.bot))

    def remove_bot(self, guild: Guild) -> None:
        """The bot is thrown out: GUILD_DELETE without `unavailable`."""
        self._emit(guild, "GUILD_DELETE", {"id": str(guild.id)})
        guild.members.pop(self.bot.id)
        guild.has_bot = False

    def invite_bot(self, guild: Guild) -> None:
        """The bot is let in again: GUILD_CREATE."""
        guild.has_bot = True
        self.founder.seat(guild, self.bot, guild.bot_role)
        self._emit(guild, "GUILD_CREATE", payloads.guild_create(guild, self.bot))

    def post(self, guild: Guild, channel: Channel, author: User, body: JsonObject) -> JsonObject:
        """A message in a channel (MESSAGE_CREATE); kept in `messages`."""
        message = payloads.message(channel, self.ids.snowflake(), author, self.clock.tick_us(), body)
        self.messages.append(message)
        self._emit(guild, "MESSAGE_CREATE", message | {"guild_id": str(guild.id)})
        return message

    def message(self, channel: Channel, message_id: int) -> JsonObject | None:
        """The message that stands there under that id."""
        fitting = (str(message_id), str(channel.id))
        return next((each for each in self.messages if (each["id"], each["channel_id"]) == fitting), None)

    def edit(self, channel: Channel, message: JsonObject, body: JsonObject) -> JsonObject:
        """Other words for a message, in its place (MESSAGE_UPDATE)."""
        message |= {part: value for part, value in body.items() if part in EDITABLE}
        message["edited_timestamp"] = iso(self.clock.tick_us())
        guild = self.guild_of_channel[channel.id]
        self._emit(guild, "MESSAGE_UPDATE", message | {"guild_id": str(guild.id)})
        return message

    def delete_message(self, message: JsonObject) -> None:
        """A moderator takes a message away (MESSAGE_DELETE)."""
        self.messages[:] = [each for each in self.messages if each is not message]
        guild = self.guild_of_channel[int(str(message["channel_id"]))]
        gone = {"id": message["id"], "channel_id": message["channel_id"], "guild_id": str(guild.id)}
        self._emit(guild, "MESSAGE_DELETE", gone)

    def inject(self, name: str, data: object, guild: Guild | None = None) -> None:
        """Any dispatch, malformed ones too, past every permission check."""
        self.feed.emit(Event(name=name, data=data, guild_id=guild.id if guild else None))

    def bot_may(self, guild: Guild, permission: Permission, channel: Channel | None = None) -> bool:
        if channel is None:
            return permission in guild.permissions(self.bot)
        return permission in guild.permissions_in(self.bot, channel)

    # Inside

    def _emit(
        self, guild: Guild, name: str, data: object, *, hold: bool = False, channel: Channel | None = None
    ) -> None:
        """Tell it if the bot may see it; `channel` is where an invite leads."""
        if guild.available and guild.has_bot and self._may_see(guild, name, channel):
            self.feed.emit(Event(name=name, data=data, guild_id=guild.id), hold=hold)

    def _may_see(self, guild: Guild, name: str, channel: Channel | None) -> bool:
        if channel is not None:
            return self.bot_may(guild, Permission.MANAGE_CHANNELS, channel)
        return name != "GUILD_AUDIT_LOG_ENTRY_CREATE" or self.bot_may(guild, Permission.VIEW_AUDIT_LOG)

    def _about(self, guild: Guild, member: Member) -> JsonObject:
        return payloads.member(member) | {"guild_id": str(guild.id)}

    def _audit(
        self,
        guild: Guild,
        action: AuditAction,
        by: User | None,
        *,
        target_id: int | None = None,
        invite: Invite | None = None,
        reason: str | None = None,
    ) -> None:
        entry = AuditEntry(
            id=self.ids.snowflake(),
            action=action,
            by=by,
            target_id=target_id,
            made_at_us=self.clock.now_us(),
            invite=invite,
            reason=reason,
        )
        guild.audit.append(entry)
        told = payloads.audit_entry(entry) | {"guild_id": str(guild.id)}
        self._emit(guild, "GUILD_AUDIT_LOG_ENTRY_CREATE", told)
