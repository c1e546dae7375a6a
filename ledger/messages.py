"""What a guild actor is told and asked (imperatives), what it wants done (effects), and what it answers.

Messages carry the times at which things were heard; the pure part has no clock. Lanes are the runtime's business.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from ledger.ids import ChannelId, InteractionId, InviteCode, RoleId, SessionId, UserId
from ledger.phases import Phase
from ledger.records import Counter, Draft, GatewayCause, InternalCause, MemberForgotten, Record, Report, Settings
from ledger.samples import Sample
from ledger.state import Assignment, Period


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
    """GUILD_MEMBER_REMOVE."""

    cause: GatewayCause
    user: UserId
    arrived_us: int


class NoteInviteBorn(_Message, frozen=True):
    """INVITE_CREATE."""

    cause: GatewayCause
    invite: Counter
    arrived_us: int


class NoteInviteDied(_Message, frozen=True):
    """INVITE_DELETE, or one of the invites of a deleted channel (several of one dispatch: the cause is internal)."""

    cause: GatewayCause | InternalCause
    code: InviteCode
    arrived_us: int
    how: Literal["deleted", "channel"] = "deleted"


class DeletedInvite(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Entry 42 of the audit log; ``at_us`` by Discord's clock."""

    code: InviteCode
    at_us: int
    by: UserId | None = None


class NoteDeletion(_Message, frozen=True):
    """GUILD_AUDIT_LOG_ENTRY_CREATE with action 42."""

    cause: GatewayCause
    deletion: DeletedInvite
    arrived_us: int


class NoteUnreadable(_Message, frozen=True):
    """An event that could not be decoded or handled; ``digest``: SHA-256 of the payload in quarantine/.

    ``joined_at_us``: of the join that could not be handled, 0 where there was none to be read.
    """

    cause: GatewayCause | InternalCause
    session: SessionId
    name: str
    digest: str
    reason: str
    at_us: int
    user: UserId | None = None
    joined_at_us: int = 0


class GuildCameUp(_Message, frozen=True):
    """GUILD_CREATE, or the actor's own start while the guild is there.

    ``vanity``: it has a vanity URL; ``approval``: members are approved by hand (its feature
    MEMBER_VERIFICATION_MANUAL_APPROVAL).
    """

    session: SessionId
    at_us: int
    vanity: bool = False
    approval: bool = False


class GuildWentAway(_Message, frozen=True):
    """GUILD_DELETE with ``unavailable``: an outage."""

    at_us: int


LEFT: Final = "left"
"""The trouble of a guild that the bot was removed from."""


class RemoveGuild(_Message, frozen=True):
    """GUILD_DELETE: the bot was removed."""

    at_us: int


class NotePermissions(_Message, frozen=True):
    """The bot's permissions may have changed."""

    at_us: int


class NoteGap(_Message, frozen=True):
    """A message was dropped because its lane was full; the member list and a fresh sample make it good.

    ``greeting``: that the guild is there, in which session, since this may be what was dropped.
    """

    at_us: int
    greeting: GuildCameUp | None = None


# Answers from REST


class SampleRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a sample is fetched; it comes back with the answer.

    ``number``: the request's, within this life; ``round``: how often it was repeated because uses were missing,
    ``missing_since_us`` from when, ``missing``: how many; ``waited``: already repeated because
    there were too many uses; ``stale``: how many samples in a row showed a lower counter, ``stale_since_us`` from
    when; ``failures`` in a row.
    """

    number: int
    round: int = 0
    missing_since_us: int = 0
    missing: int = 0
    waited: bool = False
    stale: int = 0
    stale_since_us: int = 0
    failures: int = 0


NO_REQUEST: Final = SampleRequest(number=0)


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


class AddedBot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Entry 28 of the audit log."""

    bot: UserId
    by: UserId


