"""Hostile lives: any message at any time, from a small world so that they meet; and any event at all, by its type.

Where ``worlds.py`` plays a Discord that keeps its promises, nothing here is promised: numbers come twice and late,
times run backwards, answers answer nothing. ``Life`` is a guild as values, with kills.
"""

from collections.abc import Sequence
from typing import Final, TypeVar, get_args

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from ledger import messages as m
from ledger import records as r
from ledger.decide import decide
from ledger.decision import Decision
from ledger.effects import Request, SampleRequest
from ledger.errands import errands
from ledger.evolve import evolve
from ledger.ids import ChannelId, GuildId, InteractionId, InviteCode, RoleId, SessionId, UserId
from ledger.phases import Phase
from ledger.presence import Errand, Presence
from ledger.samples import Sample
from ledger.state import GuildState, from_pages, pages_of

GUILD: Final = GuildId("1")
START_US: Final = 1_700_000_000_000_000
SECOND: Final = 1_000_000
UNDER_WAY: Final = SampleRequest(number=-1)
"""Stands for the request that is under way when the answer comes."""
THIS: Final = SessionId("this")
"""Stands for the session of the moment."""

T = TypeVar("T")


class Life:
    """One guild, its records, and the life of the moment."""

    def __init__(self) -> None:
        self.state = GuildState(guild=GUILD)
        self.presence = Presence(phase=Phase.REHYDRATING)
        self.records: list[r.Record] = []
        self.errands: tuple[Request, ...] = ()

    def tell(self, message: m.Message) -> Decision:
        """Decides, numbers, evolves."""
        decision = decide(self.state, self.presence, addressed(self.presence, message))
        self.presence = decision.presence
        for record in numbered(self.state.seq, decision.drafts):
            self.records.append(record)
            self.state = evolve(self.state, record)
        self.presence, self.errands = errands(self.state, self.presence)
        return decision

    def kill(self, at_us: int = 0) -> None:
        """The next life, which begins then: what is durable, and request numbers of its own."""
        self.state = replayed(self.records)
        self.presence = Presence(phase=Phase.REHYDRATING, asks=self.presence.asks + 1_000, since_us=at_us)


def addressed(presence: Presence, message: m.Message) -> m.Message:
    """The message with what stands for "of this moment" filled in."""
    if isinstance(message, m.SampleArrived | m.SampleFailed) and message.request == UNDER_WAY:
        message = msgspec.structs.replace(message, request=presence.request)
    if type(message) in _ERRANDS and message.number == UNDER_WAY.number:
        errand: Errand = getattr(presence, _ERRANDS[type(message)])
        message = msgspec.structs.replace(message, number=errand.number)
    if isinstance(message, m.SampleArrived) and message.sample.session == THIS:
        sample = msgspec.structs.replace(message.sample, session=presence.session)
        return msgspec.structs.replace(message, sample=sample)
    if isinstance(message, m.ReviewMembers) and message.session == THIS:
        return msgspec.structs.replace(message, session=presence.session)
    return message


_ERRANDS: Final[dict[type[m.Message], str]] = {
    m.AuditArrived: "audit",
    m.AuditFailed: "audit",
    m.WitnessAnswered: "witness",
    m.WitnessFailed: "witness",
    m.AnnouncingFailed: "announcing",
}
"""Answers to errands, and where the presence keeps what is under way."""


def numbered(seq: int, drafts: Sequence[r.Draft]) -> list[r.Record]:
    """What the journal makes of drafts behind ``seq``."""
    return [
        r.Record(
            gsn=at,
            guild=GUILD,
            seq=at,
            epoch=1,
            at_ms=START_US // 1_000,
            cause=draft.cause,
            key=draft.key,
            event=draft.event,
            last=seq + len(drafts),
        )
        for at, draft in enumerate(drafts, start=seq + 1)
    ]


def replayed(records: Sequence[r.Record], state: GuildState | None = None) -> GuildState:
    """The state after the records, from nothing or from a checkpoint's."""
    state = state or GuildState(guild=GUILD)
    for record in records:
        state = evolve(state, record)
    return state


def in_bytes(state: GuildState) -> bytes:
    """The state as its checkpoint: what is equal here is equal for good, orders included."""
    return b"\n".join(pages_of(state))


def restored(state: GuildState) -> GuildState:
    """The state as a checkpoint gives it back."""
    return from_pages(tuple(pages_of(state)))


