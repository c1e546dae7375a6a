"""What comes after the counters: audit log, second witness, people, VIPs, announcements; each rule by an example."""

from collections.abc import Iterator
from typing import Literal

import msgspec
import pytest

from ledger import messages as m
from ledger import records as r
from ledger.announcing import MAX_POSTED
from ledger.answers import Decided, MemberReport, ReviewReport
from ledger.decide import MAX_UNSAMPLED, TOO_MANY
from ledger.decision import Decision
from ledger.effects import AnnounceJoin, AskWitness, ListMembers, ReadAudit, Request, SweepMembers
from ledger.errands import errands, is_idle
from ledger.evolve import HEARD_OF_US
from ledger.forgetting import names
from ledger.ids import ChannelId, InteractionId, InviteCode, RoleId, SessionId, UserId
from ledger.phases import Phase
from ledger.presence import NO_ERRAND
from ledger.records import Status, join_key
from ledger.samples import Sample
from ledger.state import Period
from ledger.witness import ABSENT_AGAIN_US
from tests.ledger.lives import GREETING, SECOND, START_US, UNDER_WAY, Life

ANNA, BEN, CARL, STAFF, OTHER, ADMIN = (UserId(str(each)) for each in range(101, 107))
A, B, ONCE = InviteCode("A"), InviteCode("B"), InviteCode("once")
SESSION = SessionId("s1")
VIP, CHANNEL = RoleId("9"), ChannelId("42")
INVITES = {
    A: r.Counter(code=A, created_at_us=1, uses=3, inviter=STAFF),
    B: r.Counter(code=B, created_at_us=1, uses=7, inviter=OTHER),
    ONCE: r.Counter(code=ONCE, created_at_us=1, uses=0, max_uses=1, inviter=STAFF),
}


def us(at_s: float) -> int:
    return START_US + round(at_s * SECOND)


