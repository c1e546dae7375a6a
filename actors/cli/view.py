"""A guild's state as people and tools outside may see it: no id of anybody who was forgotten. Pure."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from actors.cli.history import JoinLine, shown_as, shown_joined_ms
from actors.cli.times import shown
from actors.gateway.wording import count
from ledger.ids import GuildId, InviteCode, UserId
from ledger.state import GuildState


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """An invite as the newest sample showed it."""

    code: InviteCode
    uses: int
    inviter: UserId | None


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """For whom a code stands, and since when (milliseconds since 1970)."""

    code: InviteCode
    staff: UserId
    since_ms: int


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The newest record of a guild in a history: when it was recorded, and the digest of its chain (hex)."""

    guild: GuildId
    seq: int
    gsn: int
    at_ms: int
    digest: str


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A guild. ``here``: members who are there; ``joins``: as ``export`` prints them, in the order of their users;
    ``waiting``: joins that are not worked out yet; ``broken``: why continuity does not hold, empty where it does.
    """

    place: Place
    counting_since_ms: int
    here: int
    joins: tuple[JoinLine, ...]
    credits: dict[UserId, int]
    invites: tuple[Invite, ...]
    assigned: tuple[Assigned, ...]
    waiting: int
    broken: tuple[str, ...]


def view_of(state: GuildState, place: Place) -> View:
    """What there is to see."""
    joins = tuple(_joins(state))
    return View(
        place=place,
        counting_since_ms=state.counting_since_us // 1_000,
        here=sum(periods[-1].is_open() for periods in state.members.values()),
        joins=joins,
        credits=dict(Counter(join.credited for join in joins if join.credited is not None).most_common()),
        invites=tuple(
            Invite(code=each.code, uses=each.uses, inviter=each.inviter and _named(state, each.inviter))
            for each in state.counters.values()
        ),
        assigned=tuple(
            Assigned(code=code, staff=_named(state, history[-1].staff), since_ms=history[-1].since_us // 1_000)
            for code, history in state.assignments.items()
        ),
        waiting=sum(1 for _ in state.open_joins()),
        broken=state.broken,
    )


def lines_of(view: View) -> Iterator[str]:
    """The same for a person to read."""
    place = view.place
    yield f"guild {place.guild}, as of record {place.seq:,} (gsn {place.gsn:,}) of {shown(place.at_ms)}"
    since = f", counted since {shown(view.counting_since_ms)}" if view.counting_since_ms else ""
    yield f"  members: {view.here:,} here; {count(len(view.joins), 'join')}{since}"
    statuses = Counter(join.status.value for join in view.joins)
    yield f"  joins: {', '.join(f'{number:,} {status}' for status, number in statuses.most_common()) or 'none'}"
    yield f"  credits: {', '.join(f'{staff} {number:,}' for staff, number in view.credits.items()) or 'none'}"
    yield f"  invites: {', '.join(f'{each.code} {each.uses:,}' for each in view.invites) or 'none'}"
    yield f"  assigned: {', '.join(f'{each.code} to {each.staff}' for each in view.assigned) or 'none'}"
    yield f"  continuity: {', '.join(view.broken) or 'unbroken'}; {count(view.waiting, 'join')} not worked out yet"
    yield f"  digest: {place.digest}"


def _joins(state: GuildState) -> Iterator[JoinLine]:
    for user, periods in state.members.items():
        for number, period in enumerate(periods, start=1):
            if period.counted:
                yield JoinLine(
                    guild=state.guild,
                    user=shown_as(user),
                    joined_at_ms=shown_joined_ms(user, period.opened_us),
                    period=number,
                    status=period.status,
                    code=period.code,
                    inviter=period.inviter and shown_as(period.inviter),
                    staff=period.staff and shown_as(period.staff),
                    candidates=period.candidates,
                    credited=period.credited and shown_as(period.credited),
                )


def _named(state: GuildState, user: UserId) -> UserId:
    """Who was forgotten and has not come back goes by their tombstone."""
    return shown_as(state.name_of(user))
