"""What a Discord world consists of: plain records, ids as ints, times in microseconds since 1970.

Nothing here emits events or checks permissions: `world` does. Uses of an invite are kept as moments, so the
counters of any past moment can be told (a lagging invite list is the list as it was).
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Final

VANITY: Final = "VANITY"
"""The `via` of a join by the guild's vanity URL."""
NI: Final = "NI"
"""The truth's word for a join by no invite (discovery, OAuth, a lobby, ...)."""


class Permission(IntFlag):
    NONE = 0
    CREATE_INSTANT_INVITE = 1 << 0
    KICK_MEMBERS = 1 << 1
    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    VIEW_AUDIT_LOG = 1 << 7
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    EMBED_LINKS = 1 << 14
    READ_MESSAGE_HISTORY = 1 << 16
    MANAGE_ROLES = 1 << 28
    USE_APPLICATION_COMMANDS = 1 << 31


ALL_PERMISSIONS: Final = Permission((1 << 50) - 1)
EVERYONE: Final = (
    Permission.CREATE_INSTANT_INVITE
    | Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.READ_MESSAGE_HISTORY
    | Permission.USE_APPLICATION_COMMANDS
)


class MemberFlag(IntFlag):
    NONE = 0
    DID_REJOIN = 1 << 0
    IS_GUEST = 1 << 4


class InviteFlag(IntFlag):
    NONE = 0
    GUEST = 1 << 0


class AuditAction(IntEnum):
    MEMBER_KICK = 20
    BOT_ADD = 28
    INVITE_CREATE = 40
    INVITE_DELETE = 42


class JoinSource(IntEnum):
    """`join_source_type` of members-search."""

    UNSPECIFIED = 0
    BOT = 1
    INTEGRATION = 2
    DISCOVERY = 3
    HUB = 4
    INVITE = 5
    VANITY = 6
    MANUAL_APPROVAL = 7
    LOBBY = 8


@dataclass(slots=True, kw_only=True)
class User:
    id: int
    name: str
    bot: bool = False
    deleted: bool = False


@dataclass(slots=True, kw_only=True)
class Role:
    id: int
    name: str
    permissions: Permission
    position: int = 1
    managed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Overwrite:
    """What a role, or one member, may and may not do in a channel."""

    allow: Permission
    deny: Permission
    member: bool


NO_OVERWRITE: Final = Overwrite(allow=Permission.NONE, deny=Permission.NONE, member=False)


@dataclass(slots=True, kw_only=True)
class Channel:
    id: int
    name: str
    position: int = 0
    overwrites: dict[int, Overwrite] = field(default_factory=dict)


class JobState(IntEnum):
    """Of the reading of a list of target users."""

    PROCESSING = 1
    COMPLETED = 2
    FAILED = 3


@dataclass(slots=True, kw_only=True)
class TargetJob:
    """The reading of a list of target users; it is in force when that is COMPLETED."""

    users: frozenset[int]
    created_at_us: int
    state: JobState
    completed_at_us: int | None = None


@dataclass(slots=True, kw_only=True)
class Invite:
    """`targets`: who alone may accept it; None: anybody. `role_ids`: given to who accepts it."""

    code: str
    channel: Channel
    inviter: User | None
    created_at_us: int
    max_uses: int = 0
    max_age_s: int = 0
    temporary: bool = False
    flags: InviteFlag = InviteFlag.NONE
    base_uses: int = 0
    used_at_us: list[int] = field(default_factory=list)
    gone_at_us: int | None = None
    role_ids: tuple[int, ...] = ()
    targets: frozenset[int] | None = None
    job: TargetJob | None = None

    @property
    def uses(self) -> int:
        return self.base_uses + len(self.used_at_us)

    @property
    def expires_at_us(self) -> int | None:
        return self.created_at_us + self.max_age_s * 1_000_000 if self.max_age_s else None

    @property
    def used_up(self) -> bool:
        return 0 < self.max_uses <= self.uses

    def uses_at(self, at_us: int) -> int:
        return self.base_uses + bisect_right(self.used_at_us, at_us)

    def alive_at(self, at_us: int) -> bool:
        ends = [end for end in (self.gone_at_us, self.expires_at_us) if end is not None]
        return self.created_at_us <= at_us and all(at_us < end for end in ends)