class CreatedInvite(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the audit log says of an invite's creation, at ``at_us`` by Discord's clock.

    ``max_uses``: 0 = unlimited; ``max_age_s``: 0 = for ever; ``by_bot``: whoever made it is one.
    """

    code: InviteCode
    at_us: int
    max_uses: int = 0
    max_age_s: int = 0
    by: UserId | None = None
    by_bot: bool = False


class AuditArrived(_Message, frozen=True):
    """The audit log, whole from the ``since_us`` that was asked for up to ``requested_us``, by request ``number``."""

    number: int
    requested_us: int
    deletions: tuple[DeletedInvite, ...] = ()
    creations: tuple[CreatedInvite, ...] = ()
    bots: tuple[AddedBot, ...] = ()


class AuditFailed(_Message, frozen=True):
    """It could not be read. ``forbidden``: not until permissions change."""

    number: int
    reason: str
    forbidden: bool
    at_us: int


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

    ``label``: the campaign it is for; ``targets``: the only people who can use it, nobody = everybody.
    """

    interaction: InteractionId
    code: InviteCode
    staff: UserId
    by: UserId
    at_us: int
    label: str = ""
    targets: tuple[UserId, ...] = ()


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
    """/settings, /vip_role, /log_channel: of ``settings`` the ``fields`` named hold from now on."""

    interaction: InteractionId
    settings: Settings
    fields: tuple[str, ...]
    by: UserId


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
    | NoteUnreadable
    | GuildCameUp
    | GuildWentAway
    | RemoveGuild
    | NotePermissions
    | NoteGap
    | SampleArrived
    | SampleFailed
    | ReviewMembers
    | NoteDeletion
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


# Effects


class FetchSample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Fetch all counters ``after_s`` seconds from now; answer with ``SampleArrived`` or ``SampleFailed``."""

    request: SampleRequest
    session: SessionId
    after_s: float


class ListMembers(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Read the member list; answer with ``ReviewMembers``, a message a page, by rising ids."""

    session: SessionId


class Welcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Say in the guild that the bot is new there and counts from ``counting_since_us``; no answer, one try."""

    counting_since_us: int


class ReadAudit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Read the audit log (42 and 28) back to ``since_us``, not before ``due_us``; answer with ``AuditArrived`` or
    ``AuditFailed``.
    """

    number: int
    since_us: int
    due_us: int


class AskWitness(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Search these members (at most 10), not before ``due_us``; answer ``WitnessAnswered`` or ``WitnessFailed``."""

    number: int
    users: tuple[UserId, ...]
    due_us: int


class SweepMembers(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Search the next (at most 1,000) members by rising joined_at behind a place; answers as ``AskWitness``."""

    number: int
    after_us: int
    after: UserId
    due_us: int


class AnnounceJoin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Show a join in the log channel, not before ``due_us``: a new message, or the edit of ``message``.

    ``total``: how many joins its staff member is credited with now; ``labels``: those of the join's codes that have
    one. Answer ``Announced`` or ``AnnouncingFailed``.
    """

    number: int
    user: UserId
    period: Period
    channel: ChannelId
    message: str
    template: Mapping[str, str]
    young_days: int
    total: int
    due_us: int
    labels: Mapping[InviteCode, str] = {}


Effect: TypeAlias = FetchSample | ListMembers | Welcome
"""What a decision hands over."""
Request: TypeAlias = ReadAudit | AskWitness | SweepMembers | AnnounceJoin
"""What an errand asks of Discord (``ledger/errands.py``)."""


# Answers


class Done(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Handled."""


class Assigned(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The assignment in force after an ``AssignInvite``, and the one ``before`` it (None: the code's first).

    ``news``: False where the code stood for that person already, so that nothing was written.
    """

    code: InviteCode
    label: str = ""
    assignment: Assignment
    before: Assignment | None = None
    news: bool = True


class WindowReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a sample asked for by a person did: joins worked out by it, joins still open, and why if any."""

    worked_out: int
    open: int
    note: str


class MemberReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All memberships of a user, oldest first; empty for somebody never seen.

    ``forgotten``: everybody of the guild who was forgotten and who older records may still name; ``labels``: those
    of the codes in ``periods`` that have one.
    """

    user: UserId
    periods: tuple[Period, ...]
    forgotten: frozenset[UserId] = frozenset()
    labels: Mapping[InviteCode, str] = {}


class Forgot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was forgotten. ``known`` False: there was nothing (left) to forget, and nothing was written.

    ``memberships``: how many lost their person, or went with the guild.
    """

    known: bool
    memberships: int = 0


class Salvaged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many of the records were news, and how many joins among them."""

    facts: int
    joins: int


class OpenWindow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The joins that are not worked out yet, each by its key; ``fetching``: the next sample has been asked for."""

    joins: frozenset[str]
    fetching: bool
    trouble: str


class Decided(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A join as it stands after a person decided, and as it stood ``before``."""

    user: UserId
    period: Period
    before: Period


class SettingsReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The settings in force; ``before``: those before a change."""

    settings: Settings
    before: Settings | None = None


class OpenCase(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A join that waits for a person (candidates, likely, conflict)."""

    user: UserId
    period: Period


class ReviewReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All open cases, the newest first."""

    cases: tuple[OpenCase, ...]


class CodeReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An invite, or a code that was assigned: who stands for it. ``listed``: people can use it now.

    ``inviter``: the human who made it, None = a bot, a widget, or no longer known; ``bot``: the bot, if it was one;
    ``made_us``: when, 0 = no longer known.
    """

    code: InviteCode
    listed: bool
    uses: int
    inviter: UserId | None
    bot: UserId | None = None
    assignments: tuple[Assignment, ...]
    label: str = ""
    targets: tuple[UserId, ...] = ()
    made_us: int = 0

    def holder_at(self, at_us: int) -> UserId | None:
        """For whom a join at that time counts: the assignment in force, else the inviter."""
        valid = [each.staff for each in self.assignments if each.since_us <= at_us]
        return valid[-1] if valid else self.inviter


class CodesReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Every code that is known: listed, gone and remembered, or assigned."""

    codes: tuple[CodeReport, ...]


class GuildReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A guild in numbers, for /debug_invites. Times in microseconds, 0 = never.

    ``open_since_us``: when the oldest open join was heard of; ``broken``: why continuity does not hold now;
    ``trouble``: why the counters cannot be read, "" = they can; ``unheard``: joins of which the second witness has
    not spoken; ``labels``: those of ``unclaimed``; ``bots``: invites that bots made and that stand for nobody;
    ``witness_trouble``, ``audit_trouble``: why it, and the audit log, cannot be asked now;
    ``unshown``: joins that wait to be shown in the log channel, or shown anew; ``showing_trouble``: why not now.
    """

    phase: Phase
    seq: int
    counting_since_us: int
    baseline_us: int
    counters: int
    open_joins: int
    open_since_us: int = 0
    unclaimed: Mapping[InviteCode, int]
    labels: Mapping[InviteCode, str] = {}
    bots: tuple[CodeReport, ...] = ()
    tombstones: int
    breaks: int
    broken: tuple[str, ...] = ()
    trouble: str = ""
    members: int
    reconciled: bool
    unheard: int = 0
    witness_trouble: str = ""
    audit_trouble: str = ""
    log_channel: ChannelId | None = None
    unshown: int = 0
    showing_trouble: str = ""


Answer: TypeAlias = (
    Done
    | Assigned
    | WindowReport
    | OpenWindow
    | MemberReport
    | CodesReport
    | GuildReport
    | Forgot
    | Salvaged
    | Decided
    | SettingsReport
    | ReviewReport
)


class Errand(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that Discord is asked beside the counters, one request at a time.

    ``number``: the request under way, 0 = none; ``trouble``: why the last try failed, "" = it did not; ``failures``
    in a row; ``from_us``: not again before.
    """

    number: int = 0
    trouble: str = ""
    failures: int = 0
    from_us: int = 0


NO_ERRAND: Final = Errand()


class Presence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is true of this life of the actor only, and made up anew by the next one.

    ``session`` "": no gateway session yet; ``reconciled``: a whole member list was compared since the session began,
    and since anything was missed in it; ``list_us``: the list (``started_us``) whose first page came since then, 0 =
    none; ``left``: until it is compared, who was heard to leave and has not come back, and when it was heard;
    ``request``: the sample request that is under way, number 0 = none; ``asks``: requests so far;
    ``trouble``: why the phase is not live; ``audit``, ``witness``, ``sweeping``, ``announcing``: the errands
    (``ledger/errands.py``); ``asked_for``: the joins that ``witness`` is of, by their keys; ``absent``: how often the
    second witness did not know a join, by its key.
    """

    phase: Phase = Phase.COLD
    session: SessionId = SessionId("")
    vanity: bool = False
    approval: bool = False
    reconciled: bool = False
    list_us: int = 0
    left: Mapping[UserId, int] = {}
    request: SampleRequest = NO_REQUEST
    asks: int = 0
    trouble: str = ""
    audit: Errand = NO_ERRAND
    witness: Errand = NO_ERRAND
    sweeping: Errand = NO_ERRAND
    announcing: Errand = NO_ERRAND
    asked_for: tuple[str, ...] = ()
    absent: Mapping[str, int] = {}

    @property
    def asked(self) -> int:
        """The number of the request that is under way, 0 = none."""
        return self.request.number


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What follows from a message: records to write, then effects to hand over, then the answer to an ask."""

    presence: Presence
    drafts: tuple[Draft, ...] = ()
    effects: tuple[Effect, ...] = ()
    answer: Answer = Done()
