"""Objects of the world as Discord's JSON, field by field.

Shapes are those of API v10 as discord.py 2.7.1 reads them. Nothing here decides who may see what.
"""

from collections.abc import Iterable

from sandbox.models import (
    AuditAction,
    AuditEntry,
    Channel,
    Guild,
    Invite,
    JobState,
    Member,
    Overwrite,
    Role,
    TargetJob,
    User,
)
from sandbox.wire import JsonObject, as_rest_tells, iso


def user(who: User) -> JsonObject:
    return {
        "id": str(who.id),
        "username": who.name,
        "global_name": None if who.bot or who.deleted else who.name.title(),
        "discriminator": "0",
        "avatar": None,
        "bot": who.bot,
        "public_flags": 0,
    }


def own_user(who: User) -> JsonObject:
    return user(who) | {"verified": True, "mfa_enabled": True, "flags": 0, "email": None}


def role(one: Role) -> JsonObject:
    return {
        "id": str(one.id),
        "name": one.name,
        "permissions": str(int(one.permissions)),
        "position": one.position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": one.managed,
        "mentionable": False,
        "flags": 0,
    }


def channel(guild: Guild, one: Channel) -> JsonObject:
    return {
        "id": str(one.id),
        "guild_id": str(guild.id),
        "type": 0,
        "name": one.name,
        "position": one.position,
        "permission_overwrites": [_overwrite(target, each) for target, each in one.overwrites.items()],
        "parent_id": None,
        "topic": None,
        "nsfw": False,
        "flags": 0,
        "rate_limit_per_user": 0,
        "last_message_id": None,
    }


def bare_member(one: Member) -> JsonObject:
    """A member without the user, as `resolved.members` holds it."""
    return {
        "roles": [str(role_id) for role_id in one.roles],
        "joined_at": iso(one.joined_at_us),
        "flags": int(one.flags),
        "pending": one.pending,
        "nick": one.nick,
        "avatar": None,
        "banner": None,
        "premium_since": None,
        "communication_disabled_until": None,
    }


def member(one: Member) -> JsonObject:
    return bare_member(one) | {"user": user(one.user), "deaf": False, "mute": False}


def guild(one: Guild) -> JsonObject:
    return {
        "id": str(one.id),
        "name": one.name,
        "owner_id": str(one.owner.id),
        "features": list(one.features),
        "vanity_url_code": one.vanity.code,
        "roles": [role(each) for each in one.roles.values()],
        "emojis": [],
        "stickers": [],
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "description": None,
        "afk_channel_id": None,
        "afk_timeout": 300,
        "verification_level": 1,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "premium_progress_bar_enabled": False,
        "preferred_locale": "en-US",
        "application_id": None,
        "system_channel_id": str(one.system_channel.id) if one.system_channel else None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "max_members": 500_000,
        "max_presences": None,
        "incidents_data": None,
    }


def guild_available(one: Guild, bot: User) -> JsonObject:
    """GUILD_CREATE of a guild the client knows from READY or an outage; only then is `unavailable` in it."""
    return guild_create(one, bot) | {"unavailable": False}


