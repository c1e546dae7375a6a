"""What is known of one guild: everything that must survive, and nothing that a life of the actor makes up anew.

``GuildState`` has one owner, its actor; only ``ledger/evolve.py`` changes it. It holds ids, never names.
The *desk* is the part on which joins are worked out: the recent gaps between samples and the joins that may lie in
them. A checkpoint is a list of pages of JSON: page 0 the state without members, then members, at most
``MEMBERS_PER_PAGE`` a page.
"""

from bisect import bisect_right
from collections import Counter as Count
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Self

import msgspec

from ledger.ids import ChannelId, GuildId, InteractionId, InviteCode, RoleId, SessionId, UserId, tombstone
from ledger.records import Counter, CreationLogged, Report, Settings, Status, Vanity

MEMBERS_PER_PAGE: Final = 4096
LEFT_UNKNOWN: Final = -1
"""``Period.left_us`` of a membership that ended while nobody looked."""
OPEN: Final = frozenset({Status.CANDIDATES, Status.LIKELY, Status.CONFLICT})
"""Statuses that wait for a person."""
MOMENT_US: Final = 1_000
"""The gateway tells to the microsecond when somebody joined and an invite was made, REST to the millisecond."""
MAY_WAIT: Final = OPEN | {Status.REPORTED}
"""Who is reported waits only where that credits nobody: ``Period.is_case``."""