# Messages

users = st.sampled_from([UserId(str(number)) for number in range(1, 5)])
codes = st.sampled_from([InviteCode(code) for code in "AB"])
sessions = st.sampled_from([SessionId("s1"), SessionId("s2")])
times = st.integers(0, 120).map(lambda after_s: START_US + after_s * SECOND)
numbers = st.integers(1, 40)
flags = st.sampled_from([0, 0, 1, 16])
interactions = st.sampled_from([InteractionId(str(number)) for number in range(1, 5)])


def dispatched(lane: str) -> st.SearchStrategy[r.GatewayCause]:
    return st.builds(r.GatewayCause, session=sessions, number=numbers, lane=st.just(lane))


roles = st.sampled_from([RoleId("61"), RoleId("62"), RoleId("63")])
channels = st.sampled_from([ChannelId("31"), ChannelId("32")])
counters = st.builds(
    r.Counter,
    code=codes,
    created_at_us=st.sampled_from([START_US - SECOND, START_US + 30 * SECOND]),
    uses=st.integers(0, 3),
    max_uses=st.sampled_from([0, 0, 2, 3]),
    expires_at_us=st.none() | times,
    inviter=st.none() | users,
    inviter_is_bot=st.sampled_from([False, False, True]),
    channel=st.none() | channels,
)
samples = st.builds(
    lambda asked_us, took_s, **rest: Sample(requested_us=asked_us, answered_us=asked_us + took_s * SECOND, **rest),
    asked_us=times,
    took_s=st.integers(0, 3),
    session=sessions | st.just(THIS),
    counters=st.lists(counters, max_size=2, unique_by=lambda each: each.code).map(tuple),
    vanity=st.none() | st.builds(r.Vanity, code=st.just("acme"), uses=st.integers(0, 3)),
)
requests = st.just(UNDER_WAY) | st.builds(SampleRequest, number=st.integers(0, 3))
joins = st.builds(
    m.RecordJoin,
    cause=dispatched("members"),
    session=sessions,
    user=users,
    joined_at_us=times,
    arrived_us=times,
    bot=st.sampled_from([False, False, True]),
    flags=flags,
)
leaves = st.builds(m.RecordLeave, cause=dispatched("members"), user=users, arrived_us=times)
births = st.builds(m.NoteInviteBorn, cause=dispatched("rest"), invite=counters, arrived_us=times)
deaths = st.builds(
    m.NoteInviteDied,
    cause=dispatched("rest"),
    code=codes,
    arrived_us=times,
)
came_up = st.builds(
    m.GuildCameUp, session=sessions, at_us=times, vanity=st.booleans(), approval=st.sampled_from([False, False, True])
)
errand_numbers = st.just(UNDER_WAY.number) | st.integers(0, 3)
deletions = st.builds(m.DeletedInvite, code=codes, at_us=times, by=st.none() | users)
creations = st.builds(
    m.CreatedInvite,
    code=codes,
    at_us=times,
    max_uses=st.integers(0, 2),
    max_age_s=st.sampled_from([0, 5]),
    by=st.none() | users,
    by_bot=st.booleans(),
)
pages = st.builds(
    m.ReviewMembers,
    session=sessions | st.just(THIS),
    members=st.lists(
        st.builds(
            m.ListedMember, user=users, joined_at_us=times, bot=st.sampled_from([False, False, True]), flags=flags
        ),
        max_size=3,
        unique_by=lambda each: each.user,
    ).map(tuple),
    after=st.sampled_from([UserId("0"), UserId("2")]),
    upto=st.sampled_from(["", "", "3"]),
    started_us=times,
    at_us=times,
)
MESSAGES: Final[dict[type[m.Message], st.SearchStrategy[m.Message]]] = {
    m.RecordJoin: joins,
    m.NoteMember: st.builds(m.NoteMember, join=joins),
    m.RecordLeave: leaves,
    m.NoteInviteBorn: births,
    m.NoteInviteDied: deaths,
    m.NoteChannelDied: st.builds(m.NoteChannelDied, cause=dispatched("rest"), channel=channels, arrived_us=times),
    m.NoteUnreadable: st.builds(
        m.NoteUnreadable,
        cause=dispatched("members"),
        session=sessions,
        name=st.sampled_from(["GUILD_MEMBER_ADD", "GUILD_MEMBER_REMOVE", "INVITE_CREATE"]),
        digest=st.just("d"),
        reason=st.just("unreadable"),
        at_us=times,
        user=st.none() | users,
        joined_at_us=st.just(0) | times,
    ),
    m.GuildCameUp: came_up,
    m.GuildWentAway: st.builds(m.GuildWentAway, at_us=times),
    m.RemoveGuild: st.builds(m.RemoveGuild, at_us=times),
    m.NotePermissions: st.builds(m.NotePermissions, at_us=times),
    m.NoteGap: st.builds(m.NoteGap, at_us=times, greeting=st.none() | came_up),
    m.SampleArrived: st.builds(m.SampleArrived, sample=samples, request=st.none() | requests),
    m.SampleFailed: st.builds(
        m.SampleFailed, request=requests, reason=st.just("forbidden"), forbidden=st.booleans(), at_us=times
    ),
    m.ReviewMembers: pages,
    m.NoteLogged: st.builds(  # of creations and bots a reading tells as well, and the model knows nothing
        m.NoteLogged,
        cause=dispatched("rest"),
        deletions=st.deferred(lambda: st.tuples(deletions)),
        arrived_us=times,
    ),
    m.AuditArrived: st.builds(
        m.AuditArrived,
        number=errand_numbers,
        requested_us=times,
        deletions=st.deferred(lambda: st.lists(deletions, max_size=2)).map(tuple),
        creations=st.deferred(lambda: st.lists(creations, max_size=2)).map(tuple),
        bots=st.lists(st.builds(m.AddedBot, bot=users, by=users), max_size=1).map(tuple),
    ),
    m.AuditFailed: st.builds(
        m.AuditFailed, number=errand_numbers, reason=st.just("x"), forbidden=st.booleans(), at_us=times
    ),
    m.WitnessAnswered: st.builds(
        m.WitnessAnswered,
        number=errand_numbers,
        rows=st.deferred(lambda: st.lists(any_of(m.SearchedMember), max_size=3)).map(tuple),
        at_us=times,
        swept=st.booleans(),
        done=st.booleans(),
    ),
    m.WitnessFailed: st.builds(
        m.WitnessFailed, number=errand_numbers, reason=st.just("x"), at_us=times, again_s=st.sampled_from([0.0, 2.5])
    ),
    m.Announced: st.deferred(lambda: any_of(m.Announced)),
    m.AnnouncingFailed: st.builds(m.AnnouncingFailed, number=errand_numbers, reason=st.just("x"), at_us=times),
    m.AssignInvite: st.builds(
        m.AssignInvite,
        interaction=interactions,
        code=codes,
        staff=users,
        by=users,
        at_us=times,
        label=st.sampled_from(["", "x"]),
        targets=st.just(()) | users.map(lambda user: (user,)),
        made=st.none() | counters,
    ),
    m.DecideJoin: st.builds(
        m.DecideJoin,
        interaction=interactions,
        user=users,
        opened_us=st.just(0) | times,
        staff=st.none() | users,
        code=st.none() | codes,
        why=st.just("x"),
        by=users,
    ),
    m.ChangeSettings: st.builds(
        m.ChangeSettings,
        interaction=interactions,
        settings=st.deferred(lambda: any_of(r.Settings)),
        fields=st.lists(st.sampled_from(r.Settings.__struct_fields__), unique=True).map(tuple),
        templates=st.dictionaries(st.sampled_from(["known", "bot"]), st.sampled_from(["", "{member} is here"])),
        vips=st.lists(roles, max_size=2).map(tuple),
        no_vips=st.lists(roles, max_size=2).map(tuple),
        by=users,
    ),
    m.ForgetMember: st.builds(m.ForgetMember, user=users),
    m.ForgetGuild: st.builds(m.ForgetGuild, at_us=times),
    m.Salvage: st.deferred(lambda: salvages),
    m.DescribeGuild: st.just(m.DescribeGuild()),
    m.DescribeMember: st.builds(m.DescribeMember, user=users),
    m.DescribeWindow: st.just(m.DescribeWindow()),
    m.DescribeSettings: st.just(m.DescribeSettings()),
    m.DescribeReview: st.just(m.DescribeReview()),
    m.DescribeCodes: st.just(m.DescribeCodes()),
}
"""How to make any message of each kind."""
messages: Final = st.sampled_from(list(MESSAGES)).flatmap(lambda kind: MESSAGES[kind])
FORGETTING: Final = frozenset({m.ForgetMember, m.ForgetGuild, m.Salvage})
"""What forgets, or may: a branch that lost may have."""
UNFOLLOWED: Final = FORGETTING | {m.NoteChannelDied}
"""What the small model does not follow (``model.py``), which knows no counters."""
SAMPLE: Final = st.builds(m.SampleArrived, sample=samples, request=st.just(UNDER_WAY))
GREETING: Final = m.GuildCameUp(session=SessionId("s1"), at_us=START_US)
KILL: Final = 0
KILL_LATE: Final = START_US + 120 * SECOND
"""A number among messages kills: the next life begins then, behind all that was told; 0 = by no clock."""

