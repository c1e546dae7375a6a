"""REST: invites and the vanity URL, with what each permission shows and what a fault bends."""

from typing import Final

from sandbox import payloads
from sandbox.edge import MISSING_PERMISSIONS, NOT_FOUND, Call, DiscordError, Raw, Route, invalid_form
from sandbox.faults import Faults
from sandbox.inviting import MAX_INVITES
from sandbox.models import Channel, Guild, Invite, Permission, Role
from sandbox.rest import require_guild, require_in_channel
from sandbox.targets import read_targets
from sandbox.wire import JsonObject, as_int, as_list, as_rest_tells
from sandbox.world import World

UNKNOWN_INVITE: Final = (404, 10006, "Unknown Invite")
NO_VANITY: Final = (403, 50020, "Invite code was either invalid or taken.")
TOO_MANY_INVITES: Final = (400, 30016, "Maximum number of invites reached (1000)")
DAY_S: Final = 86_400
MAX_AGE_S: Final = 7 * DAY_S
MAX_USES: Final = 100
TARGETS: Final = "target_users_file"


class InviteRoutes:
    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/guilds/{guild}/invites", "invites", self._list),
            Route("GET", "/guilds/{guild}/vanity-url", "vanity", self._vanity),
            Route("POST", "/channels/{channel}/invites", "create_invite", self._create),
            Route("GET", "/channels/{channel}/invites", "channel_invites", self._list_of_channel),
            Route("GET", "/invites/{code}", "invite", self._one),
            Route("DELETE", "/invites/{code}", "delete_invite", self._delete),
            Route("GET", "/invites/{code}/target-users", "targets", self._targets),
            Route("PUT", "/invites/{code}/target-users", "put_targets", self._put_targets),
            Route("GET", "/invites/{code}/target-users/job-status", "target_job", self._job),
        ]

    async def _list(self, call: Call) -> list[JsonObject]:
        """Manage Server sees all, View Audit Log the list without its metadata, others nothing."""
        guild = require_guild(self._world, call.id("guild"))
        full = self._world.bot_may(guild, Permission.MANAGE_GUILD)
        if not full and not self._world.bot_may(guild, Permission.VIEW_AUDIT_LOG):
            raise DiscordError(*MISSING_PERMISSIONS)
        at_us = self._moment(call)
        return [
            payloads.invite(guild, invite)
            | (as_rest_tells(payloads.invite_metadata(invite, at_us)) if full and not call.fault.bare else {})
            for invite in self._world.invites_at(guild, at_us)
        ]

    async def _list_of_channel(self, call: Call) -> list[JsonObject]:
        guild, channel = require_in_channel(self._world, call.id("channel"), Permission.MANAGE_CHANNELS)
        at_us = self._moment(call)
        return [
            payloads.invite(guild, invite) | as_rest_tells(payloads.invite_metadata(invite, at_us))
            for invite in self._world.invites_at(guild, at_us)
            if invite.channel is channel
        ]

    async def _vanity(self, call: Call) -> JsonObject:
        guild = require_guild(self._world, call.id("guild"), Permission.MANAGE_GUILD)
        if "VANITY_URL" not in guild.features:
            raise DiscordError(*NO_VANITY)
        if call.fault.blank or guild.vanity.code is None:
            return {"code": None, "uses": 0}
        return {"code": guild.vanity.code, "uses": guild.vanity.uses_at(self._moment(call))}

    async def _create(self, call: Call) -> JsonObject:
        guild, channel = require_in_channel(self._world, call.id("channel"), Permission.CREATE_INSTANT_INVITE)
        _require_terms(call)
        roles, targets = self._wanted_roles(guild, call), await self._wanted_targets(guild, call)
        if len(self._world.invites_at(guild)) >= MAX_INVITES:
            raise DiscordError(*TOO_MANY_INVITES)
        alike = None if roles or targets is not None else self._alike(guild, channel, call)
        invite = alike or self._make(guild, channel, call, roles)
        if targets is not None:
            self._world.set_targets(invite, targets, call.fault.job)
        return payloads.invite(guild, invite) | payloads.invite_metadata(invite, self._world.clock.now_us())

    async def _one(self, call: Call) -> JsonObject:
        """No metadata here, but the expiry."""
        guild, invite = self._find(call)
        expires = payloads.invite_metadata(invite, invite.created_at_us)["expires_at"]
        return payloads.invite(guild, invite) | {"expires_at": expires}

    async def _delete(self, call: Call) -> JsonObject:
        guild, invite = self._find(call)
        require_guild(self._world, guild.id)
        in_channel = self._world.bot_may(guild, Permission.MANAGE_CHANNELS, invite.channel)
        if not in_channel and not self._world.bot_may(guild, Permission.MANAGE_GUILD):
            raise DiscordError(*MISSING_PERMISSIONS)
        self._world.delete_invite(guild, invite.code, self._world.bot, reason=call.reason)
        return payloads.invite(guild, invite)

    def _moment(self, call: Call) -> int:
        """The moment whose counters are shown: now, unless a fault makes the list lag."""
        if call.fault.as_of_us is not None:
            return call.fault.as_of_us
        return self._world.clock.now_us() - self._faults.lag_us

    def _find(self, call: Call) -> tuple[Guild, Invite]:
        found = self._world.find_invite(call.text("code"))
        if found is None:
            raise DiscordError(*UNKNOWN_INVITE)
        return found

    def _alike(self, guild: Guild, channel: Channel, call: Call) -> Invite | None:
        """Unless `unique` is asked for, Discord gives an invite of the same kind again."""
        if call.fields.get("unique"):
            return None
        max_age_s, max_uses, temporary = _terms(call)
        for invite in self._world.invites_at(guild):
            same_place = invite.channel is channel and invite.inviter is self._world.bot
            if same_place and (invite.max_age_s, invite.max_uses, invite.temporary) == (
                max_age_s,
                max_uses,
                temporary,
            ):
                return invite
        return None

    def _make(self, guild: Guild, channel: Channel, call: Call, roles: list[Role]) -> Invite:
        max_age_s, max_uses, temporary = _terms(call)
        return self._world.add_invite(
            guild,
            self._world.bot,
            channel=channel,
            max_age_s=max_age_s,
            max_uses=max_uses,
            temporary=temporary,
            reason=call.reason,
            roles=roles,
        )

    def _wanted_roles(self, guild: Guild, call: Call) -> list[Role]:
        """The roles the invite is to give: with Manage Roles, and below the bot's own highest."""
        wanted = [guild.roles.get(as_int(each)) for each in as_list(call.fields.get("role_ids"))]
        roles = [role for role in wanted if role is not None and role is not guild.everyone]
        if len(roles) < len(wanted):
            raise invalid_form("role_ids", "ROLE_INVALID", "A role is unknown, or everybody's.")
        if not roles:
            return []
        own = [guild.roles[role_id].position for role_id in guild.members[self._world.bot.id].roles]
        if any(role.position >= max(own, default=0) for role in roles):
            raise DiscordError(*MISSING_PERMISSIONS)
        require_guild(self._world, guild.id, Permission.MANAGE_ROLES)
        return roles

    async def _wanted_targets(self, guild: Guild, call: Call) -> list[int] | None:
        """Who alone shall be let in: with Manage Server; None: anybody."""
        csv = await call.file(TARGETS)
        if csv is None:
            return None
        require_guild(self._world, guild.id, Permission.MANAGE_GUILD)
        return _targets_in(csv)

    async def _targets(self, call: Call) -> Raw:
        guild, invite = self._find(call)
        self._require_own(guild, invite, Permission.MANAGE_GUILD, Permission.VIEW_AUDIT_LOG)
        return Raw(payloads.target_users(invite), "text/csv")

    async def _put_targets(self, call: Call) -> None:
        guild, invite = self._find(call)
        self._require_own(guild, invite, Permission.MANAGE_GUILD)
        csv = await call.file(TARGETS)
        if csv is None:
            raise invalid_form(TARGETS, "BASE_TYPE_REQUIRED", "This field is required")
        self._world.set_targets(invite, _targets_in(csv), call.fault.job)

    async def _job(self, call: Call) -> JsonObject:
        """404 for an invite without a list: Discord does not say what it answers there."""
        guild, invite = self._find(call)
        self._require_own(guild, invite, Permission.MANAGE_GUILD, Permission.VIEW_AUDIT_LOG)
        if invite.job is None:
            raise DiscordError(*NOT_FOUND)
        return payloads.target_job(invite.job)

    def _require_own(self, guild: Guild, invite: Invite, *permissions: Permission) -> None:
        """The bot made it, or has one of the permissions."""
        require_guild(self._world, guild.id)
        may = any(self._world.bot_may(guild, permission) for permission in permissions)
        if invite.inviter is not self._world.bot and not may:
            raise DiscordError(*MISSING_PERMISSIONS)


def _targets_in(csv: bytes) -> list[int]:
    ids, wrong = read_targets(csv)
    if wrong:
        raise invalid_form(TARGETS, "INVALID_USER_IDS", "; ".join(wrong))
    return ids


def _require_terms(call: Call) -> None:
    max_age_s, max_uses, _ = _terms(call)
    if not 0 <= max_age_s <= MAX_AGE_S:
        raise invalid_form("max_age", "NUMBER_TYPE_MAX", f"int value should be 0 to {MAX_AGE_S}.")
    if not 0 <= max_uses <= MAX_USES:
        raise invalid_form("max_uses", "NUMBER_TYPE_MAX", f"int value should be 0 to {MAX_USES}.")


def _terms(call: Call) -> tuple[int, int, bool]:
    wish = call.fields
    return as_int(wish.get("max_age"), DAY_S), as_int(wish.get("max_uses")), bool(wish.get("temporary"))