def guild_create(one: Guild, bot: User) -> JsonObject:
    """The full guild. Without the presences intent Discord lists only the bot (and voice) among the members."""
    me = one.members[bot.id]
    return guild(one) | {
        "large": len(one.members) >= 250,  # noqa: PLR2004  # Discord's own bound, used nowhere else
        "member_count": len(one.members),
        "joined_at": iso(me.joined_at_us),
        "members": [member(me)],
        "channels": [channel(one, each) for each in one.channels],
        "threads": [],
        "presences": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def invite(place: Guild, one: Invite) -> JsonObject:
    """An invite as everybody may see it."""
    seen: JsonObject = {
        "code": one.code,
        "type": 0,
        "flags": int(one.flags),
        "guild_id": str(place.id),
        "guild": _invite_guild(place),
        "channel": {"id": str(one.channel.id), "name": one.channel.name, "type": 0},
    }
    seen |= {"roles": [_invite_role(place, role_id) for role_id in one.role_ids]} if one.role_ids else {}
    return seen | ({"inviter": user(one.inviter)} if one.inviter else {})


def invite_metadata(one: Invite, at_us: int) -> JsonObject:
    """What only Manage Server shows, the counter as it stood at `at_us`."""
    expires = one.expires_at_us
    return {
        "uses": one.uses_at(at_us),
        "max_uses": one.max_uses,
        "max_age": one.max_age_s,
        "temporary": one.temporary,
        "created_at": iso(one.created_at_us),
        "expires_at": iso(expires) if expires else None,
    }


def invite_create(place: Guild, one: Invite) -> JsonObject:
    """The gateway's INVITE_CREATE; its `uses` is always 0."""
    event = invite_metadata(one, one.created_at_us) | {"uses": 0}
    event |= {"code": one.code, "flags": int(one.flags), "type": 0}
    event |= {"guild_id": str(place.id), "channel_id": str(one.channel.id)}
    event |= {"role_ids": [str(role_id) for role_id in one.role_ids]} if one.role_ids else {}
    return event | ({"inviter": user(one.inviter)} if one.inviter else {})


def target_users(one: Invite) -> bytes:
    """The list of who alone may accept it, as CSV."""
    rows = ["user_id", *(str(user_id) for user_id in sorted(one.targets or ()))]
    return "".join(f"{row}\r\n" for row in rows).encode()


def target_job(one: TargetJob) -> JsonObject:
    done = one.state is JobState.COMPLETED
    return {
        "status": int(one.state),
        "total_users": len(one.users),
        "processed_users": len(one.users) if done else 0,
        "created_at": iso(one.created_at_us),
        "completed_at": iso(one.completed_at_us) if one.completed_at_us else None,
        "error_message": "Failed to parse CSV file" if one.state is JobState.FAILED else None,
    }


def invite_delete(place: Guild, one: Invite) -> JsonObject:
    return {"code": one.code, "guild_id": str(place.id), "channel_id": str(one.channel.id)}


def audit_entry(one: AuditEntry) -> JsonObject:
    entry: JsonObject = {
        "id": str(one.id),
        "action_type": int(one.action),
        "user_id": str(one.by.id) if one.by else None,
        "target_id": str(one.target_id) if one.target_id else None,
    }
    if one.invite:
        entry["changes"] = _invite_changes(one.invite, one)
    return entry | ({"reason": one.reason} if one.reason else {})


def _invite_changes(told: Invite, entry: AuditEntry) -> list[JsonObject]:
    """Each field of the invite: what it was before the deletion, or what it is after the creation."""
    which = "old_value" if entry.action is AuditAction.INVITE_DELETE else "new_value"
    fields: JsonObject = {
        "max_uses": told.max_uses,
        "uses": told.uses_at(entry.made_at_us),
        "max_age": told.max_age_s,
        "temporary": told.temporary,
        "channel_id": str(told.channel.id),
        "code": told.code,
    }
    fields |= {"inviter_id": str(told.inviter.id)} if told.inviter else {}
    return [{"key": key, which: value} for key, value in fields.items()]


def found_member(one: Member) -> JsonObject:
    """A row of members-search."""
    return {
        "member": as_rest_tells(member(one)) | {"unusual_dm_activity_until": None},
        "source_invite_code": one.code,
        "join_source_type": int(one.source),
        "inviter_id": str(one.inviter.id) if one.inviter else None,
        "integration_type": None,
    }


def message(place: Channel, message_id: int, author: User, sent_at_us: int, body: JsonObject) -> JsonObject:
    return {
        "id": str(message_id),
        "channel_id": str(place.id),
        "author": user(author),
        "content": body.get("content") or "",
        "embeds": body.get("embeds") or [],
        "components": body.get("components") or [],
        "flags": body.get("flags") or 0,
        "timestamp": iso(sent_at_us),
        "edited_timestamp": None,
        "type": 0,
        "tts": False,
        "pinned": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
    }


def users(everyone: Iterable[User]) -> list[JsonObject]:
    return [user(each) for each in everyone]


def _overwrite(target_id: int, one: Overwrite) -> JsonObject:
    kind = 1 if one.member else 0
    return {"id": str(target_id), "type": kind, "allow": str(int(one.allow)), "deny": str(int(one.deny))}


def _invite_role(place: Guild, role_id: int) -> JsonObject:
    """Partial, and only its id once the role is gone."""
    full = role(place.roles[role_id]) if role_id in place.roles else {"id": str(role_id)}
    return {key: full[key] for key in ("id", "name", "position", "color", "colors") if key in full}


def _invite_guild(place: Guild) -> JsonObject:
    return {
        "id": str(place.id),
        "name": place.name,
        "features": list(place.features),
        "vanity_url_code": place.vanity.code,
        "icon": None,
        "splash": None,
        "banner": None,
        "description": None,
        "verification_level": 1,
        "nsfw_level": 0,
        "premium_subscription_count": 0,
    }
