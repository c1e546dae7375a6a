"""What changes about people and places: names, roles, channels and who may do what in them.

USER_UPDATE is about the bot itself; of others Discord tells GUILD_MEMBER_UPDATE in each guild.
"""

from sandbox import payloads
from sandbox.models import NO_OVERWRITE, Channel, Guild, Overwrite, Permission, Role, User
from sandbox.stage import Stage


class Changes(Stage):
    # Channels

    def add_channel(self, guild: Guild, name: str) -> Channel:
        channel = Channel(id=self.ids.snowflake(), name=name, position=len(guild.channels))
        guild.channels.append(channel)
        self.guild_of_channel[channel.id] = guild
        self._emit(guild, "CHANNEL_CREATE", payloads.channel(guild, channel))
        return channel

    def delete_channel(self, guild: Guild, channel: Channel) -> None:
        """The channel goes, and its invites with it; Discord tells only the former."""
        at_us = self.clock.tick_us()
        guild.channels.remove(channel)
        del self.guild_of_channel[channel.id]
        for invite in guild.invites:
            if invite.channel is channel and invite.alive_at(at_us):
                invite.gone_at_us = at_us
        self._emit(guild, "CHANNEL_DELETE", payloads.channel(guild, channel))

    def rename_channel(self, guild: Guild, channel: Channel, name: str) -> None:
        channel.name = name
        self._emit(guild, "CHANNEL_UPDATE", payloads.channel(guild, channel))

    def set_overwrite(
        self,
        guild: Guild,
        channel: Channel,
        target: Role | User,
        *,
        allow: Permission = Permission.NONE,
        deny: Permission = Permission.NONE,
    ) -> None:
        """What a role or a member may and may not do in a channel (CHANNEL_UPDATE); neither: as elsewhere."""
        if allow | deny:
            channel.overwrites[target.id] = Overwrite(allow=allow, deny=deny, member=isinstance(target, User))
        else:
            channel.overwrites.pop(target.id, NO_OVERWRITE)
        self._emit(guild, "CHANNEL_UPDATE", payloads.channel(guild, channel))

    # Roles

    def add_role(self, guild: Guild, name: str, permissions: Permission = Permission.NONE) -> Role:
        """At the bottom, above @everyone (GUILD_ROLE_CREATE)."""
        role = Role(id=self.ids.snowflake(), name=name, permissions=permissions)
        guild.roles[role.id] = role
        self._tell_role(guild, "GUILD_ROLE_CREATE", role)
        return role

    def change_role(
        self, guild: Guild, role: Role, *, name: str | None = None, permissions: Permission | None = None
    ) -> None:
        """GUILD_ROLE_UPDATE; None leaves a value as it is."""
        role.name = role.name if name is None else name
        role.permissions = role.permissions if permissions is None else permissions
        self._tell_role(guild, "GUILD_ROLE_UPDATE", role)

    def delete_role(self, guild: Guild, role: Role) -> None:
        """The role goes from everybody; Discord tells GUILD_ROLE_DELETE and no member update."""
        del guild.roles[role.id]
        for member in guild.members.values():
            member.roles = [role_id for role_id in member.roles if role_id != role.id]
        self._emit(guild, "GUILD_ROLE_DELETE", {"guild_id": str(guild.id), "role_id": str(role.id)})

    # Names

    def rename_guild(self, guild: Guild, name: str) -> None:
        guild.name = name
        self._emit(guild, "GUILD_UPDATE", payloads.guild(guild))

    def rename_user(self, user: User, name: str) -> None:
        """A new username: told in each guild that the bot shares with them."""
        user.name = name
        if user is self.bot:
            self.inject("USER_UPDATE", payloads.own_user(user))
        for guild in self.guilds.values():
            if user.id in guild.members:
                self._tell_member(guild, user)

    def set_nick(self, guild: Guild, user: User, nick: str | None) -> None:
        guild.members[user.id].nick = nick
        self._tell_member(guild, user)

    def _tell_member(self, guild: Guild, user: User) -> None:
        self._emit(guild, "GUILD_MEMBER_UPDATE", self._about(guild, guild.members[user.id]))

    def _tell_role(self, guild: Guild, name: str, role: Role) -> None:
        self._emit(guild, name, {"guild_id": str(guild.id), "role": payloads.role(role)})
