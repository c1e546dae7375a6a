"""What a guild actor is told and asked: imperatives.

Messages carry the times at which things were heard; the pure part has no clock. Lanes are the runtime's business.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from ledger.effects import SampleRequest
from ledger.ids import ChannelId, InteractionId, InviteCode, RoleId, SessionId, UserId
from ledger.records import Counter, GatewayCause, InternalCause, MemberForgotten, Record, Report, Settings
from ledger.samples import Sample


class _Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all messages."""


# The gateway's dispatches


class RecordJoin(_Message, frozen=True):
    """GUILD_MEMBER_ADD, or a GUILD_MEMBER_UPDATE of somebody who may have joined unseen.

    ``flags``: Discord's member flags (1 = has rejoined, 16 = guest). A row of the member list becomes one, too.
    """

    cause: GatewayCause | InternalCause
    session: SessionId
    user: UserId
    joined_at_us: int
    arrived_us: int
    bot: bool = False
    flags: int = 0
    roles: tuple[RoleId, ...] = ()


class NoteMember(_Message, frozen=True):
    """GUILD_MEMBER_UPDATE: the member is there. News only if the join was never seen."""

    join: RecordJoin


class RecordLeave(_Message, frozen=True):
    """GUILD_MEMBER_REMOVE. ``replayed``: by a RESUME, so that nobody knows how long before."""

    cause: GatewayCause
    user: UserId
    arrived_us: int
    replayed: bool = False


class NoteInviteBorn(_Message, frozen=True):
    """INVITE_CREATE."""

    cause: GatewayCause
    invite: Counter
    arrived_us: int


class NoteInviteDied(_Message, frozen=True):
    """INVITE_DELETE. ``replayed``: by a RESUME, so that nobody knows how long before."""

    cause: GatewayCause
    code: InviteCode
    arrived_us: int
    replayed: bool = False


class NoteChannelDied(_Message, frozen=True):
    """CHANNEL_DELETE: the invites that led there are gone, and Discord need not say so of each."""

    cause: GatewayCause
    channel: ChannelId
    arrived_us: int
    replayed: bool = False


