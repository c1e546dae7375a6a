"""Records: the facts of a guild, in the order in which they became durable.

An *event* says what happened (past tense). A *draft* is an event that wants to become durable, with its cause and
its key. A *record* is a draft that the journal has numbered. All are frozen; collections are tuples.

Adding an event takes six steps (CONTRIBUTING.md). A tag, once released, never changes its meaning.
Bytes, checksums and the chain live in ``persistence/frames.py``.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from ledger.ids import ChannelId, GuildId, InteractionId, InviteCode, RoleId, SessionId, UserId


class _Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A value inside an event."""


class _Event(_Value, frozen=True, tag_field="type"):
    """Base of all events; the tag is the event's stable name in every layer."""


# Causes: what made us write this. They are what tells a redelivery from news.


class GatewayCause(_Value, frozen=True, tag_field="by", tag="gateway"):
    """A dispatch: session and number (``s``), and the mailbox lane it came through."""

    session: SessionId
    number: int
    lane: Literal["control", "members", "rest"]


class InteractionCause(_Value, frozen=True, tag_field="by", tag="interaction"):
    """A slash command, by Discord's interaction id."""

    interaction: InteractionId


class InternalCause(_Value, frozen=True, tag_field="by", tag="internal"):
    """Our own doing: an answer from REST, a timer, a recovery."""

    what: str


Cause: TypeAlias = GatewayCause | InteractionCause | InternalCause


# Values


class Counter(_Value, frozen=True):
    """One invite as a sample shows it. Its identity is (code, created_at_us): a code can come back.

    ``max_uses`` 0 = unlimited; ``expires_at_us`` None = never; ``inviter`` None = widget.
    Guest invites (flag 1) are left out where payloads are read: they never bring a member.
    """

    code: InviteCode
    created_at_us: int
    uses: int
    max_uses: int = 0
    expires_at_us: int | None = None
    inviter: UserId | None = None
    inviter_is_bot: bool = False
    channel: ChannelId | None = None
    roles: tuple[RoleId, ...] = ()
    targets: tuple[UserId, ...] = ()


class Vanity(_Value, frozen=True):
    """The guild's vanity URL: its text and how often it was used."""

    code: str
    uses: int


