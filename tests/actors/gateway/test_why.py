"""/why: what is said of a join, verdict by verdict; and that nobody who was forgotten is named."""

from typing import Final

from actors.gateway.why import NO_EVIDENCE, Whys
from ledger import messages as m
from ledger import records as r
from ledger.errors import StorageError
from ledger.ids import GuildId, InviteCode, UserId
from ledger.state import Period
from persistence.frames import GENESIS, Frame, seal
from tests.actors.gateway.town import Town

GUILD: Final = GuildId("77")
ANNA, STAFF, ADMIN = UserId("7"), UserId("8"), UserId("9")
JOINED_US: Final = 1_795_542_126_000_000
A, B = InviteCode("A"), InviteCode("B")
OPEN: Final = r.VerdictReached(
    user=ANNA,
    opened_us=JOINED_US,
    status=r.Status.CANDIDATES,
    candidates=(A, B),
    window=3,
    evidence=r.Evidence(
        joins=2,
        uses={A: 1, B: 1},
        capped={InviteCode("C"): -1},
        excluded={InviteCode("D"): "created_after_the_join"},
        sampled_us=(JOINED_US - 10**6, JOINED_US + 10**6),
        broken=("session",),
        assumptions=("P0", "P1", "P2"),
    ),
)
DECIDED: Final = r.VerdictReached(
    user=ANNA, opened_us=JOINED_US, status=r.Status.MANUAL, code=A, staff=STAFF, by=ADMIN, reason="She told *me*"
)
PERIOD: Final = Period(
    JOINED_US,
    JOINED_US,
    status=r.Status.MANUAL,
    code=A,
    staff=STAFF,
    credited=STAFF,
    report=r.Report(5, B),
    vip=True,
    vip_since_us=JOINED_US + 10**6,
    vip_credited=STAFF,
)


async def keep(town: Town, *events: r.Event) -> None:
    await town.inside.books.open()
    await town.inside.books.begin(1, "lineage")
    frames: list[Frame] = []
    for seq, event in enumerate(events, start=1):
        record = r.Record(
            gsn=seq,
            guild=GUILD,
            seq=seq,
            epoch=1,
            at_ms=JOINED_US // 1_000 + seq,
            cause=r.InternalCause(what="test"),
            key=f"key/{seq}",
            event=event,
            last=seq,
        )
        frames.append(seal(record, frames[-1].digest if frames else GENESIS))
    await town.inside.books.append(frames)


async def unreadable(query: object) -> object:
    raise StorageError(f"the disk is gone: {query}")


async def told(town: Town, *periods: Period, forgotten: frozenset[UserId] = frozenset()) -> str:
    town.answer = lambda _: m.MemberReport(user=ANNA, periods=periods, forgotten=forgotten)
    return await Whys(town.roster, town.inside).explain(GUILD, ANNA, "Anna")


async def test_each_verdict_is_told_with_its_evidence_in_words(town: Town):
    await keep(town, OPEN, DECIDED)
    text = await told(town, PERIOD)
    for said in (
        "**1.**",
        "`A` or `B`",
        "2 people joined",
        "`A` was used 1 time; `B` was used 1 time; `C` may have been used any number of times",
        "Not `D`: it was made after the join",
        "I was not connected all the time",
        "an invite that vanished, and that nobody deleted, was used up",
        "**2.**",
        f"decided by a person: `A` → <@{STAFF}>",
        f"Decided by <@{ADMIN}>: She told \\*me\\*",
        "names `B`",
        f"The join is credited to <@{STAFF}>",
        f"VIP since <t:{JOINED_US // 10**6 + 1}:f>: credited to <@{STAFF}>",
    ):
        assert said in text, said
    assert text.index("**1.**") < text.index("**2.**")


async def test_verdicts_of_earlier_memberships_are_not_mixed_in(town: Town):
    await keep(town, OPEN)
    later = Period(JOINED_US + 10**9, JOINED_US + 10**9)
    text = await told(town, PERIOD, later)
    assert "not worked out yet" in text
    assert "`A`" not in text


async def test_whoever_was_forgotten_is_not_named(town: Town):
    await keep(town, OPEN, DECIDED)
    plain = Period(JOINED_US, JOINED_US, status=r.Status.MANUAL)
    text = await told(town, plain, forgotten=frozenset({STAFF, ADMIN}))
    assert f"<@{STAFF}>" not in text
    assert f"<@{ADMIN}>" not in text
    assert "a forgotten member" in text


async def test_somebody_never_seen_and_somebody_from_before_are_told_apart(town: Town):
    await keep(town, OPEN)
    assert "never seen" in await told(town)
    assert "before I began to count" in await told(town, Period(1, 1, counted=False))


async def test_records_that_cannot_be_read_are_said(town: Town):
    await keep(town, OPEN)
    town.inside.read = unreadable
    assert await told(town, PERIOD) == NO_EVIDENCE