class DeletedInvite(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Entry 42 of the audit log; ``at_us`` by Discord's clock."""

    code: InviteCode
    at_us: int
    by: UserId | None = None


class AddedBot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Entry 28 of the audit log."""

    bot: UserId
    by: UserId


class CreatedInvite(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Entry 40 of the audit log, at ``at_us`` by Discord's clock.

    ``max_uses``: 0 = unlimited; ``max_age_s``: 0 = for ever; ``by``: who made it, None = not known; ``by_bot``: they
    are one.
    """

    code: InviteCode
    at_us: int
    max_uses: int = 0
    max_age_s: int = 0
    by: UserId | None = None
    by_bot: bool = False


class _Logged(_Message, frozen=True):
    """What entries of the audit log say."""

    deletions: tuple[DeletedInvite, ...] = ()
    creations: tuple[CreatedInvite, ...] = ()
    bots: tuple[AddedBot, ...] = ()


class NoteLogged(_Logged, frozen=True, kw_only=True):
    """GUILD_AUDIT_LOG_ENTRY_CREATE: one entry, told live."""

    cause: GatewayCause
    arrived_us: int


class NoteUnreadable(_Message, frozen=True):
    """An event that could not be decoded or handled; ``digest``: SHA-256 of the payload in quarantine/.

    ``joined_at_us``: of the join that could not be handled, 0 where there was none to be read. ``lost_us``: since
    when it may have happened, told by a RESUME or before the guild had come again; 0 = just now.
    """

    cause: GatewayCause | InternalCause
    session: SessionId
    name: str
    digest: str
    reason: str
    at_us: int
    user: UserId | None = None
    joined_at_us: int = 0
    lost_us: int = 0


class GuildCameUp(_Message, frozen=True):
    """GUILD_CREATE, or the actor's own start while the guild is there.

    ``vanity``: it has a vanity URL; ``approval``: members are approved by hand (its feature
    MEMBER_VERIFICATION_MANUAL_APPROVAL); ``lost_us``: when the session before was surely there for the last time,
    0 = nobody knows, as at a start; ``replayed``: by a RESUME, so that it may be of any time since then.
    """

    session: SessionId
    at_us: int
    lost_us: int = 0
    replayed: bool = False
    vanity: bool = False
    approval: bool = False


class GuildWentAway(_Message, frozen=True):
    """GUILD_DELETE with ``unavailable``: an outage. ``lost_us``: since when it may be, by a RESUME; 0 = just now."""

    at_us: int
    lost_us: int = 0


class RemoveGuild(_Message, frozen=True):
    """GUILD_DELETE: the bot was removed."""

    at_us: int


class NotePermissions(_Message, frozen=True):
    """The bot's permissions may have changed."""

    at_us: int


class NoteGap(_Message, frozen=True):
    """A message was dropped because its lane was full; the member list and a fresh sample make it good.

    ``since_us``: when what was dropped may have happened, 0 = just now; ``greeting``: that the guild is there, in
    which session, since this may be what was dropped.
    """

    at_us: int
    since_us: int = 0
    greeting: GuildCameUp | None = None


# Answers from REST


class SampleArrived(_Message, frozen=True):
    """A complete sample. ``request`` None: a person asked for it (/refresh_invite_cache)."""

    sample: Sample
    request: SampleRequest | None


class SampleFailed(_Message, frozen=True):
    """No complete sample. ``forbidden``: the counters may not be read, so asking again soon is no use."""

    request: SampleRequest
    reason: str
    forbidden: bool
    at_us: int


class ListedMember(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row of the member list."""

    user: UserId
    joined_at_us: int
    bot: bool = False
    flags: int = 0
    roles: tuple[RoleId, ...] = ()


class ReviewMembers(_Message, frozen=True):
    """A page of the member list: all members with ``after`` < id ≤ ``upto`` ("" = no end), as numbers.

    ``started_us``: before the first page was asked for.
    """

    session: SessionId
    members: tuple[ListedMember, ...]
    after: UserId
    upto: UserId | Literal[""]
    started_us: int
    at_us: int


class AuditArrived(_Logged, frozen=True, kw_only=True):
    """The audit log, by request ``number``: which invites were made or deleted, whole from ``since_us`` to
    ``requested_us``.
    """

    number: int
    requested_us: int
    since_us: int = 0


class AuditFailed(_Message, frozen=True):
    """It could not be read. ``forbidden``: not until permissions change; ``too_long``: nor so far back for now."""

    number: int
    reason: str
    forbidden: bool
    at_us: int
    too_long: bool = False


class SearchedMember(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row of Discord's member search."""

    user: UserId
    joined_at_us: int
    report: Report


class WitnessAnswered(_Message, frozen=True):
    """Rows of the member search. ``number``: the request's; ``swept``: it was a page of a ``SweepMembers``;
    ``done``: the last one.
    """

    number: int
    rows: tuple[SearchedMember, ...]
    at_us: int
    swept: bool = False
    done: bool = False


class WitnessFailed(_Message, frozen=True):
    """No answer that can be used. ``again_s``: not before so many seconds, 0 = as we think right."""

    number: int
    reason: str
    at_us: int
    again_s: float = 0.0


class Announced(_Message, frozen=True):
    """The log channel shows a join. ``message`` "": it cannot be shown there, and trying again is no use."""

    number: int
    user: UserId
    opened_us: int
    verdict: int
    channel: ChannelId
    message: str
    at_us: int


class AnnouncingFailed(_Message, frozen=True):
    """Not this time."""

    number: int
    reason: str
    at_us: int


# People's commands


class AssignInvite(_Message, frozen=True):
    """/setup_staff_invite, /invite: from now on the code stands for the staff member.

    ``label``: the campaign it is for; ``targets``: the only people who can use it, nobody = everybody; ``made``: the
    invite, where we made it just now: INVITE_CREATE may come before this, later, or never.
    """

    interaction: InteractionId
    code: InviteCode
    staff: UserId
    by: UserId
    at_us: int
    label: str = ""
    targets: tuple[UserId, ...] = ()
    made: Counter | None = None


class DecideJoin(_Message, frozen=True):
    """/review: a person says whom a join counts for. ``opened_us`` 0: the member's newest membership.

    ``staff`` None: nobody; ``code`` None: the invite stays open; ``why``: in their words.
    """

    interaction: InteractionId
    user: UserId
    opened_us: int
    staff: UserId | None
    code: InviteCode | None
    why: str
    by: UserId


class ChangeSettings(_Message, frozen=True):
    """/settings, /vip_role, /log_channel: what holds from now on; all that is not named stays as it is by then.

    Of ``settings`` the ``fields`` named; ``templates`` in place of those of their kinds, "" = our own words again;
    roles that make a VIP from now on (``vips``), or no more (``no_vips``).
    """

    interaction: InteractionId
    by: UserId
    settings: Settings = Settings()
    fields: tuple[str, ...] = ()
    templates: Mapping[str, str] = {}
    vips: tuple[RoleId, ...] = ()
    no_vips: tuple[RoleId, ...] = ()


class ForgetMember(_Message, frozen=True):
    """``inviteledger forget --user``: in this guild the person is a tombstone from now on."""

    user: UserId


class ForgetGuild(_Message, frozen=True):
    """``inviteledger forget --guild``: nothing is known of the guild any more."""

    at_us: int


# What was recorded before, in a branch that lost


class Salvage(_Message, frozen=True):
    """Records (some hundreds) of a branch that lost against this history; ``branch`` names it.

    ``forgotten``: everybody whom the whole branch forgot, by the tombstones that its records name.
    """

    branch: str
    records: tuple[Record, ...]
    forgotten: tuple[MemberForgotten, ...]
    at_us: int


class DescribeGuild(_Message, frozen=True):
    """/debug_invites."""


class DescribeMember(_Message, frozen=True):
    """/who_invited."""

    user: UserId


class DescribeWindow(_Message, frozen=True):
    """/refresh_invite_cache: which joins are open."""


class DescribeSettings(_Message, frozen=True):
    """What the owner has decided."""


class DescribeReview(_Message, frozen=True):
    """/review: the joins that wait for a person."""


class DescribeCodes(_Message, frozen=True):
    """/invites, /leaderboard, /fix_staff_usernames, autocomplete: who stands for which code."""


Message: TypeAlias = (
    RecordJoin
    | NoteMember
    | RecordLeave
    | NoteInviteBorn
    | NoteInviteDied
    | NoteChannelDied
    | NoteUnreadable
    | GuildCameUp
    | GuildWentAway
    | RemoveGuild
    | NotePermissions
    | NoteGap
    | SampleArrived
    | SampleFailed
    | ReviewMembers
    | NoteLogged
    | AuditArrived
    | AuditFailed
    | WitnessAnswered
    | WitnessFailed
    | Announced
    | AnnouncingFailed
    | AssignInvite
    | DecideJoin
    | ChangeSettings
    | ForgetMember
    | ForgetGuild
    | Salvage
    | DescribeGuild
    | DescribeMember
    | DescribeWindow
    | DescribeSettings
    | DescribeReview
    | DescribeCodes
)