class Period(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One membership of a user, from a join to a leave.

    ``opened_us``: the joined_at it began with; ``aliases``: other joined_at of the same membership;
    ``left_us``: 0 = open, -1 = ended at an unknown time; ``counted``: a join of ours, not somebody who was there
    before; ``verdict_seq``: the record of the verdict in force, 0 = none; ``verdicts``: how many there were;
    ``credited``: who holds the credit for this join now; ``listed``: a list showed it, before any event told of it;
    ``report``: what the second witness said; ``vip``: they are VIP now; ``vip_since_us``: when they first were, 0 =
    never; ``vip_credited``: who holds the credit for that now.
    """

    opened_us: int
    arrived_us: int
    counted: bool = True
    rejoin: bool = False
    bot: bool = False
    left_us: int = 0
    aliases: tuple[int, ...] = ()
    status: Status = Status.PENDING
    code: InviteCode | None = None
    inviter: UserId | None = None
    staff: UserId | None = None
    candidates: tuple[InviteCode, ...] = ()
    reason: str = ""
    verdict_seq: int = 0
    verdicts: int = 0
    credited: UserId | None = None
    listed: bool = False
    report: Report | None = None
    vip: bool = False
    vip_since_us: int = 0
    vip_credited: UserId | None = None

    def is_open(self) -> bool:
        return self.left_us == 0

    def began_at(self, joined_at_us: int) -> bool:
        """Whether this joined_at is one of this membership's."""
        return is_same_moment(self.opened_us, joined_at_us) or any(
            is_same_moment(at_us, joined_at_us) for at_us in self.aliases
        )

    def is_case(self) -> bool:
        """Whether it is a join that waits for a person: open, or one that the owner does not let a report credit."""
        uncredited = self.status is Status.REPORTED and self.staff and not self.credited and not self.rejoin
        return self.counted and (self.status in OPEN or bool(uncredited))


class Roll(dict[UserId, tuple[Period, ...]]):
    """All memberships of all people, by the name that they stand under; and what would else mean to walk them all.

    ``here``: open memberships; ``credited``: joins by who is credited for them; ``cases``: who has one that waits for
    a person. They follow from the memberships and stand in no checkpoint. It is changed by ``roll[user] = …`` and
    ``strike`` only, which keep them.
    """

    __slots__ = ("_fresh", "_ids", "cases", "credited", "here")

    def __init__(self, held: Mapping[UserId, tuple[Period, ...]] | None = None) -> None:
        super().__init__()
        self.here = 0
        self.credited: Count[UserId] = Count()
        self.cases: set[UserId] = set()
        self._ids: list[int] = []
        self._fresh: list[UserId] = []
        for user, periods in (held or {}).items():
            self[user] = periods

    def __setitem__(self, user: UserId, periods: tuple[Period, ...]) -> None:
        """Most records come by here, so it is written to be quick."""
        here, was_case, is_case = self.here, False, False
        before = self.get(user)
        if before is None:
            self._fresh.append(user)
        else:
            for each in before:
                if each.left_us == 0:
                    here -= 1
                was_case = was_case or (each.status in MAY_WAIT and each.is_case())
                if each.credited is not None:
                    self.credited[each.credited] -= 1
        for each in periods:
            if each.left_us == 0:
                here += 1
            is_case = is_case or (each.status in MAY_WAIT and each.is_case())
            if each.credited is not None:
                self.credited[each.credited] += 1
        self.here = here
        if is_case is not was_case:
            (self.cases.add if is_case else self.cases.remove)(user)
        dict.__setitem__(self, user, periods)  # pyright: ignore[reportUnknownMemberType] -- quicker than super()

    def __copy__(self) -> Self:
        copied = type(self)()
        copied.update(self)
        copied.here, copied.credited, copied.cases = self.here, self.credited.copy(), self.cases.copy()
        copied._fresh = list(self)  # noqa: SLF001 -- another one of us
        return copied

    def strike(self, user: UserId) -> tuple[Period, ...]:
        """Takes somebody out, and gives their memberships."""
        self[user], periods = (), self.get(user, ())
        del self[user]
        self._ids, self._fresh = [], list(self)
        return periods

    def between(self, low: int, high: int | None) -> Iterator[UserId]:
        """People with low < id ≤ high (None = no end), by rising id; who was forgotten has none."""
        if self._fresh:
            self._ids += map(int, self._fresh)
            self._ids.sort()  # runs that are in order already cost little
            self._fresh = []
        end = None if high is None else bisect_right(self._ids, high)
        for number in self._ids[bisect_right(self._ids, max(low, 0)) : end]:
            yield UserId(str(number))


class Assignment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """From ``since_us`` on a code stands for ``staff``, as ``by`` said. ``version`` counts those of the guild."""

    version: int
    staff: UserId
    since_us: int
    by: UserId | None = None


class Bound(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A sample as the border of two gaps: it shows every use made before ``requested_us``."""

    number: int
    requested_us: int
    answered_us: int
    session: SessionId


class Death(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An invite was seen to go: when we heard of it, and how ("deleted" is also said of a used-up invite)."""

    arrived_us: int
    how: str


class Birth(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An invite that was made since the last sample. Kept by ``identity``: a code can be born twice in a gap."""

    invite: Counter
    arrived_us: int


def identity(invite: "Counter | GapSource") -> str:
    """What tells an invite from another one of the same code."""
    return identity_of(invite.code, invite.created_at_us)


def identity_of(code: InviteCode, created_at_us: int) -> str:
    """The same of an invite that was created then."""
    return f"{code}/{created_at_us // MOMENT_US}"


def is_same_moment(one_us: int, other_us: int) -> bool:
    """Whether Discord may have told one time of its own in these two ways."""
    return abs(one_us - other_us) < MOMENT_US


class GapSource(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A source with uses that lie, or may lie, in one gap.

    ``uses``: proven (``exact``) or at most (-1 = without limit); ``left``: uses a vanished limited invite had left,
    if it may just have been used up, else -1; ``dead_us``: joins later than this cannot have used it, 0 = alive;
    ``anywhere``: its uses may also lie in earlier gaps; ``why``: the class by name, for the evidence.
    """

    code: InviteCode
    created_at_us: int
    exact: bool
    uses: int
    why: str
    left: int = -1
    dead_us: int = 0
    inviter: UserId | None = None
    inviter_is_bot: bool = False
    roles: tuple[RoleId, ...] = ()
    targets: tuple[UserId, ...] = ()
    anywhere: bool = False
    channel: ChannelId | None = None


class Gap(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The time between two samples. ``broken``: why continuity does not hold, empty where it does."""

    opened: Bound
    closed: Bound
    broken: tuple[str, ...]
    sources: tuple[GapSource, ...]

    @property
    def number(self) -> int:
        """A gap has the number of the sample that closed it."""
        return self.closed.number


class DeskJoin(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A join, or the repeated event of one (``optional``), that is being worked out.

    ``opened_us`` names the membership; ``limits``: reasons why nothing better than likely can be said;
    ``roles_told``: the join's own event has told its ``roles``, so the member joined with these and no others.
    """

    user: UserId
    opened_us: int
    joined_at_us: int
    arrived_us: int
    optional: bool = False
    roles: tuple[RoleId, ...] = ()
    limits: tuple[str, ...] = ()
    roles_told: bool = False


class Carried(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Uses of a guild that approves by hand, seen at ``seen_us``: a join may claim them much later."""

    source: GapSource
    seen_us: int


class Unheard(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A join of which the second witness has not spoken. ``due_us``: too young before that to be found."""

    user: UserId
    opened_us: int
    due_us: int


class Sweep(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far those who were there before we counted were asked of, by rising joined_at; ``done``: to the end."""

    upto_us: int = 0
    upto: UserId = UserId("0")
    done: bool = False


class Posted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The message that announces a join, and the verdict (by its number in the membership) that it shows."""

    channel: ChannelId
    message: str
    verdict: int


class GuildState(msgspec.Struct, kw_only=True):
    """Everything durable that is known of a guild, as of the record ``seq``.

    ``broken``: why continuity does not hold since the baseline; ``broken_us``: the newest time of that, else 0;
    ``approval``: members were approved by hand when the baseline was taken.
    ``unclaimed``: uses by code that no join explains; ``unclaimed_lately``: those of windows that may be worked out
    again, by the number of the last sample. ``logged``: invites that only the audit log has told of, which the next
    sample should show. ``deletions``: when the audit log says that an invite was deleted;
    ``unread``: what has vanished, which bot has come, or which join has no use, that the audit log was not read for:
    from when, and until when, (0, 0) = nothing. ``carried``: uses seen earlier that a join may still claim.
    ``pooled``: the second witness has contradicted a certain result here. ``unheard``: by the key of their join.
    ``outbox``: memberships to be announced, by the key of the join. ``settled``: somebody has changed the settings,
    perhaps back to what they had been.

    ``forgotten``: people who were forgotten, and their tombstones' numbers; their memberships of before stand in
    ``members`` under the tombstone. ``forgot_seq``: the newest record that forgot anything: checkpoints of before it
    know too much. ``era``: how often the guild was forgotten whole; joins before ``ours_from_us`` belong to no era.
    """

    guild: GuildId
    seq: int = 0
    counting_since_us: int = 0
    lanes: dict[str, tuple[SessionId, int]] = {}
    interactions: dict[InteractionId, int] = {}
    counters: dict[InviteCode, Counter] = {}
    vanity: Vanity | None = None
    baseline: Bound | None = None
    tombstones: dict[InviteCode, Counter] = {}
    births: dict[str, Birth] = {}
    deaths: dict[InviteCode, Death] = {}
    logged: dict[str, CreationLogged] = {}
    broken: tuple[str, ...] = ()
    broken_us: int = 0
    approval: bool = False
    gaps: tuple[Gap, ...] = ()
    unsolved: int = 0
    desk: dict[str, DeskJoin] = {}
    assignments: dict[InviteCode, tuple[Assignment, ...]] = {}
    assigned: int = 0
    unclaimed: dict[InviteCode, int] = {}
    unclaimed_lately: dict[int, dict[InviteCode, int]] = {}
    breaks: int = 0
    settings: Settings = Settings()
    settled: bool = False
    carried: tuple[Carried, ...] = ()
    deletions: dict[InviteCode, int] = {}
    unread: tuple[int, int] = (0, 0)
    pooled: bool = False
    unheard: dict[str, Unheard] = {}
    sweep: Sweep = Sweep()
    labels: dict[InviteCode, str] = {}
    targets: dict[str, tuple[UserId, ...]] = {}
    outbox: dict[str, tuple[UserId, int]] = {}
    posted: dict[str, Posted] = {}
    members: Roll = msgspec.field(default_factory=Roll)
    forgotten: dict[UserId, int] = {}
    forgot_seq: int = 0
    era: int = 0
    ours_from_us: int = 0

    def periods_of(self, user: UserId) -> tuple[Period, ...]:
        """All memberships of a user, oldest first, also those of before they were forgotten."""
        now = self.members.get(user, ())
        return (*self.members.get(self.tombstone_of(user), ()), *now) if user in self.forgotten else now

    def current(self, user: UserId) -> Period | None:
        """The user's newest membership, open or ended."""
        periods = self.periods_of(user)
        return periods[-1] if periods else None

    def membership(self, user: UserId, opened_us: int) -> Period | None:
        """The membership of the user that began with this joined_at."""
        for each in reversed(self.periods_of(user)):
            if is_same_moment(each.opened_us, opened_us):
                return each
        return None

    def is_known_join(self, user: UserId, joined_at_us: int) -> bool:
        """Whether this joined_at is one of a membership of the user, or of a time that was forgotten whole."""
        known = any(period.began_at(joined_at_us) for period in self.periods_of(user))
        return known or joined_at_us < self.ours_from_us

    def tombstone_of(self, user: UserId) -> UserId:
        """What stands for the user in what was recorded before they were forgotten; who never was: themselves."""
        number = self.forgotten.get(user)
        return user if number is None else tombstone(number)

    def name_of(self, user: UserId) -> UserId:
        """How new records name a person: by their tombstone from when they were forgotten until they join again."""
        return user if user in self.members else self.tombstone_of(user)

    def name_at(self, user: UserId, at_us: int) -> UserId:
        """How new records name a person in what happened then: who was forgotten has to have joined again before."""
        back = any(period.opened_us <= at_us for period in self.members.get(user, ()))
        return user if back else self.tombstone_of(user)

    def holder_of(self, user: UserId, opened_us: int) -> UserId:
        """The name that a membership of the user stands under."""
        mine = any(is_same_moment(period.opened_us, opened_us) for period in self.members.get(user, ()))
        return user if mine else self.tombstone_of(user)

    def open_joins(self) -> Iterator[DeskJoin]:
        """Joins on the desk that have no verdict yet."""
        for join in self.desk.values():
            period = self.membership(join.user, join.opened_us)
            if not join.optional and period is not None and period.status is Status.PENDING:
                yield join

    def assignment_at(self, code: InviteCode, at_us: int) -> Assignment | None:
        """The assignment of a code that was in force at a time."""
        valid = [each for each in self.assignments.get(code, ()) if each.since_us <= at_us]
        return valid[-1] if valid else None


_core_encoder: Final = msgspec.json.Encoder()


def _empty_roll(wanted: type, held: object) -> Roll:
    """Page 0 holds no members."""
    assert wanted is Roll, f"a {wanted} in a checkpoint"
    assert not held, "members on page 0"
    return Roll()


_core_decoder: Final = msgspec.json.Decoder(GuildState, dec_hook=_empty_roll)
_page_decoder: Final = msgspec.json.Decoder(dict[UserId, tuple[Period, ...]])


def pages_of(state: GuildState) -> Iterator[bytes]:
    """The state as pages. Pull one, let others run, pull the next: the members are copied before the first."""
    members = tuple(state.members.items())
    yield _core_encoder.encode(msgspec.structs.replace(state, members=Roll()))
    for start in range(0, len(members), MEMBERS_PER_PAGE):
        yield _core_encoder.encode(dict(members[start : start + MEMBERS_PER_PAGE]))


def from_pages(pages: Sequence[bytes]) -> GuildState:
    """The state whose pages these are (``read_pages`` says what is raised)."""
    (*_, state) = read_pages(pages)
    return state


def read_pages(pages: Sequence[bytes]) -> Iterator[GuildState]:
    """The state as it grows with the pages, whole at the end. Pull, let others run, pull again.

    Raises:
        msgspec.MsgspecError: when a page is not what ``pages_of`` writes.
    """
    state = _core_decoder.decode(pages[0])
    yield state
    for page in pages[1:]:
        held = _page_decoder.decode(page)
        yield state
        for user, periods in held.items():
            state.members[user] = periods
        yield state
