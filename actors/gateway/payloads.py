"""The parts of Discord's JSON that are used, as types. What is not named here is not looked at.

Rules: an id is a decimal string; a time is ISO 8601 with a zone and becomes microseconds since the epoch, exactly;
a counter is a whole number ≥ 0. Whatever does not fit is a ``msgspec.ValidationError``, never a guess.
What the parts mean is ``translate``'s and ``counters``' business.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from ledger.ids import ChannelId, GuildId, InviteCode, RoleId, UserId

_DIGITS: Final = Meta(pattern=r"\A(?:[0-9]{1,18}|[1-8][0-9]{18}|9[01][0-9]{17})\Z")
"""A snowflake: below 2**63, as SQL's integers are (and Discord's ids until the year 2084)."""
_TEXT: Final = Meta(pattern=r"\A[^\s\ud800-\udfff]{1,100}\Z")  # half a surrogate pair cannot be written down

Guild: TypeAlias = Annotated[GuildId, _DIGITS]
User: TypeAlias = Annotated[UserId, _DIGITS]
Role: TypeAlias = Annotated[RoleId, _DIGITS]
Channel: TypeAlias = Annotated[ChannelId, _DIGITS]
Code: TypeAlias = Annotated[InviteCode, _TEXT]
Time: TypeAlias = Annotated[datetime, Meta(tz=True)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_A_DAY: Final = 86_400


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all parts; unknown fields are ignored."""


class Person(_Part, frozen=True, kw_only=True):
    """A user object."""

    id: User
    bot: bool = False


class Named(_Part, frozen=True, kw_only=True):
    """A user object, for the name that is shown: ``global_name`` where the user chose one."""

    id: User
    username: str
    global_name: str | None = None

    def shown(self) -> str:
        return self.global_name or self.username


class NamedMember(_Part, frozen=True, kw_only=True):
    """A member object, for the name that is shown here: ``nick`` where there is one."""

    user: Named
    nick: str | None = None

    def shown(self) -> str:
        return self.nick or self.user.shown()


class Place(_Part, frozen=True, kw_only=True):
    """A channel object, a role's or a message's: only its id."""

    id: Channel


class Sent(_Part, frozen=True, kw_only=True):
    """A message that stands in a channel."""

    id: str
    content: str = ""


class Member(_Part, frozen=True, kw_only=True):
    """A row of the member list. ``joined_at`` null: a guest."""

    user: Person
    joined_at: Time | None = None
    flags: Count = 0
    roles: tuple[Role, ...] = ()


class MemberEvent(Member, frozen=True, kw_only=True):
    """GUILD_MEMBER_ADD and GUILD_MEMBER_UPDATE."""

    guild_id: Guild


class MemberGone(_Part, frozen=True, kw_only=True):
    """GUILD_MEMBER_REMOVE."""

    guild_id: Guild
    user: Person


class GuildThere(_Part, frozen=True, kw_only=True):
    """GUILD_CREATE and GUILD_UPDATE."""

    id: Guild
    unavailable: bool = False
    vanity_url_code: str | None = None
    features: tuple[str, ...] = ()


class GuildGone(_Part, frozen=True, kw_only=True):
    """GUILD_DELETE; without ``unavailable`` the bot was removed."""

    id: Guild
    unavailable: bool = False


class InviteBorn(_Part, frozen=True, kw_only=True):
    """INVITE_CREATE. No ``guild_id``: of a group, not of a guild. ``max_age`` in seconds, 0 = for ever."""

    code: Code
    created_at: Time
    guild_id: Guild | None = None
    channel_id: Channel | None = None
    inviter: Person | None = None
    max_age: Count = 0
    max_uses: Count = 0
    expires_at: Time | None = None
    flags: Count = 0
    role_ids: tuple[Role, ...] = ()


class InviteGone(_Part, frozen=True, kw_only=True):
    """INVITE_DELETE."""

    code: Code
    guild_id: Guild | None = None


