"""One guild of 100,000 members and 1,000 invites: what a single event costs there, in the ledger alone.

Four fifths were there before the bot counted; the others joined since, three of four credited and one of fifty open.
Each row measures the processor time of one event: whatever walks all members takes milliseconds.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Final

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.decide import decide
from ledger.decision import Decision
from ledger.effects import AnnounceJoin
from ledger.errands import errands
from ledger.evolve import evolve
from ledger.ids import ChannelId, GuildId, InteractionId, InviteCode, RoleId, UserId
from ledger.phases import Phase
from ledger.presence import NO_ERRAND, Errand, Presence
from ledger.samples import Sample
from ledger.state import GuildState, from_pages, pages_of
from tests.bench.figures import Row, Theme
from tests.bench.ground import NOW_US, SESSION, Ground

GUILD: Final = GuildId("1000")
INVITES: Final = 1_000
SEEDED: Final = 80_000
JOINED: Final = 20_000
AT_ONCE: Final = 1_000
"""Members a record, or between two samples."""
A_PAGE: Final = 500
"""Members that the gateway tells of at once, listed or found by the member search."""
STAFF: Final = 50
OPEN_EVERY: Final = 50
UNCREDITED_EVERY: Final = 4
REPEATS: Final = 50
SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
CAUSE: Final = r.InternalCause(what="bench")
VIP: Final = RoleId("7")
COUNTED: Final = NOW_US + JOINED // AT_ONCE * HOUR
"""When the last of them had joined."""


def seeded(n: int) -> UserId:
    """Who was there before; ids and times rise together, as old accounts join first."""
    return UserId(str(10**17 + n * 7))


def joined(n: int) -> UserId:
    """Who came since: accounts of any age."""
    return UserId(str(10**17 + (n * 7_919 % JOINED) * 29 + 3))


def code_of(n: int) -> InviteCode:
    return InviteCode(f"code{n % INVITES:04}")


def counter(n: int, uses: int) -> r.Counter:
    maker = UserId(str(10**17 + n % STAFF * 7))
    return r.Counter(code=code_of(n), created_at_us=NOW_US - HOUR - n, uses=uses, inviter=maker)


def founding() -> Iterator[r.Draft]:
    """Everything that is recorded of the guild, in order."""
    channel = r.Settings(log_channel=ChannelId("5"), vip_roles=(VIP,))
    yield _draft(r.GuildAdopted(counting_since_us=NOW_US), "adopted")
    yield _draft(r.SettingsChanged(settings=channel, by=seeded(0)), "settings")
    yield _draft(_sample(1, NOW_US, dict.fromkeys(range(INVITES), 0)), "sample/1")
    for start in range(0, SEEDED, AT_ONCE):
        members = tuple(r.SeededMember(seeded(n), NOW_US - HOUR - SEEDED + n) for n in range(start, start + AT_ONCE))
        yield _draft(r.MembersSeeded(members=members), f"seeded/{start}")
    for lot in range(JOINED // AT_ONCE):
        yield from _lot(lot)


def _lot(lot: int) -> Iterator[r.Draft]:
    """A thousand joins, the sample after them, their verdicts."""
    ours, at_us = range(lot * AT_ONCE, (lot + 1) * AT_ONCE), NOW_US + lot * HOUR
    for n in ours:
        user, joined_us = joined(n), at_us + n
        event = r.JoinRecorded(user=user, joined_at_us=joined_us, arrived_us=joined_us, session=SESSION)
        yield _draft(event, r.join_key(user, joined_us))
    number = lot + 2
    yield _draft(_sample(number, at_us + 60 * SECOND, dict.fromkeys(range(INVITES), lot + 1)), f"sample/{number}")
    for n in ours:
        yield from _verdict(joined(n), at_us + n, n)
    closed = r.WindowClosed(first_sample=number - 1, last_sample=number, joins=AT_ONCE)
    yield _draft(closed, f"window/{number}")


def _verdict(user: UserId, opened_us: int, n: int) -> Iterator[r.Draft]:
    staff = seeded(n % STAFF)
    is_open = n % OPEN_EVERY == 0
    status = r.Status.CANDIDATES if is_open else r.Status.CERTAIN
    code = None if is_open else code_of(n)
    codes = (code_of(n), code_of(n + 1)) if is_open else (code_of(n),)
    verdict = r.VerdictReached(
        user=user, opened_us=opened_us, status=status, code=code, staff=staff, candidates=codes
    )
    yield _draft(verdict, f"verdict/{user}/1")
    report = r.Report(5, code_of(n), staff)
    heard = r.WitnessHeard(user=user, opened_us=opened_us, report=report, at_us=opened_us)
    yield _draft(heard, f"witness/{user}")
    shown = r.JoinAnnounced(user=user, opened_us=opened_us, verdict=1, channel=ChannelId("5"), message="9")
    yield _draft(shown, f"announced/{user}")
    if n % UNCREDITED_EVERY and not is_open:
        credit = r.CreditGranted(user=user, opened_us=opened_us, kind="join", staff=staff, verdict=1)
        yield _draft(credit, f"credit/{user}/1")


def _sample(number: int, at_us: int, uses: dict[int, int]) -> r.SampleTaken:
    changed = tuple(counter(n, count) for n, count in uses.items())
    return r.SampleTaken(
        number=number, requested_us=at_us, answered_us=at_us + SECOND, session=SESSION, changed=changed
    )


def _draft(event: r.Event, key: str) -> r.Draft:
    return r.Draft(event=event, cause=CAUSE, key=key)


class Large:
    """The guild as values, told one thing after the other."""

    def __init__(self) -> None:
        self.state = GuildState(guild=GUILD)
        self.presence = Presence(phase=Phase.LIVE, session=SESSION, reconciled=True)
        self.now_us = COUNTED
        self._number = 0
        for draft in founding():
            self._evolve((draft,))

    def tell(self, message: m.Message) -> Decision:
        """Decides, evolves, looks for errands: all that an actor does of its own in a turn."""
        decision = decide(self.state, self.presence, message)
        self._evolve(decision.drafts)
        self.presence, _ = errands(self.state, decision.presence)
        return decision

    def _evolve(self, drafts: Sequence[r.Draft]) -> None:
        last = self.state.seq + len(drafts)
        for draft in drafts:
            seq = self.state.seq + 1
            record = r.Record(
                gsn=seq, guild=GUILD, seq=seq, epoch=1, at_ms=0, cause=draft.cause, key=draft.key,
                event=draft.event, last=last,
            )  # fmt: skip
            evolve(self.state, record)

    def cause(self) -> r.GatewayCause:
        self._number += 1
        return r.GatewayCause(session=SESSION, number=self._number, lane="members")

    def join(self, user: UserId) -> m.RecordJoin:
        self.now_us += 10 * SECOND
        return m.RecordJoin(
            cause=self.cause(), session=SESSION, user=user, joined_at_us=self.now_us, arrived_us=self.now_us
        )

    def leave(self, user: UserId) -> m.RecordLeave:
        self.now_us += SECOND
        return m.RecordLeave(cause=self.cause(), user=user, arrived_us=self.now_us)

    def roles(self, user: UserId) -> m.NoteMember:
        self.now_us += SECOND
        join = m.RecordJoin(
            cause=self.cause(),
            session=SESSION,
            user=user,
            joined_at_us=self.state.members[user][-1].opened_us,
            arrived_us=self.now_us,
            roles=(VIP,),
        )
        return m.NoteMember(join=join)

    def sample(self, used: int) -> m.SampleArrived:
        """All invites; one more use of one."""
        self.now_us += 60 * SECOND
        held = self.state.counters
        counters = tuple(
            msgspec.structs.replace(each, uses=each.uses + (code == code_of(used))) for code, each in held.items()
        )
        sample = Sample(
            requested_us=self.now_us, answered_us=self.now_us + SECOND, session=SESSION, counters=counters
        )
        return m.SampleArrived(sample=sample, request=self.presence.request)

    def pages(self, roles: tuple[RoleId, ...] = ()) -> list[m.ReviewMembers]:
        """The member list as it is, page by page."""
        self.now_us += HOUR
        members = [
            m.ListedMember(user=user, joined_at_us=periods[-1].opened_us, roles=roles)
            for user, periods in sorted(self.state.members.items(), key=lambda each: int(each[0]))
            if periods[-1].is_open()
        ]
        lots = [tuple(members[start : start + A_PAGE]) for start in range(0, len(members), A_PAGE)]
        ends = [UserId("0"), *(lot[-1].user for lot in lots)]
        return [
            m.ReviewMembers(
                session=SESSION,
                members=lot,
                after=ends[at],
                upto="" if at + 1 == len(lots) else ends[at + 1],
                started_us=self.now_us,
                at_us=self.now_us + SECOND,
            )
            for at, lot in enumerate(lots)
        ]

    def swept(self, lot: int) -> m.WitnessAnswered:
        """A page of those who were there before, every one of them named."""
        rows = tuple(
            m.SearchedMember(
                user=seeded(n),
                joined_at_us=self.state.members[seeded(n)][-1].opened_us,
                report=r.Report(5, code_of(n), seeded(n % STAFF)),
            )
            for n in range(lot * A_PAGE, (lot + 1) * A_PAGE)
        )
        return m.WitnessAnswered(number=self.presence.sweeping.number, rows=rows, at_us=self.now_us, swept=True)


class Measured:
    """One guild for all rows; made when the first one asks. Each event is one that has not been before."""

    def __init__(self) -> None:
        self._made: Large | None = None
        self._fresh = JOINED
        self._left = 0
        self._lot = 0
        self._all_vip = False

    @property
    def guild(self) -> Large:
        if self._made is None:
            self._made = Large()
        return self._made

    async def join_ms(self) -> float:
        return self._median_ms(self._join)

    async def leave_ms(self) -> float:
        def leave() -> m.Message:
            self._left += 1
            return self.guild.leave(joined(self._left))

        return self._median_ms(leave)

    async def sample_ms(self) -> float:
        def after_a_join() -> m.Message:
            self.guild.tell(self._join())
            return self.guild.sample(self._fresh)

        return self._median_ms(after_a_join)

    async def announce_ms(self) -> float:
        """What is asked beside the counters, with a join to be shown."""
        guild = self.guild
        guild.tell(self._join())
        for _ in range(4):
            guild.tell(guild.sample(self._fresh))
        took_ms: list[float] = []
        for _ in range(REPEATS):
            idle = msgspec.structs.replace(guild.presence, announcing=NO_ERRAND)
            began = time.thread_time()
            _, effects = errands(guild.state, idle)
            took_ms.append((time.thread_time() - began) * 1_000)
            assert any(isinstance(each, AnnounceJoin) for each in effects), "nothing to announce"
        return median(took_ms)

    async def vip_ms(self) -> float:
        def upgraded() -> m.Message:
            self._fresh += 1
            return self.guild.roles(joined(self._fresh % JOINED + 5_000))

        return self._median_ms(upgraded)

    async def page_ms(self) -> float:
        """The slowest page of a list in which nobody is new."""
        return max(self._took_ms(page) for page in self.guild.pages())

    async def vip_page_ms(self) -> float:
        """The slowest page, when another role counts as VIP from now on: everybody has it, or nobody any more."""
        guild = self.guild
        role = RoleId(str(guild.state.seq))
        wanted = msgspec.structs.replace(guild.state.settings, vip_roles=(role,))
        interaction = InteractionId(role)
        self._all_vip = not self._all_vip
        guild.tell(m.ChangeSettings(interaction=interaction, settings=wanted, fields=("vip_roles",), by=seeded(0)))
        return max(self._took_ms(page) for page in guild.pages((role,) if self._all_vip else ()))

    async def sweep_ms(self) -> float:
        """The slowest of some pages of a sweep."""
        guild, took_ms = self.guild, list[float]()
        for _ in range(10):
            guild.presence = msgspec.structs.replace(guild.presence, sweeping=Errand(number=1))
            took_ms.append(self._took_ms(guild.swept(self._lot)))
            self._lot += 1
        return max(took_ms)

    async def review_ms(self) -> float:
        return self._median_ms(m.DescribeReview)

    async def describe_ms(self) -> float:
        return self._median_ms(m.DescribeGuild)

    async def codes_ms(self) -> float:
        return self._median_ms(m.DescribeCodes)

    async def forget_ms(self) -> float:
        return self._took_ms(m.ForgetMember(user=seeded(self._lot + 60_000)))

    async def write_ms(self) -> float:
        began = time.thread_time()
        tuple(pages_of(self.guild.state))
        return (time.thread_time() - began) * 1_000

    async def size_mib(self) -> float:
        return sum(map(len, pages_of(self.guild.state))) / 1_048_576

    async def read_ms(self) -> float:
        pages = tuple(pages_of(self.guild.state))
        began = time.thread_time()
        from_pages(pages)
        return (time.thread_time() - began) * 1_000

    async def resident_mib(self) -> float:
        """What the state takes as it comes back from its checkpoint."""
        pages = tuple(pages_of(self.guild.state))
        gc.collect()
        tracemalloc.start()
        state = from_pages(pages)
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return taken / 1_048_576 if state.members else 0.0

    async def close(self) -> None:
        self._made = None

    def _join(self) -> m.RecordJoin:
        self._fresh += 1
        return self.guild.join(UserId(str(2 * 10**17 + self._fresh)))

    def _median_ms(self, message: Callable[[], m.Message]) -> float:
        return median(self._took_ms(message()) for _ in range(REPEATS))

    def _took_ms(self, message: m.Message) -> float:
        guild = self.guild
        began = time.thread_time()
        guild.tell(message)
        return (time.thread_time() - began) * 1_000


def theme(_ground: Ground) -> Theme:
    it = Measured()
    rows = (
        ("join", "a join: decide, evolve, errands", "ms", it.join_ms, 0.2),
        ("leave", "a leave", "ms", it.leave_ms, 0.2),
        ("sample", "a sample of all invites, with a join to be worked out", "ms", it.sample_ms, 10),
        ("announce", "errands, with a join to be shown in the log channel", "ms", it.announce_ms, 0.2),
        ("vip", "a member gains a VIP role", "ms", it.vip_ms, 0.2),
        ("page", "a page of the member list, nobody new: the slowest", "ms", it.page_ms, 20),
        ("vip_page", "the same, all become VIPs or cease to be: the slowest", "ms", it.vip_page_ms, 20),
        ("sweep", "a page of the sweep, everybody named: the slowest of ten", "ms", it.sweep_ms, 20),
        ("review", "/review: 400 open cases", "ms", it.review_ms, 5),
        ("describe", "/debug_invites", "ms", it.describe_ms, 5),
        ("codes", "all codes, for /staff_report and others", "ms", it.codes_ms, 5),
        ("forget", "a member is forgotten", "ms", it.forget_ms, None),
        ("write", "all pages of a checkpoint", "ms", it.write_ms, None),
        ("size", "a checkpoint", "MiB", it.size_mib, None),
        ("read", "the state from its checkpoint", "ms", it.read_ms, None),
        ("memory", "the state in memory", "MiB", it.resident_mib, None),
    )
    return Theme(
        title="A guild of 100,000 members and 1,000 invites: one event",
        rows=tuple(
            Row(name=f"large/{name}", what=what, unit=unit, ours=ours, wanted=wanted, at_most=True)
            for name, what, unit, ours, wanted in rows
        ),
        close=it.close,
    )