Script = list["m.Message | int"]


def scripts(*, forgetting: bool, kills: bool = True) -> st.SearchStrategy[Script]:
    """What a life is told, from the guild's coming on; answers to what is asked are as frequent as joins."""
    kinds = [kind for kind in MESSAGES if forgetting or kind not in UNFOLLOWED]
    anything = st.sampled_from(kinds).flatmap(lambda kind: MESSAGES[kind])
    often = st.one_of(joins, SAMPLE, anything, anything, st.sampled_from([KILL, KILL_LATE]) if kills else joins)
    return st.lists(often, max_size=25).map(lambda script: [GREETING, *script])


def played(script: Script) -> Life:
    """A life that was told all this."""
    life = Life()
    for step in script:
        if isinstance(step, int):
            life.kill(step)
        else:
            life.tell(step)
    return life


def unchanged(life: Life, at_us: int) -> m.SampleArrived:
    """The counters are as they were."""
    sample = Sample(
        requested_us=at_us,
        answered_us=at_us + 1,
        session=life.presence.session,
        counters=tuple(life.state.counters.values()),
        vanity=life.state.vanity or r.Vanity(code="acme", uses=0),
    )
    return m.SampleArrived(sample=sample, request=life.presence.request)


# Events

_TEXTS: Final = {"user": users, "code": codes, "staff": users, "inviter": users, "by": users, "session": sessions}


