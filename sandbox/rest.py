"""REST: guilds, members, channels, the audit log.

The bot itself is in `rest_self`, invites in `rest_invites`, members-search in `rest_search`, commands in `commands`,
answers to interactions in `interactions`.
"""

from typing import Final

from sandbox import payloads
from sandbox.edge import MISSING_ACCESS, MISSING_PERMISSIONS, Call, DiscordError, Route
from sandbox.faults import Faults
from sandbox.models import AuditEntry, Channel, Guild, Permission
from sandbox.wire import JsonObject, as_rest_tells
from sandbox.world import World

UNKNOWN_MEMBER: Final = (404, 10007, "Unknown Member")
UNKNOWN_CHANNEL: Final = (404, 10003, "Unknown Channel")
OUTAGE: Final = (503, 0, "503: Service Unavailable")
PAGE: Final = 1_000
AUDIT_PAGE: Final = 100
AUDIT_KEPT_US: Final = 45 * 86_400 * 1_000_000


def require_guild(world: World, guild_id: int, permission: Permission = Permission.NONE) -> Guild:
    """The guild, if the bot is in it and has the permission.

    Raises:
        DiscordError: 403 with code 50001 or 50013; 503 in an outage, which Discord does not document: it is what
            its proxies answer for a backend that is away.
    """
    guild = world.guilds.get(guild_id)
    if guild is None or not guild.has_bot:
        raise DiscordError(*MISSING_ACCESS)
    if not guild.available:
        raise DiscordError(*OUTAGE)
    if not world.bot_may(guild, permission):
        raise DiscordError(*MISSING_PERMISSIONS)
    return guild


def require_channel(world: World, channel_id: int) -> tuple[Guild, Channel]:
    guild = world.guild_of_channel.get(channel_id)
    if guild is None or not guild.has_bot:
        raise DiscordError(*UNKNOWN_CHANNEL)
    require_guild(world, guild.id)
    return guild, next(channel for channel in guild.channels if channel.id == channel_id)


def require_in_channel(world: World, channel_id: int, permission: Permission) -> tuple[Guild, Channel]:
    """The channel, if the bot sees it and has the permission there."""
    guild, channel = require_channel(world, channel_id)
    if not world.bot_may(guild, Permission.VIEW_CHANNEL, channel):
        raise DiscordError(*MISSING_ACCESS)
    if not world.bot_may(guild, permission, channel):
        raise DiscordError(*MISSING_PERMISSIONS)
    return guild, channel


class GuildRoutes:
    """Guilds, their members, channels and audit log."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/guilds/{guild}", "guild", self._guild),
            Route("GET", "/guilds/{guild}/channels", "channels", self._channels),
            Route("GET", "/guilds/{guild}/roles", "roles", self._roles),
            Route("GET", "/guilds/{guild}/members", "members", self._members),
            Route("GET", "/guilds/{guild}/members/{user}", "member", self._member),
            Route("GET", "/guilds/{guild}/audit-logs", "audit", self._audit),
            Route("GET", "/channels/{channel}", "channel", self._channel),
        ]

    async def _guild(self, call: Call) -> JsonObject:
        guild = require_guild(self._world, call.id("guild"))
        if not call.flag("with_counts"):
            return payloads.guild(guild)
        counts = {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
        return payloads.guild(guild) | counts

    async def _channels(self, call: Call) -> list[JsonObject]:
        guild = require_guild(self._world, call.id("guild"))
        return [payloads.channel(guild, channel) for channel in guild.channels]

    async def _roles(self, call: Call) -> list[JsonObject]:
        guild = require_guild(self._world, call.id("guild"))
        return [payloads.role(role) for role in guild.roles.values()]

    async def _members(self, call: Call) -> list[JsonObject]:
        guild = require_guild(self._world, call.id("guild"))
        after, limit = call.number("after", 0), call.page(1, PAGE)
        wanted = sorted(user_id for user_id in guild.members if user_id > after)[:limit]
        return [as_rest_tells(payloads.member(guild.members[user_id])) for user_id in wanted]

    async def _member(self, call: Call) -> JsonObject:
        guild = require_guild(self._world, call.id("guild"))
        member = guild.members.get(call.id("user"))
        if member is None:
            raise DiscordError(*UNKNOWN_MEMBER)
        return as_rest_tells(payloads.member(member))

    async def _audit(self, call: Call) -> JsonObject:
        guild = require_guild(self._world, call.id("guild"), Permission.VIEW_AUDIT_LOG)
        now_us = self._world.clock.now_us()
        kept = range(now_us - AUDIT_KEPT_US, now_us - self._faults.audit_lag_us + 1)
        entries = _audit_page([entry for entry in guild.audit if entry.made_at_us in kept], call)
        who = {entry.by.id: entry.by for entry in entries if entry.by}
        log: JsonObject = {"audit_log_entries": [payloads.audit_entry(entry) for entry in entries]}
        empty = (
            "webhooks",
            "integrations",
            "threads",
            "guild_scheduled_events",
            "application_commands",
            "auto_moderation_rules",
        )
        return log | {"users": payloads.users(who.values()), **{name: [] for name in empty}}

    async def _channel(self, call: Call) -> JsonObject:
        return payloads.channel(*require_channel(self._world, call.id("channel")))


def _audit_page(log: list[AuditEntry], call: Call) -> list[AuditEntry]:
    """Newest first; with `after` alone the oldest first, as Discord does."""
    action, by = call.number("action_type", 0), call.number("user_id", 0)
    after, before = call.number("after", 0), call.number("before", 0)
    fitting = [
        entry
        for entry in log
        if (not action or entry.action == action)
        and (not by or (entry.by is not None and entry.by.id == by))
        and entry.id > after
        and (not before or entry.id < before)
    ]
    fitting.sort(key=lambda entry: entry.id, reverse="after" not in call.request.query)
    return fitting[: call.page(50, AUDIT_PAGE)]
