"""What a guild actor answers an ask with, as facts: commands put them in words, ``reports.py`` makes long ones."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from ledger.ids import ChannelId, InviteCode, UserId
from ledger.phases import Phase
from ledger.records import Settings
from ledger.state import Assignment, Period


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