class Guild(Life):
    """A guild with a baseline of all invites at 1 s, and nobody missing in the member list."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.tell(GREETING)
        self.lists(0.5)
        self.counters(1)

    def cause(self, lane: Literal["members", "rest"] = "members") -> r.GatewayCause:
        self.number += 1
        return r.GatewayCause(session=SESSION, number=self.number, lane=lane)

    def lists(self, at_s: float, *members: m.ListedMember) -> None:
        page = m.ReviewMembers(
            session=SESSION, members=members, after=UserId("0"), upto="", started_us=us(at_s), at_us=us(at_s) + 1
        )
        self.tell(page)

    def counters(
        self, at_s: float, gone: InviteCode | None = None, also: tuple[r.Counter, ...] = (), **uses: int
    ) -> None:
        listed = tuple(
            msgspec.structs.replace(each, uses=uses.get(code, each.uses))
            for code, each in INVITES.items()
            if code != gone
        )
        told = (*listed, *also)
        sample = Sample(requested_us=us(at_s), answered_us=us(at_s) + 1, session=SESSION, counters=told)
        self.tell(m.SampleArrived(sample=sample, request=UNDER_WAY))

    def joins(self, user: UserId, at_s: float, *, bot: bool = False, roles: tuple[RoleId, ...] = ()) -> None:
        self.tell(self.event(user, at_s, at_s, roles, bot=bot))

    def updates(self, user: UserId, at_s: float, *roles: RoleId) -> None:
        opened_s = (self.period(user).opened_us - START_US) / SECOND
        self.tell(m.NoteMember(join=self.event(user, opened_s, at_s, roles, bot=False)))

    def leaves(self, user: UserId, at_s: float) -> None:
        self.tell(m.RecordLeave(cause=self.cause(), user=user, arrived_us=us(at_s)))

    def event(
        self, user: UserId, joined_s: float, at_s: float, roles: tuple[RoleId, ...], *, bot: bool
    ) -> m.RecordJoin:
        return m.RecordJoin(
            cause=self.cause(),
            session=SESSION,
            user=user,
            joined_at_us=us(joined_s),
            arrived_us=us(at_s),
            bot=bot,
            roles=roles,
        )

    def reads(
        self,
        at_s: float,
        *deletions: m.DeletedInvite,
        creations: tuple[m.CreatedInvite, ...] = (),
        bots: tuple[m.AddedBot, ...] = (),
    ) -> None:
        number = self.presence.audit.number
        self.tell(
            m.AuditArrived(number=number, requested_us=us(at_s), deletions=deletions, creations=creations, bots=bots)
        )

    def told_live(
        self,
        at_s: float,
        *,
        deletions: tuple[m.DeletedInvite, ...] = (),
        creations: tuple[m.CreatedInvite, ...] = (),
        bots: tuple[m.AddedBot, ...] = (),
    ) -> None:
        cause, arrived_us = self.cause("rest"), us(at_s)
        self.tell(
            m.NoteLogged(cause=cause, deletions=deletions, creations=creations, bots=bots, arrived_us=arrived_us)
        )

    def hears(self, at_s: float, *rows: tuple[UserId, InviteCode | None, int]) -> None:
        searched = tuple(
            m.SearchedMember(user=user, joined_at_us=self.period(user).opened_us, report=r.Report(way, code))
            for user, code, way in rows
        )
        self.tell(m.WitnessAnswered(number=self.presence.witness.number, rows=searched, at_us=us(at_s)))

    def settles(self, **fields: object) -> Decision:
        change = m.ChangeSettings(
            interaction=InteractionId(str(len(self.records))),
            settings=r.Settings(**fields),
            fields=tuple(fields),
            by=ADMIN,
        )
        return self.tell(change)

    def decides(self, user: UserId, staff: UserId | None, code: InviteCode | None = None) -> Decision:
        decision = m.DecideJoin(
            interaction=InteractionId(str(len(self.records))),
            user=user,
            opened_us=0,
            staff=staff,
            code=code,
            why="I saw it",
            by=ADMIN,
        )
        return self.tell(decision)

    def period(self, user: UserId = ANNA) -> Period:
        period = self.state.current(user)
        assert period is not None
        return period

    def said(self, user: UserId = ANNA) -> tuple[Status, str | None, str | None]:
        period = self.period(user)
        return period.status, period.code, period.credited

    def asked(self, kind: type[Request]) -> Iterator[Request]:
        """What would be asked now if nothing were under way."""
        idle = msgspec.structs.replace(
            self.presence, audit=NO_ERRAND, witness=NO_ERRAND, sweeping=NO_ERRAND, announcing=NO_ERRAND
        )
        return (each for each in errands(self.state, idle)[1] if isinstance(each, kind))


@pytest.fixture
def guild() -> Guild:
    return Guild()


def burst(guild: Guild) -> None:
    """Anna and Ben at once, one use of A and one of B."""
    guild.joins(ANNA, 10)
    guild.joins(BEN, 10.1)
    guild.counters(11, A=4, B=8)


def used_up(guild: Guild) -> None:
    """Anna alone, and the one-use invite is gone."""
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s, gone=ONCE)


# The audit log


def test_what_the_audit_log_proves_still_holds_when_the_window_is_solved_again(guild: Guild):
    used_up(guild)
    assert guild.said() == (Status.LIKELY, ONCE, None)
    (asked,) = guild.asked(ReadAudit)
    assert asked.due_us == us(23) + 1
    guild.reads(24)
    assert guild.said() == (Status.CERTAIN, ONCE, STAFF)
    assert not list(guild.asked(ReadAudit))
    guild.tell(guild.event(BEN, 10.5, 24.5, (), bot=False))  # told of late: the window is opened again
    for at_s in (25, 27, 32):
        guild.counters(at_s, gone=ONCE)
    assert {ONCE} < {*guild.period().candidates}, "one use, two joins"
    assert [source.why for gap in guild.state.gaps for source in gap.sources if source.code == ONCE] == ["used_up"]


def test_a_deletion_that_is_told_later_takes_the_proof_back_with_the_credit(guild: Guild):
    used_up(guild)
    guild.reads(24)
    deletion = m.DeletedInvite(code=ONCE, at_us=us(10.5), by=ADMIN)
    cause = r.GatewayCause(session=SESSION, number=1, lane="rest")
    told = m.NoteLogged(cause=cause, deletions=(deletion,), arrived_us=us(30))
    guild.tell(told)
    assert guild.said() == (Status.CANDIDATES, None, None)
    assert [source.why for gap in guild.state.gaps for source in gap.sources if source.code == ONCE] == ["deleted"]
    assert guild.tell(told).drafts == (), "the dispatch came twice"


def test_of_an_invite_that_came_back_an_earlier_deletion_says_nothing(guild: Guild):
    used_up(guild)
    guild.reads(24, m.DeletedInvite(code=ONCE, at_us=0))
    assert guild.said()[0] is Status.CERTAIN


def test_a_log_that_was_asked_for_too_early_or_answers_another_request_proves_nothing(guild: Guild):
    used_up(guild)
    guild.reads(22)
    assert guild.said()[0] is Status.LIKELY
    assert guild.tell(m.AuditArrived(number=0, requested_us=us(60))).drafts == ()
    assert list(guild.asked(ReadAudit)), "it is read again"


HARBOUR = ChannelId("7")


def channel_died(guild: Guild, at_s: float) -> Decision:
    return guild.tell(m.NoteChannelDied(cause=guild.cause("rest"), channel=HARBOUR, arrived_us=us(at_s)))


def into_the_harbour(guild: Guild) -> None:
    """The one-use invite leads to a channel of its own."""
    guild.counters(5, also=(msgspec.structs.replace(INVITES[ONCE], channel=HARBOUR),), gone=ONCE)


@pytest.mark.parametrize("told_s", [10.5, 19, 24.5])
def test_an_invite_whose_channel_was_deleted_is_never_used_up_whenever_that_is_told(guild: Guild, told_s: float):
    """Before the sample, before the log is read, and behind it: the proof is taken back, with the credit."""
    into_the_harbour(guild)
    guild.joins(ANNA, 10)
    for at_s, hears in ((10.5, None), (11, ONCE), (13, ONCE), (18, ONCE), (19, None), (24, None), (24.5, None)):
        if hears:
            guild.counters(at_s, gone=ONCE)
        if at_s == 24:
            guild.reads(24)
        if at_s == told_s:
            channel_died(guild, told_s)
    assert guild.said() == (Status.CANDIDATES, None, None)
    assert {*guild.period().candidates} == {ONCE, "NI"}
    assert guild.period().credited is None


def test_an_invite_that_no_sample_has_shown_goes_with_its_channel_as_well(guild: Guild):
    invite = msgspec.structs.replace(SHOWN, channel=HARBOUR)
    guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=invite, arrived_us=us(SHOWN_S)))
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    guild.reads(24)
    assert guild.said() == (Status.CERTAIN, HIDDEN, OTHER)
    channel_died(guild, 25)
    assert {*guild.period().candidates} == {HIDDEN, "NI"}


def test_a_channel_that_is_deleted_long_after_an_invite_was_used_up_takes_nothing_back(guild: Guild):
    into_the_harbour(guild)
    used_up(guild)
    guild.reads(24)
    assert channel_died(guild, 700).drafts == ()
    assert guild.said() == (Status.CERTAIN, ONCE, STAFF)


def test_a_channel_to_which_no_invite_leads_is_nobodys_business(guild: Guild):
    assert channel_died(guild, 10).drafts == ()


def test_that_its_channel_was_deleted_counts_whatever_else_is_told_of_its_death(guild: Guild):
    into_the_harbour(guild)
    guild.joins(ANNA, 10)
    channel_died(guild, 10.5)
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(10.6)))
    for at_s in (11, 13, 18):
        guild.counters(at_s, gone=ONCE)
    guild.reads(24)
    assert guild.said() == (Status.CANDIDATES, None, None)


def test_of_two_deaths_of_one_invite_the_first_excludes_who_came_later(guild: Guild):
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(5)))
    guild.joins(ANNA, 10)
    guild.tell(m.NoteInviteDied(cause=guild.cause("rest"), code=ONCE, arrived_us=us(10.5)))
    for at_s in (11, 13, 18):
        guild.counters(at_s, gone=ONCE)
    assert guild.said() == (Status.UNKNOWN, None, None)


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_deletions_of_one_code_each_finds_its_invite_in_any_order(guild: Guild, *, newest_first: bool):
    used_up(guild)
    entries = [m.DeletedInvite(code=ONCE, at_us=at_us) for at_us in (us(10.5), 0)]
    guild.reads(24, *(entries if newest_first else reversed(entries)))
    assert guild.said() == (Status.CANDIDATES, None, None)
    assert [source.why for gap in guild.state.gaps for source in gap.sources if source.code == ONCE] == ["deleted"]


def test_an_earlier_deletion_that_is_read_later_does_not_hide_the_one_that_was_told(guild: Guild):
    guild.joins(ANNA, 10)
    guild.told_live(10.5, deletions=(m.DeletedInvite(code=ONCE, at_us=us(10.4)),))
    for at_s in (11, 13):
        guild.counters(at_s)
    guild.reads(14, m.DeletedInvite(code=ONCE, at_us=0))
    guild.counters(18, gone=ONCE)
    guild.reads(50)
    assert guild.said() == (Status.CANDIDATES, None, None)


HIDDEN = InviteCode("hidden")
SHOWN_S = 5
SHOWN = r.Counter(code=HIDDEN, created_at_us=us(SHOWN_S), uses=0, max_uses=1, inviter=OTHER, channel=HARBOUR)


def created(at_s: float, **fields: object) -> m.CreatedInvite:
    """Entry 40 of an invite that nobody has told of."""
    entry = m.CreatedInvite(code=HIDDEN, at_us=us(at_s), max_uses=1, by=OTHER)
    return msgspec.structs.replace(entry, **fields)


def unexplained(guild: Guild, status: Status = Status.UNKNOWN) -> None:
    """Anna alone, and no counter has risen."""
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    assert guild.said() == (status, None, None)


def test_an_invite_that_only_the_audit_log_tells_of_is_a_candidate_and_may_be_reported(guild: Guild):
    unexplained(guild)
    (asked,) = guild.asked(ReadAudit)
    assert asked.due_us == us(23) + 1
    guild.reads(24, creations=(created(5),))
    assert guild.said() == (Status.CANDIDATES, None, None)
    assert {*guild.period().candidates} == {HIDDEN, "NI"}
    assert not list(guild.asked(ReadAudit))
    guild.hears(40, (ANNA, HIDDEN, 5))
    assert guild.said() == (Status.REPORTED, HIDDEN, OTHER)
    assert guild.period().inviter == OTHER


@pytest.mark.parametrize(
    ("deleted_s", "entry"),
    [
        (None, created(16)),  # behind the join, even if the log is late
        (None, created(3, max_age_s=6)),
        (7.9, created(5)),
        (None, created(-100)),  # the sample before would show it
    ],
)
def test_an_invite_that_was_not_there_at_the_join_is_no_candidate(
    guild: Guild, deleted_s: float | None, entry: m.CreatedInvite
):
    unexplained(guild)
    deletions = [m.DeletedInvite(code=HIDDEN, at_us=us(deleted_s))] if deleted_s else []
    guild.reads(24, *deletions, creations=(entry,))
    assert guild.said() == (Status.UNKNOWN, None, None)


def test_a_deletion_of_it_that_is_told_later_counts(guild: Guild):
    unexplained(guild)
    guild.reads(24, creations=(created(5),))
    cause = r.GatewayCause(session=SESSION, number=1, lane="rest")
    deletion = m.DeletedInvite(code=HIDDEN, at_us=us(7))
    guild.tell(m.NoteLogged(cause=cause, deletions=(deletion,), arrived_us=us(30)))
    assert guild.said() == (Status.UNKNOWN, None, None)


def test_an_earlier_deletion_of_an_invite_with_the_same_code_ends_nothing(guild: Guild):
    unexplained(guild)
    guild.reads(24, m.DeletedInvite(code=HIDDEN, at_us=us(4.9)), creations=(created(5),))
    assert {*guild.period().candidates} == {HIDDEN, "NI"}


def test_an_invite_that_was_heard_of_or_shown_is_not_made_twice(guild: Guild):
    guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=SHOWN, arrived_us=us(SHOWN_S)))
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    logged = created(5.3), created(1, code=A, at_us=1_000_000), created(5.3)
    guild.reads(24, creations=logged)
    assert guild.said() == (Status.CERTAIN, HIDDEN, OTHER), "used up, as the log proves"
    assert not [each for each in guild.records if isinstance(each.event, r.CreationLogged)]


def test_an_invite_that_is_told_of_live_is_a_candidate_before_the_log_is_read(guild: Guild):
    guild.told_live(6, creations=(created(5, by=None),))
    unexplained(guild, Status.CANDIDATES)
    assert {*guild.period().candidates} == {HIDDEN, "NI"}
    assert guild.state.logged == {}, "the sample did not show it: it is gone"
    guild.reads(24, creations=(created(5),))
    assert {*guild.period().candidates} == {HIDDEN, "NI"}
    guild.hears(40, (ANNA, HIDDEN, 5))
    assert guild.said() == (Status.REPORTED, HIDDEN, OTHER), "the reading has named who made it"
    logged = [each.event for each in guild.records if isinstance(each.event, r.CreationLogged)]
    assert [each.by for each in logged] == [None, OTHER]


def makes(guild: Guild) -> Decision:
    """/invite for Anna, which the bot has Discord make and assigns a second later."""
    assign = m.AssignInvite(
        interaction=InteractionId("7"), code=HIDDEN, staff=STAFF, by=ADMIN, at_us=us(SHOWN_S + 1), made=SHOWN
    )
    return guild.tell(assign)


def tells_of_it(guild: Guild, at_s: float) -> None:
    guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=SHOWN, arrived_us=us(at_s)))


@pytest.mark.parametrize("told_s", [SHOWN_S, SHOWN_S + 2, 19, None])
def test_an_invite_that_the_bot_made_is_one_source_whenever_invite_create_tells_of_it(
    guild: Guild, told_s: float | None
):
    """Late, perhaps; or never, where the bot may not manage the channel."""
    if told_s == SHOWN_S:
        tells_of_it(guild, told_s)
    makes(guild)
    if told_s == SHOWN_S + 2:
        tells_of_it(guild, told_s)
    assert len(guild.state.births) == 1
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    if told_s == 19:
        tells_of_it(guild, told_s)
        guild.counters(20)
    assert [source.why for gap in guild.state.gaps for source in gap.sources] == ["gone"]
    guild.reads(26)
    assert guild.said() == (Status.CERTAIN, HIDDEN, STAFF)


def test_an_invite_that_the_bot_made_and_a_sample_has_shown_is_no_second_source(guild: Guild):
    guild.counters(5.5, also=(SHOWN,))
    makes(guild)
    assert makes(guild).drafts == (), "the interaction was handled before"
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    assert [source.why for gap in guild.state.gaps for source in gap.sources] == ["gone"]
    assert guild.state.births == {}


def test_an_invite_that_the_bot_made_stays_dead_with_its_channel_when_invite_create_tells_of_it_late(guild: Guild):
    makes(guild)
    channel_died(guild, 7)
    tells_of_it(guild, 8)
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    assert [source.why for gap in guild.state.gaps for source in gap.sources] == ["channel_deleted"]


@pytest.mark.parametrize("at_s", [4, 6])
def test_an_invite_that_is_told_of_live_and_then_heard_of_is_not_made_twice(guild: Guild, at_s: float):
    """Also where the log was quicker than INVITE_CREATE."""
    tells = [
        lambda: guild.told_live(at_s, creations=(created(5.3, by=None),)),
        lambda: guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=SHOWN, arrived_us=us(SHOWN_S))),
    ]
    for tell in tells if at_s < SHOWN_S else reversed(tells):
        tell()
    guild.joins(ANNA, 10)
    for after_s in (11, 13, 18):
        guild.counters(after_s)
    assert [each.why for each in guild.state.gaps[-1].sources] == ["gone"]
    guild.reads(24, creations=(created(5.3),))
    assert guild.said() == (Status.CERTAIN, HIDDEN, OTHER), "used up, as the log proves"


def test_an_invite_that_is_told_of_live_is_no_more_once_a_sample_shows_it(guild: Guild):
    guild.told_live(6, creations=(created(5.3, by=None),))
    guild.joins(ANNA, 10)
    for at_s in (11, 13, 18):
        guild.counters(at_s, also=(SHOWN,))
    assert guild.said() == (Status.UNKNOWN, None, None)
    assert guild.state.logged == {}


def test_an_invite_that_is_told_of_live_while_the_sample_is_asked_for_waits_for_the_next_one(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(10.5, A=4)
    guild.told_live(11, creations=(created(10.4, by=None),))
    assert [each.code for each in guild.state.logged.values()] == [HIDDEN]
    guild.joins(BEN, 20)
    for at_s in (21, 23, 28):
        guild.counters(at_s, A=4)
    assert guild.said(ANNA)[0] is Status.CERTAIN
    assert {*guild.period(BEN).candidates} == {HIDDEN, "NI"}


def test_a_deletion_that_is_told_live_ends_it(guild: Guild):
    guild.told_live(6, creations=(created(5, by=None),))
    guild.told_live(7.5, deletions=(m.DeletedInvite(code=HIDDEN, at_us=us(7)),))
    unexplained(guild)


def test_a_deletion_of_it_is_no_news_when_the_log_is_read(guild: Guild):
    deletion = m.DeletedInvite(code=HIDDEN, at_us=us(12))
    guild.told_live(6, creations=(created(5, by=None),))
    guild.told_live(12.2, deletions=(deletion,))
    unexplained(guild, Status.CANDIDATES)
    guild.reads(24, deletion, creations=(created(5),))
    guild.joins(BEN, 40, bot=True)
    guild.reads(60, deletion, creations=(created(5),))
    assert isinstance(guild.records[-1].event, r.AuditRead)


def test_it_is_named_by_nobody_but_discord_also_where_others_joined_unseen(guild: Guild):
    guild.told_live(6, creations=(created(5, by=None),))
    guild.joins(ANNA, 10)
    later = msgspec.structs.replace(SHOWN, code=InviteCode("later"), created_at_us=us(13), uses=2, max_uses=0)
    guild.tell(m.NoteInviteBorn(cause=guild.cause("rest"), invite=later, arrived_us=us(13)))
    for at_s in (14, 16):
        guild.counters(at_s, also=(later,))
    assert {*guild.period().candidates} == {HIDDEN, "NI"}


def test_who_made_it_is_known_where_a_sample_shows_it_later(guild: Guild):
    """The entry came so soon after a sample that its invite may lie on both sides of it."""
    guild.joins(BEN, 5)
    guild.counters(5.5, A=4)
    guild.told_live(7, creations=(created(6.5, by=None),))
    shown = msgspec.structs.replace(SHOWN, created_at_us=us(6), uses=1, max_uses=0)
    guild.joins(ANNA, 7)
    guild.joins(CARL, 7.5)
    for at_s in (8, 10, 15):
        guild.counters(at_s, also=(shown,), A=4)
    assert guild.said()[0] is Status.CANDIDATES
    guild.hears(40, (ANNA, HIDDEN, 5))
    assert guild.said() == (Status.REPORTED, HIDDEN, OTHER)


def test_whoever_made_an_invite_that_waits_for_its_sample_can_be_forgotten(guild: Guild):
    guild.joins(CARL, 5.5, bot=True)
    guild.reads(11, creations=(created(5, by=ADMIN),))
    assert [each.code for each in guild.state.logged.values()] == [HIDDEN], (
        "a reading tells of what the next sample should show"
    )
    assert names(guild.state, ADMIN)
    guild.tell(m.ForgetMember(user=ADMIN))
    assert not names(guild.state, ADMIN)
    unexplained(guild, Status.CANDIDATES)
    [source] = guild.state.gaps[-1].sources
    assert source.inviter == guild.state.tombstone_of(ADMIN) != ADMIN


def test_an_invite_that_waits_for_its_sample_is_no_news_again(guild: Guild):
    guild.told_live(6, creations=(created(5, by=None),))
    seq = guild.state.seq
    guild.told_live(7, creations=(created(5, by=None),))
    assert guild.state.seq == seq


def test_a_code_that_comes_back_unseen_is_two_invites(guild: Guild):
    """Of one use each, made within a few seconds, and both gone before the sample: two people may have come so."""
    first, second = created(5, by=None), created(7, by=None)
    for at_s, creations in ((5.5, (first,)), (7.5, (second,))):
        guild.told_live(at_s, creations=creations)
    guild.told_live(8, deletions=(m.DeletedInvite(code=HIDDEN, at_us=us(6)),))
    guild.joins(ANNA, 6)
    guild.joins(BEN, 9)
    for at_s in (11, 13, 18):
        guild.counters(at_s)
    guild.hears(40, (ANNA, HIDDEN, 5), (BEN, HIDDEN, 5))
    assert [guild.said(user)[0] for user in (ANNA, BEN)] == [Status.REPORTED] * 2


def test_so_it_is_where_a_sample_lies_between_the_two(guild: Guild):
    guild.told_live(12, creations=(created(12, by=None),))
    guild.counters(13)
    guild.told_live(13.6, creations=(created(13.5, by=None),))
    guild.joins(ANNA, 16)
    guild.joins(BEN, 17)
    for at_s in (18, 20, 25):
        guild.counters(at_s)
    guild.hears(45, (ANNA, HIDDEN, 5), (BEN, HIDDEN, 5))
    assert [guild.said(user)[0] for user in (ANNA, BEN)] == [Status.REPORTED] * 2


def test_who_added_a_bot_is_named_as_soon_as_the_log_tells_of_it_live(guild: Guild):
    guild.joins(BEN, 10, bot=True)
    guild.told_live(11, bots=(m.AddedBot(bot=BEN, by=ADMIN), m.AddedBot(bot=CARL, by=ADMIN)))
    assert guild.period(BEN).inviter == ADMIN
    assert guild.state.current(CARL) is None


def test_a_bot_that_was_added_twice_is_there_by_the_second(guild: Guild):
    guild.joins(BEN, 10, bot=True)
    guild.reads(20, bots=(m.AddedBot(bot=BEN, by=ADMIN), m.AddedBot(bot=BEN, by=OTHER)))
    assert guild.period(BEN).inviter == OTHER
    keys = [each.key for each in guild.records]
    assert len({*keys}) == len(keys)


def test_a_bot_that_made_it_is_credited_with_nothing(guild: Guild):
    unexplained(guild)
    guild.reads(24, creations=(created(5, by_bot=True),))
    guild.hears(40, (ANNA, HIDDEN, 5))
    assert guild.said() == (Status.REPORTED, HIDDEN, None)


def test_a_log_that_tells_the_same_again_writes_nothing_of_it(guild: Guild):
    unexplained(guild)
    guild.reads(24, creations=(created(5), created(5)))
    guild.joins(BEN, 30)
    for at_s in (31, 33, 38):
        guild.counters(at_s)
    guild.reads(44, creations=(created(5),))
    assert len([each for each in guild.records if isinstance(each.event, r.CreationLogged)]) == 1
    assert guild.said(BEN) == (Status.UNKNOWN, None, None)


def test_a_log_that_was_read_before_the_gap_was_closed_is_read_again_for_it(guild: Guild):
    """Made between two samples, as the clocks say; the join lies behind the second one."""
    unexplained(guild)
    guild.reads(24, creations=(created(19.5),))
    guild.joins(BEN, 30)
    for at_s in (31, 33, 38):
        guild.counters(at_s)
    guild.reads(44, creations=(created(19.5),))
    assert {*guild.period(BEN).candidates} == {HIDDEN, "NI"}


def test_the_log_is_read_at_most_twice_a_minute_and_for_invites_only_as_far_back_as_windows_are_kept(guild: Guild):
    unexplained(guild)
    guild.reads(24)
    guild.joins(BEN, 30)
    for at_s in (31, 33, 38):
        guild.counters(at_s)
    (asked,) = (each for each in guild.errands if isinstance(each, ReadAudit))
    assert asked.due_us == us(24 + 30)
    for user, joined_s in ((CARL, 1_000), (STAFF, 2_000)):
        guild.joins(user, joined_s)
        for after_s in (1, 3, 8):
            guild.counters(joined_s + after_s)
    (asked,) = guild.asked(ReadAudit)
    assert asked.since_us == us(18 - 60), "of the window of Ben's, which was not read"
    assert asked.invites_since_us == us(38 - 60), "of the oldest gap that is kept"


# Uses that nobody claims


def test_a_use_is_claimed_by_a_join_that_is_told_of_late_or_by_what_the_log_proves(guild: Guild):
    guild.joins(ANNA, 10)
    for at_s in (11, 14):
        guild.counters(at_s, A=5)
    assert guild.state.unclaimed == {A: 1}
    guild.tell(guild.event(BEN, 10.5, 20, (), bot=False))
    guild.counters(21, A=5)
    assert (guild.state.unclaimed, guild.said(BEN)[:2]) == ({}, (Status.CERTAIN, A))


def test_what_a_window_leaves_unclaimed_is_counted_once_however_often_it_is_worked_out(guild: Guild):
    guild.joins(ANNA, 10)
    for at_s in (11, 14):
        guild.counters(at_s, gone=ONCE, A=5)
    assert guild.state.unclaimed == {A: 1}
    guild.reads(30)
    closed = [each.event for each in guild.records if isinstance(each.event, r.WindowClosed)]
    assert [(each.again, dict(each.unclaimed)) for each in closed[-2:]] == [(False, {A: 1}), (True, {A: 1})]
    assert guild.state.unclaimed == {A: 1}


# Invites without number


def test_births_and_deaths_that_no_sample_follows_are_kept_up_to_a_number_and_break_continuity_beyond(guild: Guild):
    for each in range(MAX_UNSAMPLED + 5):
        invite = r.Counter(code=InviteCode(f"x{each}"), created_at_us=us(5), uses=0)
        cause = r.GatewayCause(session=SESSION, number=each + 1, lane="rest")
        guild.tell(m.NoteInviteBorn(cause=cause, invite=invite, arrived_us=us(5)))
        died = r.GatewayCause(session=SESSION, number=each + 1, lane="members")
        guild.tell(m.NoteInviteDied(cause=died, code=invite.code, arrived_us=us(6)))
    assert (len(guild.state.births), len(guild.state.deaths)) == (MAX_UNSAMPLED, MAX_UNSAMPLED)
    assert guild.state.broken == (TOO_MANY,)
    guild.number = 2 * MAX_UNSAMPLED
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    assert guild.said() == (Status.LIKELY, A, None)


def test_a_log_that_may_not_be_read_is_asked_for_again_in_an_hour_and_the_guild_may_rest(guild: Guild):
    used_up(guild)
    number = guild.presence.audit.number
    guild.tell(m.AuditFailed(number=number, reason="forbidden", forbidden=True, at_us=us(24)))
    (asked,) = (each for each in guild.errands if isinstance(each, ReadAudit))
    assert asked.due_us == us(24 + 3_600)
    assert not is_idle(guild.state, guild.presence), "the second witness has not spoken"
    for number in (guild.presence.witness.number, guild.presence.sweeping.number):
        guild.tell(m.WitnessFailed(number=number, reason="switched_off", at_us=us(31), again_s=86_400.0))
    assert is_idle(guild.state, guild.presence)


def test_who_added_a_bot_is_told_once(guild: Guild):
    guild.joins(ANNA, 10, bot=True)
    (asked,) = (each for each in guild.errands if isinstance(each, ReadAudit))
    assert (asked.since_us, asked.due_us) == (us(8), us(15))
    guild.reads(16, bots=(m.AddedBot(bot=ANNA, by=ADMIN), m.AddedBot(bot=BEN, by=ADMIN)))
    assert (guild.period().status, guild.period().inviter) == (Status.NON_INVITE, ADMIN)
    verdicts = guild.period().verdicts
    guild.joins(CARL, 20, bot=True)
    guild.reads(26, bots=(m.AddedBot(bot=ANNA, by=STAFF),))
    assert (guild.period().inviter, guild.period().verdicts) == (ADMIN, verdicts)


# The second witness


def test_it_is_asked_of_ten_joins_at_once_when_they_are_old_enough(guild: Guild):
    for number in range(12):
        guild.joins(UserId(str(200 + number)), 10 + number / 10)
    (asked,) = guild.asked(AskWitness)
    assert isinstance(asked, AskWitness)
    assert [int(user) for user in asked.users] == list(range(200, 210))
    assert asked.due_us == us(10.9) + HEARD_OF_US


def test_a_join_that_it_does_not_know_is_asked_for_four_times_in_all(guild: Guild):
    burst(guild)
    guild.hears(31, (BEN, B, 5))
    for tries, wait_us in enumerate(ABSENT_AGAIN_US[1:], start=1):
        (asked,) = (each for each in guild.errands if isinstance(each, AskWitness))
        assert (asked.users, asked.due_us) == ((ANNA,), us(30) + wait_us), tries
        guild.hears(31 + wait_us / SECOND)
    guild.hears(4_000)
    assert guild.state.unheard == {}
    assert guild.period().report == r.Report(-1)
    assert guild.said() == (Status.REPORTED, A, STAFF), "by elimination"
    guild.hears(5_000, (ANNA, A, 5))
    assert guild.said() == (Status.REPORTED, A, STAFF), "an answer to no question of now"


def test_whoever_leaves_is_not_asked_for(guild: Guild):
    burst(guild)
    guild.leaves(ANNA, 12)
    assert [each.user for each in guild.state.unheard.values()] == [BEN]


def test_a_certain_result_that_it_contradicts_makes_the_guild_careful(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    assert not guild.state.pooled
    guild.hears(31, (ANNA, B, 5))
    assert guild.said() == (Status.CONFLICT, None, None)
    guild.joins(BEN, 40)
    guild.counters(41, A=5)
    assert guild.said(BEN)[0] is Status.CERTAIN
    assert guild.state.pooled, "for good"


def test_the_vanity_url_is_named_by_its_way_whatever_its_text(guild: Guild):
    burst(guild)
    guild.hears(31, (ANNA, InviteCode("old-text"), 6))
    assert (guild.said()[0], guild.period().candidates) == (Status.CONFLICT, ("A", "B", "VANITY"))


def test_those_of_before_are_reported_by_pages_and_credited_only_if_the_owner_wants(guild: Guild):
    old = tuple(m.ListedMember(user=user, joined_at_us=us(-100) + int(user)) for user in (ANNA, BEN))
    guild.lists(5, *old)
    (asked,) = guild.asked(SweepMembers)
    assert isinstance(asked, SweepMembers)
    assert (asked.after_us, asked.after) == (0, "0")
    rows = tuple(
        m.SearchedMember(user=each.user, joined_at_us=each.joined_at_us, report=r.Report(way, code, maker))
        for each, way, code, maker in zip(old, (5, 3), (A, None), (STAFF, None), strict=True)
    )
    guild.tell(m.WitnessAnswered(number=guild.presence.sweeping.number, rows=rows, at_us=us(6), swept=True))
    assert guild.said() == (Status.REPORTED, A, None)
    assert (guild.period(BEN).status, guild.period(BEN).reason) == (Status.NON_INVITE, "discovery")
    assert (guild.state.sweep.upto_us, guild.state.sweep.done) == (old[1].joined_at_us, False)
    guild.settles(credit_backfill=True)
    again = m.WitnessAnswered(number=guild.presence.sweeping.number, rows=rows, at_us=us(9), swept=True, done=True)
    assert not [each for each in guild.tell(again).drafts if isinstance(each.event, r.CreditGranted)], "known already"
    assert guild.state.sweep.done
    assert not list(guild.asked(SweepMembers))


# People


def test_a_decision_is_answered_as_it_then_stands_and_nothing_but_another_supersedes_it(guild: Guild):
    burst(guild)
    before = guild.period()
    answer = guild.decides(ANNA, OTHER, B).answer
    after = guild.period()
    assert isinstance(answer, Decided)
    assert answer.before == before
    for field in ("status", "code", "staff", "candidates", "reason", "credited"):
        assert getattr(answer.period, field) == getattr(after, field), field
    assert guild.said() == (Status.MANUAL, B, OTHER)
    guild.hears(31, (ANNA, A, 5))
    assert guild.said() == (Status.MANUAL, B, OTHER)
    guild.decides(ANNA, None)
    assert guild.said() == (Status.MANUAL, None, None)
    assert isinstance(guild.decides(CARL, STAFF).answer, MemberReport)


def test_settings_change_by_field_and_other_vip_roles_are_looked_for_at_once(guild: Guild):
    assert guild.settles(young_days=30).effects == ()
    assert guild.settles(vip_roles=(VIP,)).effects == (ListMembers(session=SESSION),)
    assert guild.state.settings == r.Settings(young_days=30, vip_roles=(VIP,))
    assert guild.settles(young_days=30).drafts == ()


# VIPs


def vip_credits(guild: Guild) -> list[tuple[str, str, str]]:
    return [
        (type(each.event).__name__, each.event.user, each.event.staff)
        for each in guild.records
        if isinstance(each.event, r.CreditGranted | r.CreditReversed) and each.event.kind == "vip"
    ]


def test_an_upgrade_is_credited_once_however_often_the_role_goes_and_comes(guild: Guild):
    guild.settles(vip_roles=(VIP,))
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.updates(ANNA, 20, VIP)
    guild.updates(ANNA, 21, VIP)
    guild.updates(ANNA, 22)
    assert not guild.period().vip
    guild.updates(ANNA, 23, VIP)
    assert (guild.period().vip, guild.period().vip_since_us) == (True, us(20))
    assert vip_credits(guild) == [("CreditGranted", ANNA, STAFF)]


def test_roles_of_another_membership_make_nobody_a_vip_in_this_one(guild: Guild):
    """Their leave and their return were missed."""
    guild.settles(vip_roles=(VIP,))
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.tell(m.NoteMember(join=guild.event(ANNA, 20, 21, (VIP,), bot=False)))
    assert vip_credits(guild) == []
    assert not guild.state.members[ANNA][0].vip


def test_an_upgrade_of_an_open_join_is_credited_when_that_is_settled(guild: Guild):
    guild.settles(vip_roles=(VIP,))
    burst(guild)
    guild.updates(ANNA, 20, VIP)
    assert vip_credits(guild) == []
    guild.decides(ANNA, OTHER, B)
    guild.decides(ANNA, STAFF, A)
    moved = [("CreditGranted", ANNA, OTHER), ("CreditReversed", ANNA, OTHER), ("CreditGranted", ANNA, STAFF)]
    assert vip_credits(guild) == moved


@pytest.mark.parametrize(("once", "credits_"), [("life", 1), ("membership", 2)])
def test_whoever_comes_back_and_is_upgraded_again_is_credited_as_the_owner_set(
    guild: Guild, once: str, credits_: int
):
    guild.settles(vip_roles=(VIP,), vip_once=once)
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.updates(ANNA, 12, VIP)
    guild.leaves(ANNA, 20)
    guild.joins(ANNA, 30)
    guild.counters(31, A=4, B=8)
    guild.updates(ANNA, 40, VIP)
    assert guild.said() == (Status.CERTAIN, B, None), "a return is not credited"
    assert len(vip_credits(guild)) == credits_


def test_who_has_left_is_no_new_vip_and_the_list_tells_of_those_who_became_one_unseen(guild: Guild):
    guild.settles(vip_roles=(VIP,))
    burst(guild)
    guild.leaves(ANNA, 12)
    guild.updates(ANNA, 13, VIP)
    assert not any(isinstance(each.event, r.VipChanged) for each in guild.records)
    guild.lists(20, m.ListedMember(user=BEN, joined_at_us=guild.period(BEN).opened_us, roles=(VIP,)))
    assert guild.period(BEN).vip


# Announcements


def announced(guild: Guild, message: str, verdict: int | None = None, user: UserId = ANNA) -> Decision:
    period = guild.period(user)
    told = m.Announced(
        number=guild.presence.announcing.number,
        user=user,
        opened_us=period.opened_us,
        verdict=period.verdicts if verdict is None else verdict,
        channel=CHANNEL,
        message=message,
        at_us=us(50),
    )
    return guild.tell(told)


def test_a_join_is_announced_with_its_first_verdict_and_edited_with_each_later_one(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    burst(guild)
    (asked,) = (each for each in guild.errands if isinstance(each, AnnounceJoin))
    assert (asked.user, asked.message, asked.channel, asked.period.status) == (ANNA, "", CHANNEL, Status.CANDIDATES)
    announced(guild, "77")
    assert list(guild.state.outbox) == [join_key(BEN, us(10.1))]
    announced(guild, "78", user=BEN)
    guild.hears(31, (ANNA, A, 5))
    (asked,) = (each for each in guild.errands if isinstance(each, AnnounceJoin))
    assert (asked.message, asked.period.status, asked.total) == ("77", Status.REPORTED, 1)


def test_what_announces_a_join_knows_the_labels_of_its_codes_and_no_others(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    for code, label in ((A, "summer"), (InviteCode("other"), "winter")):
        interaction = InteractionId(f"label {code}")
        guild.tell(m.AssignInvite(interaction=interaction, code=code, staff=ANNA, by=ANNA, at_us=us(1), label=label))
    burst(guild)
    (asked,) = (each for each in guild.errands if isinstance(each, AnnounceJoin))
    assert asked.labels == {A: "summer"}


def test_a_verdict_that_came_while_the_message_was_sent_is_shown_next(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    burst(guild)
    guild.hears(31, (ANNA, A, 5))
    announced(guild, "77", verdict=1)
    assert join_key(ANNA, us(10)) in guild.state.outbox
    announced(guild, "77", verdict=2)
    assert join_key(ANNA, us(10)) not in guild.state.outbox
    assert announced(guild, "77").drafts == (), "it is known"


def test_what_cannot_be_shown_is_not_tried_for_ever_and_what_failed_is_tried_later(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    number = guild.presence.announcing.number
    guild.tell(m.AnnouncingFailed(number=number + 1, reason="status_500", at_us=us(12)))
    assert guild.presence.announcing.number == number, "of another request"
    guild.tell(m.AnnouncingFailed(number=number, reason="status_500", at_us=us(12)))
    (asked,) = (each for each in guild.errands if isinstance(each, AnnounceJoin))
    assert asked.due_us == us(13.5)
    announced(guild, "")
    assert guild.state.outbox == {}
    assert guild.state.posted == {}


def test_without_a_channel_nothing_waits_and_a_channel_set_later_tells_of_later_joins(guild: Guild):
    guild.joins(ANNA, 10)
    guild.counters(11, A=4)
    guild.settles(log_channel=CHANNEL)
    guild.hears(31, (ANNA, A, 5))
    assert guild.state.outbox == {}
    guild.joins(BEN, 40)
    guild.counters(41, A=4, B=8)
    assert list(guild.state.outbox) == [join_key(BEN, us(40))]
    guild.settles(log_channel=None)
    assert guild.state.outbox == {}


def test_the_newest_thousand_messages_are_remembered(guild: Guild):
    guild.settles(log_channel=CHANNEL)
    for number in range(MAX_POSTED + 5):
        user = UserId(str(1_000 + number))
        guild.joins(user, 10 + number, bot=True)
        announced(guild, str(number), user=user)
    assert len(guild.state.posted) == MAX_POSTED
    assert guild.state.outbox == {}


def test_a_guild_that_is_away_asks_nothing(guild: Guild):
    burst(guild)
    guild.tell(m.GuildWentAway(at_us=us(20)))
    assert guild.presence.phase is Phase.AWAY
    assert guild.errands == ()


def waiting(guild: Guild) -> list[UserId]:
    answer = guild.tell(m.DescribeReview()).answer
    assert isinstance(answer, ReviewReport)
    return [case.user for case in answer.cases]


@pytest.mark.parametrize("allowed", [True, False])
def test_what_the_owner_does_not_let_a_report_credit_waits_for_a_person(guild: Guild, *, allowed: bool):
    guild.settles(credit_reported=allowed)
    burst(guild)
    assert waiting(guild) == [BEN, ANNA]
    guild.hears(35, (ANNA, A, 5), (BEN, B, 5))
    assert guild.said() == (Status.REPORTED, A, STAFF if allowed else None)
    assert waiting(guild) == ([] if allowed else [BEN, ANNA])
    guild.decides(ANNA, STAFF, A)
    assert waiting(guild) == ([] if allowed else [BEN])