@dataclass(slots=True, kw_only=True)
class Vanity:
    code: str | None = None
    base_uses: int = 0
    used_at_us: list[int] = field(default_factory=list)

    @property
    def uses(self) -> int:
        return self.base_uses + len(self.used_at_us)

    def uses_at(self, at_us: int) -> int:
        return self.base_uses + bisect_right(self.used_at_us, at_us)


@dataclass(slots=True, kw_only=True)
class Member:
    user: User
    joined_at_us: int
    roles: list[int] = field(default_factory=list)
    flags: MemberFlag = MemberFlag.NONE
    pending: bool = False
    source: JoinSource = JoinSource.UNSPECIFIED
    code: str | None = None
    inviter: User | None = None
    nick: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A line of the audit log, kept for 45 days. `invite`: the entry is about it, with its counter as it was."""

    id: int
    action: AuditAction
    by: User | None
    target_id: int | None
    made_at_us: int
    invite: Invite | None = None
    reason: str | None = None

    @property
    def code(self) -> str | None:
        return self.invite.code if self.invite else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """Who waits to be let in. The invite's counter has risen already."""

    user: User
    via: str | None
    invite: Invite | None
    code: str | None
    applied_at_us: int


@dataclass(slots=True, kw_only=True)
class Guild:
    id: int
    name: str
    owner: User
    features: list[str]
    everyone: Role
    staff_role: Role
    bot_role: Role
    channels: list[Channel]
    vanity: Vanity = field(default_factory=Vanity)
    roles: dict[int, Role] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    invites: list[Invite] = field(default_factory=list)
    by_code: dict[str, Invite] = field(default_factory=dict)
    audit: list[AuditEntry] = field(default_factory=list)
    past: dict[int, Member] = field(default_factory=dict)
    """The last membership of each who left."""
    applicants: dict[int, Applicant] = field(default_factory=dict)
    available: bool = True
    has_bot: bool = True
    has_system_channel: bool = True

    @property
    def channel(self) -> Channel:
        """The first text channel."""
        return self.channels[0]

    @property
    def system_channel(self) -> Channel | None:
        """Where Discord greets newcomers: the first text channel, unless switched off."""
        return self.channels[0] if self.has_system_channel and self.channels else None

    def permissions_in(self, user: User, channel: Channel) -> Permission:
        """As Discord computes them: @everyone's overwrite, those of the roles together, then the member's own."""
        base = self.permissions(user)
        if base == ALL_PERMISSIONS or not channel.overwrites:
            return base if Permission.VIEW_CHANNEL in base else Permission.NONE
        base = _overwritten(base, [channel.overwrites.get(self.id, NO_OVERWRITE)])
        roles = self.members[user.id].roles if user.id in self.members else []
        base = _overwritten(base, [channel.overwrites.get(role_id, NO_OVERWRITE) for role_id in roles])
        base = _overwritten(base, [channel.overwrites.get(user.id, NO_OVERWRITE)])
        return base if Permission.VIEW_CHANNEL in base else Permission.NONE

    def permissions(self, user: User) -> Permission:
        """What `user` may do; all for the owner and administrators, nothing for who is no member."""
        member = self.members.get(user.id)
        if user.id == self.owner.id:
            return ALL_PERMISSIONS
        if member is None:
            return Permission.NONE
        granted = self.everyone.permissions
        for role_id in member.roles:
            granted |= self.roles[role_id].permissions
        return ALL_PERMISSIONS if Permission.ADMINISTRATOR in granted else granted


def _overwritten(base: Permission, overwrites: list[Overwrite]) -> Permission:
    """Denials first, then what is allowed."""
    for overwrite in overwrites:
        base &= ~overwrite.deny
    for overwrite in overwrites:
        base |= overwrite.allow
    return base


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """The truth about one join, for scoring verdicts."""

    guild_id: int
    user_id: int
    joined_at: str
    joined_at_us: int
    via: str
    way: JoinSource
    inviter_id: int | None
    invite_created_at_us: int | None
    bot: bool
    rejoin: bool
    connected: bool
    applied_at_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    guild_id: int
    user_id: int
    joined_at_us: int
    left_at_us: int
    kicked: bool
