"""Dispatches into messages: pure, and total over any JSON.

What decodes becomes messages, each with the guild it is for. What does not becomes ``Unreadable``: its payload goes
to quarantine, and its guild, where that can still be read, is told what can still be read of it.
The cause of a message is the dispatch itself: session, number, and the lane in which the message travels.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from actors.gateway import payloads as p
from actors.gateway.counters import is_guest, newborn
from actors.gateway.evidence import Action, bots_in, creations_in, deletions_in, entry_of
from ledger import messages as m
from ledger.ids import GuildId, SessionId
from ledger.members import GUEST_FLAG
from ledger.records import GatewayCause

BY_HAND: Final = "MEMBER_VERIFICATION_MANUAL_APPROVAL"
"""The feature of a guild whose members are approved by people."""
GUILD_EVENTS: Final = frozenset({"GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE"})
T = TypeVar("T")


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """Where a dispatch came from: its session, its number there (``s``), and when we had it in hand.

    ``replayed``: behind a RESUME, so that it may be of any time since the connection was lost; ``lost_us``: when the
    connection before this session was surely there for the last time, 0 = there was none.
    """

    session: SessionId
    number: int
    arrived_us: int
    replayed: bool = False
    lost_us: int = 0

    @property
    def since_us(self) -> int:
        """When it may have happened at the earliest; 0 = just now."""
        return self.lost_us if self.replayed else 0

    def cause(self, lane: Literal["members", "rest"]) -> GatewayCause:
        return GatewayCause(session=self.session, number=self.number, lane=lane)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A message for a guild."""

    guild: GuildId
    message: m.Message


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A dispatch that does not decode. ``payload``: canonical JSON; ``digest``: its SHA-256 in hex."""

    name: str
    reason: str
    digest: str
    payload: bytes
    told: tuple[Told, ...]


GreetingOf: TypeAlias = Callable[[GuildId], m.GuildCameUp | None]
"""What a guild was told when it came; None while it is not there."""
Reader: TypeAlias = Callable[[object, Heard], tuple[Told, ...]]


class Translator:
    """Reads dispatches.

    Args:
        greeting_of: GUILD_UPDATE comes for every change; news is only what the guild's greeting
            says otherwise: a vanity URL, or members approved by hand, that was not so before.
    """

    def __init__(self, greeting_of: GreetingOf) -> None:
        self._greeting_of = greeting_of
        self._readers: Mapping[str, Reader] = {
            "GUILD_CREATE": _guild_there,
            "GUILD_UPDATE": self._guild_changed,
            "GUILD_DELETE": _guild_gone,
            "GUILD_MEMBER_ADD": _joined,
            "GUILD_MEMBER_UPDATE": _updated,
            "GUILD_MEMBER_REMOVE": _left,
            "INVITE_CREATE": _invite_born,
            "INVITE_DELETE": _invite_died,
            "CHANNEL_DELETE": _channel_died,
            "GUILD_AUDIT_LOG_ENTRY_CREATE": _audit_entry,
        }

    def names(self) -> Iterable[str]:
        """The dispatches that are read."""
        return self._readers

    def translate(self, name: str, payload: object, heard: Heard) -> tuple[Told, ...] | Unreadable:
        """What a dispatch means; nothing for one that is no concern of ours. Never raises."""
        reader = self._readers.get(name)
        if reader is None:
            return ()
        try:
            return reader(payload, heard)
        except msgspec.ValidationError as error:
            return unreadable(name, payload, heard, f"unreadable: {error}")

    def _guild_changed(self, payload: object, heard: Heard) -> tuple[Told, ...]:
        guild = p.decode(payload, p.GuildThere)
        known, now = self._greeting_of(guild.id), _greeting(guild, heard)
        if known is None or (known.vanity, known.approval) == (now.vanity, now.approval):
            return ()
        return _one(guild.id, now)


def unreadable(name: str, payload: object, heard: Heard, reason: str) -> Unreadable:
    """A dispatch that was not understood, with what can still be read of it."""
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(canonical).hexdigest()
    about, joined = _glimpse(payload, p.AboutUser), _glimpse(payload, p.Joined)
    note = m.NoteUnreadable(
        cause=heard.cause("members"),
        session=heard.session,
        name=name,
        digest=digest,
        reason=reason,
        at_us=heard.arrived_us,
        user=about.user.id if about else None,
        joined_at_us=p.micros(joined.joined_at) if joined else 0,
        lost_us=heard.since_us,
    )
    guild = _guild_of(name, payload)
    told = (Told(guild=guild, message=note),) if guild else ()
    return Unreadable(name=name, reason=reason, digest=digest, payload=canonical, told=told)


def _guild_there(payload: object, heard: Heard) -> tuple[Told, ...]:
    guild = p.decode(payload, p.GuildThere)
    if guild.unavailable:
        return ()
    return _one(guild.id, _greeting(guild, heard))


def _greeting(guild: p.GuildThere, heard: Heard) -> m.GuildCameUp:
    return m.GuildCameUp(
        session=heard.session,
        at_us=heard.arrived_us,
        lost_us=heard.lost_us,
        replayed=heard.replayed,
        vanity=guild.vanity_url_code is not None,
        approval=BY_HAND in guild.features,
    )


def _guild_gone(payload: object, heard: Heard) -> tuple[Told, ...]:
    guild = p.decode(payload, p.GuildGone)
    if guild.unavailable:
        return _one(guild.id, m.GuildWentAway(at_us=heard.arrived_us, lost_us=heard.since_us))
    return _one(guild.id, m.RemoveGuild(at_us=heard.arrived_us))


def _joined(payload: object, heard: Heard) -> tuple[Told, ...]:
    event = p.decode(payload, p.MemberEvent)
    if event.joined_at is None and not event.flags & GUEST_FLAG:
        raise msgspec.ValidationError("joined_at is missing of somebody who is no guest")
    join = _as_join(event, heard)
    return _one(event.guild_id, join) if join else ()


def _updated(payload: object, heard: Heard) -> tuple[Told, ...]:
    event = p.decode(payload, p.MemberEvent)
    join = _as_join(event, heard)
    return _one(event.guild_id, m.NoteMember(join=join)) if join else ()


def _as_join(event: p.MemberEvent, heard: Heard) -> m.RecordJoin | None:
    """None for a guest who never joined."""
    if event.joined_at is None:
        return None
    return m.RecordJoin(
        cause=heard.cause("members"),
        session=heard.session,
        user=event.user.id,
        joined_at_us=p.micros(event.joined_at),
        arrived_us=heard.arrived_us,
        bot=event.user.bot,
        flags=event.flags,
        roles=event.roles,
    )


def _left(payload: object, heard: Heard) -> tuple[Told, ...]:
    event = p.decode(payload, p.MemberGone)
    cause = heard.cause("members")
    leave = m.RecordLeave(cause=cause, user=event.user.id, arrived_us=heard.arrived_us, replayed=heard.replayed)
    return _one(event.guild_id, leave)


def _invite_born(payload: object, heard: Heard) -> tuple[Told, ...]:
    invite = p.decode(payload, p.InviteBorn)
    if invite.guild_id is None or is_guest(invite):
        return ()
    born = m.NoteInviteBorn(cause=heard.cause("rest"), invite=newborn(invite), arrived_us=heard.arrived_us)
    return _one(invite.guild_id, born)


def _invite_died(payload: object, heard: Heard) -> tuple[Told, ...]:
    invite = p.decode(payload, p.InviteGone)
    if invite.guild_id is None:
        return ()
    died = m.NoteInviteDied(
        cause=heard.cause("rest"), code=invite.code, arrived_us=heard.arrived_us, replayed=heard.replayed
    )
    return _one(invite.guild_id, died)


def _channel_died(payload: object, heard: Heard) -> tuple[Told, ...]:
    channel = p.decode(payload, p.ChannelGone)
    if channel.guild_id is None:
        return ()
    died = m.NoteChannelDied(
        cause=heard.cause("rest"), channel=channel.id, arrived_us=heard.arrived_us, replayed=heard.replayed
    )
    return _one(channel.guild_id, died)


def _audit_entry(payload: object, heard: Heard) -> tuple[Told, ...]:
    """A live entry does not say whether who made an invite is a bot, so it names nobody: reading the log does."""
    action = p.decode(payload, p.AuditKind).action_type
    if action not in frozenset(Action):
        return ()
    event = p.decode(payload, p.AuditEvent)
    entries = (entry_of(event, Action(action)),)
    note = m.NoteLogged(
        cause=heard.cause("rest"),
        deletions=deletions_in(entries),
        creations=tuple(msgspec.structs.replace(each, by=None) for each in creations_in(entries)),
        bots=bots_in(entries),
        arrived_us=heard.arrived_us,
    )
    return _one(event.guild_id, note)


def _one(guild: GuildId, message: m.Message) -> tuple[Told, ...]:
    return (Told(guild=guild, message=message),)


def _guild_of(name: str, payload: object) -> GuildId | None:
    """The guild a dispatch is about: ``guild_id``, or the ``id`` of the guild's own events."""
    if (part := _glimpse(payload, p.InGuild)) is not None:
        return part.guild_id
    whole = _glimpse(payload, p.OfGuild) if name in GUILD_EVENTS else None
    return whole.id if whole else None


def _glimpse(payload: object, kind: type[T]) -> T | None:
    """That part of the payload, if it is there."""
    try:
        return p.decode(payload, kind)
    except msgspec.ValidationError:
        return None