class ChannelGone(_Part, frozen=True, kw_only=True):
    """CHANNEL_DELETE."""

    id: Channel
    guild_id: Guild | None = None


class GivenRole(_Part, frozen=True, kw_only=True):
    """A role object, of which only the id matters."""

    id: Role


class InviteRow(_Part, frozen=True, kw_only=True):
    """A row of the invite list. ``uses`` and ``created_at`` are left out for who lacks Manage Server."""

    code: Code
    uses: Count | None = None
    created_at: Time | None = None
    channel: Place | None = None
    inviter: Person | None = None
    max_age: Count = 0
    max_uses: Count = 0
    expires_at: Time | None = None
    flags: Count = 0
    temporary: bool = False
    roles: tuple[GivenRole, ...] = ()

    @property
    def role_ids(self) -> tuple[RoleId, ...]:
        """By the name that INVITE_CREATE has for them."""
        return tuple(role.id for role in self.roles)


class AuditChange(_Part, frozen=True, kw_only=True):
    """What an action changed; of which form a value is depends on the key."""

    key: str
    old_value: object = None
    new_value: object = None


class AuditRow(_Part, frozen=True, kw_only=True):
    """An entry of the audit log. ``target_id`` null: of an invite; ``user_id`` null: Discord does not say."""

    id: User
    action_type: Count
    user_id: User | None = None
    target_id: str | None = None
    changes: tuple[AuditChange, ...] = ()


class AuditKind(_Part, frozen=True, kw_only=True):
    """GUILD_AUDIT_LOG_ENTRY_CREATE, of which most are no concern of ours, whatever they hold."""

    action_type: Count


class AuditEvent(AuditRow, frozen=True, kw_only=True):
    """GUILD_AUDIT_LOG_ENTRY_CREATE of an action that is read."""

    guild_id: Guild


class AuditPage(_Part, frozen=True, kw_only=True):
    """GET audit-logs. ``users``: whoever its entries name."""

    audit_log_entries: tuple[AuditRow, ...]
    users: tuple[Person, ...] = ()


class SearchRow(_Part, frozen=True, kw_only=True):
    """A row of members-search. What tells the way must be there: a change of names would read as "by no invite"."""

    member: Member
    source_invite_code: Code | None
    join_source_type: Count
    inviter_id: User | None = None


class SearchAnswer(_Part, frozen=True, kw_only=True):
    """POST members-search: 200 with guild and members, or 202 with a code and, perhaps, when to ask again."""

    guild_id: Guild | None = None
    members: tuple[SearchRow, ...] | None = None
    code: Count = 0
    retry_after: float | str = ""


class VanityAnswer(_Part, frozen=True, kw_only=True):
    """GET vanity-url. ``code`` null: none, or Discord's glitch."""

    code: Annotated[str, _TEXT] | None = None
    uses: Count = 0


class Ready(_Part, frozen=True, kw_only=True):
    """READY: the guilds that will come."""

    guilds: tuple[GuildGone, ...] = ()


# What may still be read of a payload that does not decode as a whole


class Identity(_Part, frozen=True, kw_only=True):
    id: User


class AboutUser(_Part, frozen=True, kw_only=True):
    user: Identity


class InGuild(_Part, frozen=True, kw_only=True):
    guild_id: Guild


class OfGuild(_Part, frozen=True, kw_only=True):
    id: Guild


class Joined(_Part, frozen=True, kw_only=True):
    joined_at: Time


def decode(payload: object, kind: type[T]) -> T:
    """The payload as that type.

    Raises:
        msgspec.ValidationError: when it does not fit.
    """
    try:
        return msgspec.convert(payload, kind)
    except UnicodeError as error:  # half a surrogate pair, which JSON allows
        raise msgspec.ValidationError(str(error)) from error


def micros(moment: datetime) -> int:
    """Microseconds since the epoch, without the rounding of floats."""
    since = moment - _EPOCH
    return (since.days * _SECONDS_A_DAY + since.seconds) * 1_000_000 + since.microseconds