class Report(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What Discord's member search says of a join: the second witness.

    ``code``: the invite, or the vanity URL's text; ``way``: Discord's ``join_source_type`` (0 unspecified, 1 bot,
    2 integration, 3 discovery, 4 hub, 5 invite, 6 vanity, 7 manual approval, 8 lobby); -1 = it never answered.
    """

    way: int
    code: InviteCode | None = None
    inviter: UserId | None = None


class ReportedMember(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the member search says of somebody who was there before we counted, and whom the invite stood for then."""

    user: UserId
    opened_us: int
    report: Report
    staff: UserId | None = None
    assignment: int = 0


class Settings(_Value, frozen=True):
    """What the owner of a guild has decided; the defaults are those of docs/attribution.md.

    ``credit_reported``: joins seen live that only Discord's member search explains are credited by themselves;
    ``credit_backfill``: those of before we counted, too; ``credit_rejoins``, ``credit_self``: who comes back, who
    uses their own invite; ``vip_roles``: gaining any of them is the upgrade; ``vip_once``: credited once for life or
    once a membership; ``young_days``: accounts younger than this at their join are marked, 0 = none;
    ``log_channel``: where joins are announced; ``templates``: the words of it, by kind of join.
    """

    credit_reported: bool = True
    credit_backfill: bool = False
    credit_rejoins: bool = False
    credit_self: bool = False
    vip_roles: tuple[RoleId, ...] = ()
    vip_once: Literal["life", "membership"] = "life"
    young_days: int = 7
    log_channel: ChannelId | None = None
    templates: Mapping[str, str] = {}


class SeededMember(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A member who was there before we began to count."""

    user: UserId
    joined_at_us: int
    rejoin: bool = False


class Status(StrEnum):
    """What a verdict claims; each member's comment says when."""

    CERTAIN = "certain"  # no other source is possible
    CONFIRMED = "confirmed"  # the second witness agrees with the only candidate
    INVITER_CERTAIN = "inviter_certain"  # the code is open, the staff member is not
    REPORTED = "reported"  # Discord's member search says so
    LIKELY = "likely"  # one candidate, but something could not be excluded
    CANDIDATES = "candidates"  # several possible sources
    UNKNOWN = "unknown"  # no source was seen; `reason` says why
    PENDING = "pending"  # not worked out yet
    NON_INVITE = "non_invite"  # joined without an invite (bots)
    DUPLICATE = "duplicate"  # the event of a member who was there already
    CONFLICT = "conflict"  # two witnesses disagree
    MANUAL = "manual"  # a person decided


class Evidence(_Value, frozen=True):
    """Why a verdict says what it says, so that it can be checked later.

    ``joins``: human joins in the window (k); ``uses``: proven uses by code (their sum is X); ``capped``: uses that
    were possible (-1 = without limit); ``excluded``: codes this join cannot have used, with the reason;
    ``sampled_us``: request of the first and answer of the last sample; ``broken``: why continuity did not hold;
    ``assumptions``: P0, P1, P2 of docs/attribution.md.
    """

    joins: int = 0
    uses: Mapping[InviteCode, int] = {}
    capped: Mapping[InviteCode, int] = {}
    excluded: Mapping[InviteCode, str] = {}
    sampled_us: tuple[int, int] = (0, 0)
    broken: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()


# Events


class GuildAdopted(_Event, frozen=True, tag="guild_adopted"):
    """We began to count here. Members who joined before are not joins of ours."""

    counting_since_us: int


class MembersSeeded(_Event, frozen=True, tag="members_seeded"):
    """Members (at most 1,000 a record) who were there when we began to count, or whose join we cannot date.

    ``bots``: those of them that are none: nobody is credited for what they invite.
    """

    members: tuple[SeededMember, ...]
    bots: tuple[UserId, ...] = ()


class JoinRecorded(_Event, frozen=True, tag="join_recorded"):
    """A member joined. ``joined_at_us`` as Discord sent it; ``arrived_us`` when we heard of it.

    ``origin``: "live" = GUILD_MEMBER_ADD; "update" = a GUILD_MEMBER_UPDATE, within a minute of the join, came before
    that; "away" = found in the member list after we were away, or by a later update;
    "unreadable" = the event could not be handled, so nothing can be worked out for it; "salvaged" = recorded before,
    in a branch that lost: it takes its place among the user's memberships by ``joined_at_us``, not behind them.
    ``missed_leave``: the member's open membership is closed by this, at an unknown time.
    ``roles``: those of when we heard of it; only of "live" are they known to be those that the member joined with.
    """

    user: UserId
    joined_at_us: int
    arrived_us: int
    session: SessionId
    origin: Literal["live", "update", "away", "unreadable", "salvaged"] = "live"
    bot: bool = False
    rejoin: bool = False
    missed_leave: bool = False
    roles: tuple[RoleId, ...] = ()


class RepeatRecorded(_Event, frozen=True, tag="repeat_recorded"):
    """A join event of a member who is there already: no join. ``joined_at_us`` becomes an alias.

    ``optional_use``: it may have raised a counter (False within 5 s of the join itself).
    """

    user: UserId
    joined_at_us: int
    arrived_us: int
    session: SessionId
    optional_use: bool


class LeaveRecorded(_Event, frozen=True, tag="leave_recorded"):
    """A member left. ``inferred``: seen by the member list, the time is unknown.

    ``opened_us``: 0 = it ends the open membership; else it adds the time to the end of that one, which was known.
    """

    user: UserId
    arrived_us: int
    inferred: bool = False
    opened_us: int = 0


class InviteCreated(_Event, frozen=True, tag="invite_created"):
    """INVITE_CREATE, or Discord's answer where we made it ourselves: the invite was born with no uses."""

    invite: Counter
    arrived_us: int


class InviteDied(_Event, frozen=True, tag="invite_died"):
    """INVITE_DELETE (also sent for a used-up invite), or its channel was deleted. ``replayed``: a RESUME told it."""

    code: InviteCode
    arrived_us: int
    how: Literal["deleted", "channel"] = "deleted"
    replayed: bool = False


class ContinuityBroken(_Event, frozen=True, tag="continuity_broken"):
    """Something may have been missed since the last sample; nothing in this window is better than likely.

    ``since_us``: nor in any gap that was closed since then, 0 = none: it is told late.
    """

    reason: str
    at_us: int
    since_us: int = 0


class SampleTaken(_Event, frozen=True, tag="sample_taken"):
    """A complete sample became the new baseline, as its difference to the one before.

    ``changed`` holds new and changed counters whole, ``gone`` the codes no longer listed. ``requested_us`` is when
    the first request was sent, ``answered_us`` when the last answer had come. ``number`` counts samples.
    ``approval``: members are approved by hand here, so a use can be counted long before its join.
    """

    number: int
    requested_us: int
    answered_us: int
    session: SessionId
    changed: tuple[Counter, ...] = ()
    gone: tuple[InviteCode, ...] = ()
    vanity: Vanity | None = None
    approval: bool = False


class DeletionLogged(_Event, frozen=True, tag="deletion_logged"):
    """The audit log (entry 42) says that a person deleted an invite, at ``at_us`` by Discord's clock."""

    code: InviteCode
    at_us: int
    arrived_us: int
    by: UserId | None = None


class CreationLogged(_Event, frozen=True, tag="creation_logged"):
    """The audit log (entry 40, at ``at_us``) names an invite that neither the gateway nor a sample has shown.

    ``made_us``: when it was made at the earliest; ``dead_us``: joins later than this cannot have used it, 0 = not
    known; ``max_uses``: 0 = unlimited. All by Discord's clock.
    """

    code: InviteCode
    at_us: int
    made_us: int
    dead_us: int = 0
    max_uses: int = 0
    by: UserId | None = None
    by_bot: bool = False


class AuditRead(_Event, frozen=True, tag="audit_read"):
    """The audit log was read whole from ``since_us`` on (0 = from its beginning), asked for at ``requested_us``.

    Whatever vanished since then, and 5 s before that, without a deletion that was logged was used up (assumption P1).
    """

    requested_us: int
    since_us: int = 0


class WitnessHeard(_Event, frozen=True, tag="witness_heard"):
    """What the second witness says of a join. ``joined_at_us`` of its row, which is the membership's or an alias."""

    user: UserId
    opened_us: int
    report: Report
    at_us: int


class MembersReported(_Event, frozen=True, tag="members_reported"):
    """What the second witness says of members (at most 1,000 a record) who were there before we counted.

    ``upto_us``, ``upto``: the joined_at and the id that its list was read up to, by rising joined_at; ``done``: to
    its end.
    """

    members: tuple[ReportedMember, ...]
    upto_us: int
    upto: UserId
    done: bool = False


class WindowClosed(_Event, frozen=True, tag="window_closed"):
    """The joins of a window were worked out; the totals by code are exact even where persons are not.

    ``tally``: proven uses by code; ``unclaimed``: uses that no seen join explains, by code. ``abandoned``: nothing
    could be read for too long; the joins were called unknown and will not be looked at again. ``again``: the window
    had been closed before, and evidence came later: this tally is the one that holds.
    """

    first_sample: int
    last_sample: int
    joins: int
    tally: Mapping[InviteCode, int] = {}
    unclaimed: Mapping[InviteCode, int] = {}
    reason: str = ""
    abandoned: bool = False
    again: bool = False


class VerdictReached(_Event, frozen=True, tag="verdict_reached"):
    """What is known of one join. Append-only: a later one supersedes, nothing is overwritten.

    ``opened_us``: the joined_at its membership was opened with. ``supersedes``: seq of the verdict before, 0 = none.
    ``assignment``: version of the staff assignment that was in force at the join, 0 = none.
    ``method``: version of the rules (docs/attribution.md). ``by``: who decided, where a person did (``manual``), and
    ``reason`` is what they said.
    """

    user: UserId
    opened_us: int
    status: Status
    code: InviteCode | None = None
    invite_created_at_us: int | None = None
    inviter: UserId | None = None
    staff: UserId | None = None
    assignment: int = 0
    candidates: tuple[InviteCode, ...] = ()
    reason: str = ""
    window: int = 0
    evidence: Evidence = Evidence()
    supersedes: int = 0
    method: int = 1
    by: UserId | None = None


Credit: TypeAlias = Literal["join", "vip"]
"""What is credited: a join, or that the member was made VIP later."""


class CreditGranted(_Event, frozen=True, tag="credit_granted"):
    """A staff member is credited, once for (user, opened_us, kind).

    ``verdict``: which of the membership's verdicts (from 1) it rests on.
    """

    user: UserId
    opened_us: int
    kind: Credit
    staff: UserId
    verdict: int = 0


class CreditReversed(_Event, frozen=True, tag="credit_reversed"):
    """A credit is taken back, because a superseding verdict no longer carries it."""

    user: UserId
    opened_us: int
    kind: Credit
    staff: UserId


class VipChanged(_Event, frozen=True, tag="vip_changed"):
    """A member gained (or lost) the roles that make a VIP here, as we heard at ``at_us``."""

    user: UserId
    opened_us: int
    has: bool
    at_us: int


class SettingsChanged(_Event, frozen=True, tag="settings_changed"):
    """The guild's settings, whole, from now on. What was decided under earlier ones stays."""

    settings: Settings
    by: UserId | None = None


class JoinAnnounced(_Event, frozen=True, tag="join_announced"):
    """The log channel shows a join as of its ``verdict``-th verdict. ``message`` "": it could and will not be."""

    user: UserId
    opened_us: int
    verdict: int
    channel: ChannelId
    message: str


class InviteAssigned(_Event, frozen=True, tag="invite_assigned"):
    """From ``since_us`` on the code stands for this staff member; earlier assignments stay as they were.

    ``salvaged``: recorded before, in a branch that lost: those with a later ``since_us`` still follow it.
    ``label``: the campaign that the invite is for; ``targets``: the only people who can use it, nobody = everybody;
    ``made_us``: when that invite was made, by Discord: a code can come back. 0 = it was not made just now.
    """

    code: InviteCode
    staff: UserId
    since_us: int
    version: int
    by: UserId | None = None
    salvaged: bool = False
    label: str = ""
    targets: tuple[UserId, ...] = ()
    made_us: int = 0


class EventUnreadable(_Event, frozen=True, tag="event_unreadable"):
    """An event could not be read or handled. ``digest``: sha256 of its payload, which lies in quarantine/."""

    name: str
    digest: str
    reason: str
    at_us: int
    user: UserId | None = None


class GuildLeft(_Event, frozen=True, tag="guild_left"):
    """The bot was removed from the guild. What was recorded stays; on return there is no continuity."""

    at_us: int


class MemberForgotten(_Event, frozen=True, tag="member_forgotten"):
    """A person asked to be forgotten. Whatever earlier records say of them is said of a tombstone from now on.

    ``tombstone``: counts the guild's forgotten people, from 1; who is forgotten again keeps theirs. Later records
    name the tombstone (``ids.tombstone``) as well, until the person comes back: by a join, or by an assignment.
    """

    user: UserId
    tombstone: int


class GuildForgotten(_Event, frozen=True, tag="guild_forgotten"):
    """All that earlier records say of the guild counts no longer. Joins before ``until_us`` are never ours again."""

    until_us: int


Event: TypeAlias = (
    GuildAdopted
    | MembersSeeded
    | JoinRecorded
    | RepeatRecorded
    | LeaveRecorded
    | InviteCreated
    | InviteDied
    | ContinuityBroken
    | SampleTaken
    | DeletionLogged
    | CreationLogged
    | AuditRead
    | WitnessHeard
    | MembersReported
    | WindowClosed
    | VerdictReached
    | CreditGranted
    | CreditReversed
    | VipChanged
    | SettingsChanged
    | JoinAnnounced
    | InviteAssigned
    | EventUnreadable
    | GuildLeft
    | MemberForgotten
    | GuildForgotten
)
Forgetting: TypeAlias = MemberForgotten | GuildForgotten
E = TypeVar("E", bound=_Event)


class Draft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event that wants to become durable. ``key`` is unique in its guild (docs/architecture.md)."""

    event: Event
    cause: Cause
    key: str


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A numbered draft.

    ``gsn``: place in the process log, no gaps; ``seq``: place in the guild, from 1, no gaps; ``epoch``: the writer's
    term; ``at_ms``: our clock when it was numbered; ``last``: seq of its append's last record (an append is atomic).
    Digest and checksum belong to the frame, not to the record.
    """

    gsn: int
    guild: GuildId
    seq: int
    epoch: int
    at_ms: int
    cause: Cause
    key: str
    event: Event
    last: int


def join_key(user: UserId, joined_at_us: int) -> str:
    """The key of a join: the same key again is a redelivery, in every phase and from every writer."""
    return f"join/{user}/{joined_at_us}"


PEOPLE: Final = ("user", "inviter", "staff", "by")
"""Fields of events that name a person, wherever they occur."""


def renamed(event: E, name_of: Callable[[UserId], UserId]) -> E:
    """The event with other names for the people in it."""
    people = {field: getattr(event, field, None) for field in PEOPLE}
    changed = {field: name for field, user in people.items() if user and (name := name_of(user)) != user}
    return msgspec.structs.replace(event, **changed) if changed else event