def any_of(kind: type[T]) -> st.SearchStrategy[T]:
    """Anything of the struct's shape, by its types alone; names and times are those of the small world."""
    fields = msgspec.structs.fields(kind)
    made = {each.name: _any(inspect.type_info(each.type), each.name) for each in fields}
    return st.builds(kind, **made)


def _any(kind: inspect.Type, name: str) -> st.SearchStrategy[object]:  # noqa: C901, PLR0911 -- one arm a kind of type
    match kind:
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return times if name.endswith("_us") else st.integers(0, 4)
        case inspect.StrType():
            return _TEXTS[name] if name in _TEXTS else codes | users | st.sampled_from(["", "x"])
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.EnumType():
            return st.sampled_from(kind.cls)
        case inspect.StructType():
            return any_of(kind.cls)
        case inspect.UnionType():
            return st.one_of([_any(each, name) for each in kind.types])
        case inspect.VarTupleType():
            return st.lists(_any(kind.item_type, name), max_size=3).map(tuple)
        case inspect.TupleType():
            return st.tuples(*(_any(each, name) for each in kind.item_types))
        case inspect.DictType():
            return st.dictionaries(codes, _any(kind.value_type, name), max_size=2)
        case _:
            raise NotImplementedError(kind)


def _lost(events: Sequence[r.Event]) -> tuple[r.Record, ...]:
    """Records as a branch that lost may hold them: any facts in any order, leaves of any membership."""
    drafts = [r.Draft(event=each, cause=r.InternalCause(what="x"), key=_key(each)) for each in events]
    return tuple(numbered(0, drafts))


def _key(event: r.Event) -> str:
    return f"leave/{event.user}/{event.opened_us}" if isinstance(event, r.LeaveRecorded) else "any"


salvages: Final = st.builds(
    m.Salvage,
    branch=st.sampled_from(["x", "y"]),
    records=st.deferred(lambda: st.lists(events, max_size=6)).map(_lost),
    forgotten=st.lists(st.builds(r.MemberForgotten, user=users, tombstone=st.integers(1, 2)), max_size=1).map(tuple),
    at_us=times,
)
events: Final = st.one_of([any_of(kind) for kind in get_args(r.Event)])
causes: Final = st.one_of([any_of(kind) for kind in get_args(r.Cause)])
