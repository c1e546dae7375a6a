"""What a guild wants done in Discord: the effects of a decision, and what its errands ask."""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from ledger.ids import ChannelId, InviteCode, SessionId, UserId
from ledger.state import Period


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
    """Read the audit log, not before ``due_us``: who added bots (28) back to ``since_us``, which invites were made or
    deleted (40, 42) back to ``invites_since_us``; answer with ``AuditArrived`` or ``AuditFailed``.
    """

    number: int
    since_us: int
    invites_since_us: int
    due_us: int


class AskWitness(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Search these members (at most 10), not before ``due_us``; answer ``WitnessAnswered`` or ``WitnessFailed``."""

    number: int
    users: tuple[UserId, ...]
    due_us: int


class SweepMembers(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Search the next (at most 500) members by rising joined_at behind a place; answers as ``AskWitness``."""

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
