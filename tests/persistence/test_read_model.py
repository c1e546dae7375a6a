"""The read model: whatever happened, in whatever batches, its tables are what the records say, and nothing else."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import records as r
from ledger.errors import Corrupt
from ledger.ids import GuildId, InviteCode, UserId, tombstone
from persistence import read_model
from persistence.chains import NO_HEAD, head_of
from persistence.disk import RealDisk
from persistence.frames import Frame, seal
from persistence.layer import Head
from persistence.lists import FIRST_CREDIT, MAX_PAGE
from persistence.migrations import FRESH, NAMES, READ_MODEL
from persistence.offload import inline
from persistence.renaming import Renaming, read_today
from persistence.sqlite import SqliteLayer
from persistence.sqlite_connection import rows
from persistence.sqlite_lists import SqliteLists
from persistence.sqlite_records import Records
from persistence.sqlite_vetting import Vetting
from tests.memory.database import credit_rows, join_rows
from tests.persistence.making import BLUE, RED, SESSION, bytes_of

TABLES = ("joins", "leaves", "verdicts", "assignments", "credits")
USERS = tuple(UserId(str(number)) for number in (7, 8, 2**62))
CAUSE = r.InternalCause(what="test")

user = st.sampled_from(USERS)
opened_us = st.integers(1, 4)
code = st.sampled_from((InviteCode("aaa"), InviteCode("bß\x00")))
kind = st.sampled_from(("join", "vip"))
event = st.one_of(
    st.builds(
        r.JoinRecorded,
        user=user,
        joined_at_us=opened_us,
        arrived_us=opened_us,
        session=st.just(SESSION),
        origin=st.sampled_from(("live", "away", "unreadable")),
        bot=st.booleans(),
        rejoin=st.booleans(),
        missed_leave=st.booleans(),
    ),
    st.builds(r.LeaveRecorded, user=user, arrived_us=opened_us, inferred=st.booleans()),
    st.builds(
        r.VerdictReached,
        user=user,
        opened_us=opened_us,
        status=st.sampled_from(r.Status),
        code=st.none() | code,
        inviter=st.none() | user,
        staff=st.none() | user,
        candidates=st.lists(code, max_size=2).map(tuple),
        reason=st.text(max_size=3).filter(lambda text: text.isprintable()),
    ),
    st.builds(r.CreditGranted, user=user, opened_us=opened_us, kind=kind, staff=user),
    st.builds(r.CreditReversed, user=user, opened_us=opened_us, kind=kind, staff=user),
    st.builds(
        r.InviteAssigned, code=code, staff=user, since_us=opened_us, version=st.integers(1, 3), by=st.none() | user
    ),
    st.builds(r.GuildLeft, at_us=opened_us),
    st.sampled_from([r.MemberForgotten(user=each, tombstone=at) for at, each in enumerate(USERS, 1)]),
    st.just(r.GuildForgotten(until_us=5)),
)
history = st.lists(st.tuples(st.sampled_from((RED, BLUE)), event), max_size=25)


def sealed(story: Sequence[tuple[GuildId, r.Event]]) -> list[Frame]:
    """The frames of these events, an append each."""
    frames: list[Frame] = []
    heads: dict[GuildId, Head] = {}
    for gsn, (guild, event) in enumerate(story, 1):
        head = heads.get(guild, NO_HEAD)
        seq = head.seq + 1
        key = f"forgotten/{gsn}" if isinstance(event, r.Forgetting) else str(gsn)
        record = r.Record(
            gsn=gsn, guild=guild, seq=seq, epoch=1, at_ms=gsn, cause=CAUSE, key=key, event=event, last=seq
        )
        frames.append(seal(record, head.digest))
        heads[guild] = head_of(frames[-1])
    return frames


def records_of(story: Sequence[tuple[GuildId, r.Event]]) -> list[r.Record]:
    return [frame.record for frame in sealed(story)]


@contextmanager
def tables() -> Iterator[sqlite3.Connection]:
    """The read model's tables alone, in memory."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.text_factory = bytes
        for statement in (*READ_MODEL.statements, *NAMES.statements, *FRESH.statements):
            db.execute(statement)
        yield db


def content(db: sqlite3.Connection) -> dict[str, list[object]]:
    read_model.sort(db)
    return {table: sorted(rows(db, f"SELECT * FROM {table}"), key=repr) for table in TABLES}


@given(history, st.randoms(use_true_random=False))
async def test_the_tables_do_not_depend_on_how_records_were_batched(
    story: list[tuple[GuildId, r.Event]], random: Random
):
    records = records_of(story)
    with tables() as one_by_one, tables() as batched:
        for record in records:
            read_model.follow(one_by_one, [record])
        while records:
            size = random.randint(1, len(records))
            read_model.follow(batched, records[:size])
            records = records[size:]
        assert content(batched) == content(one_by_one)


@given(history)
async def test_the_sum_of_checksums_is_the_one_that_the_records_tell(story: list[tuple[GuildId, r.Event]]):
    records = records_of(story)
    with tables() as db:
        read_model.follow(db, records)
        renaming = renaming_of(records)
        assert read_model.held(db) == sum(read_model.told(record, renaming) for record in records)


@given(history)
async def test_rows_that_were_changed_are_rows_made_of_the_records_as_they_read_today(
    story: list[tuple[GuildId, r.Event]],
):
    records = records_of(story)
    plain = [record for record in read_today(records) if not isinstance(record.event, r.Forgetting)]
    with tables() as changed, tables() as made:
        read_model.follow(changed, records)
        read_model.follow(made, plain)
        assert content(changed) == content(made)


@given(history)
async def test_joins_are_what_a_plain_walk_through_the_records_gives(
    story: list[tuple[GuildId, r.Event]],
):
    records = records_of(story)
    with tables() as db:
        read_model.follow(db, records)
        for guild in (RED, BLUE):
            own = as_read_today([record for record in records if record.guild == guild])
            page = await SqliteLists(inline, db, Records(db, Path()), Path()).joins_page(guild, 0, MAX_PAGE)
            assert page == join_rows(own)


def renaming_of(records: Sequence[r.Record]) -> Renaming:
    renaming = Renaming()
    for record in records:
        renaming.learn(record)
    return renaming


def as_read_today(records: Sequence[r.Record]) -> list[r.Record]:
    """One guild's records, rewritten at each forgetting."""
    read: list[r.Record] = []
    for record in records:
        match record.event:
            case r.MemberForgotten() as forgotten:
                read = [called_otherwise(each, forgotten) for each in read]
            case r.GuildForgotten():
                read = []
            case _:
                read.append(record)
    return read


def called_otherwise(record: r.Record, forgotten: r.MemberForgotten) -> r.Record:
    names = {forgotten.user: tombstone(forgotten.tombstone)}
    event = r.renamed(record.event, lambda user: names.get(user, user))
    return msgspec.structs.replace(record, event=event)


STORY: tuple[tuple[GuildId, r.Event], ...] = (
    (RED, r.JoinRecorded(user=USERS[0], joined_at_us=1, arrived_us=2, session=SESSION)),
    (
        RED,
        r.VerdictReached(user=USERS[0], opened_us=1, status=r.Status.CERTAIN, code=InviteCode("a"), staff=USERS[1]),
    ),
    (RED, r.CreditGranted(user=USERS[0], opened_us=1, kind="join", staff=USERS[1])),
    (BLUE, r.JoinRecorded(user=USERS[2], joined_at_us=1, arrived_us=2, session=SESSION)),
    (RED, r.LeaveRecorded(user=USERS[0], arrived_us=9)),
    (RED, r.InviteAssigned(code=InviteCode("a"), staff=USERS[1], since_us=1, version=1)),
    (RED, r.CreditReversed(user=USERS[0], opened_us=1, kind="join", staff=USERS[1])),
)


async def test_it_changes_with_its_records_and_comes_back_with_them(tmp_path: Path):
    layer = layer_in(tmp_path)
    await layer.open()
    await layer.begin(1, "lineage")
    await layer.append(sealed(STORY))
    before = await layer.lists.joins_page(RED, 0, 100), await layer.lists.joins_page(BLUE, 0, 100)
    await layer.close()
    assert (await layer.open()).notes == ()
    after = await layer.lists.joins_page(RED, 0, 100), await layer.lists.joins_page(BLUE, 0, 100)
    assert after == before
    (join,), _ = after
    assert (join.left_us, join.status, join.staff, join.code) == (9, r.Status.CERTAIN, USERS[1], "a")
    await layer.close()


WHO = USERS[2]
EVERYWHERE: tuple[tuple[GuildId, r.Event], ...] = (
    (RED, r.JoinRecorded(user=WHO, joined_at_us=1, arrived_us=2, session=SESSION)),
    (RED, r.VerdictReached(user=WHO, opened_us=1, status=r.Status.LIKELY, inviter=WHO, staff=WHO)),
    (RED, r.CreditGranted(user=WHO, opened_us=1, kind="join", staff=WHO)),
    (RED, r.LeaveRecorded(user=WHO, arrived_us=9)),
    (RED, r.InviteAssigned(code=InviteCode("a"), staff=WHO, since_us=1, version=1, by=WHO)),
)


async def test_no_column_of_any_table_keeps_the_id_of_somebody_forgotten(tmp_path: Path):
    layer = layer_in(tmp_path)
    await layer.open()
    frames = sealed([*EVERYWHERE, (RED, r.MemberForgotten(user=WHO, tombstone=1))])
    await layer.append(frames[:-1])
    await layer.lists.put_names(RED, {WHO: "Anna"})
    await layer.append(frames[-1:])
    assert await layer.lists.names(RED, [WHO]) == {}
    await layer.close()
    assert (await layer.open()).notes == ()
    await layer.close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        for table in TABLES:
            held = {value for row in rows(db, f"SELECT * FROM {table}") for value in row}
            assert int(WHO) not in held
            assert -1 in held


async def test_made_anew_it_is_the_same(tmp_path: Path):
    layer = layer_in(tmp_path)
    await layer.open()
    await layer.append(sealed(STORY))
    await layer.close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        before, records = content(db), Records(db, tmp_path)
        Vetting(db, tmp_path, records).run()
        for guild in (RED, BLUE):
            records.rebuild(guild)
        assert content(db) == before


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE joins SET origin = 'away'",
        "UPDATE leaves SET left_us = left_us + 1",
        "DELETE FROM verdicts",
        "UPDATE assignments SET staff = 1",
        "INSERT INTO credits SELECT guild, staff, 99, 1, user, opened_us, kind FROM credits WHERE amount = 1",
    ],
)
async def test_a_table_that_is_not_what_the_records_say_is_made_anew(tmp_path: Path, damage: str):
    layer = layer_in(tmp_path)
    await layer.open()
    frames = sealed(STORY)
    await layer.append(frames)
    before = await layer.lists.joins_page(RED, 0, 100)
    await layer.close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        db.execute(damage)
        db.commit()
    summary = await layer.open()
    assert summary.notes == ("ledger.db: the read model is not what the records say",)
    assert (await layer.lists.joins_page(RED, 0, 100)) == before
    async with aclosing(layer.frames_after(0)) as stream:
        assert bytes_of([frame async for frame in stream]) == bytes_of(frames)
    await layer.close()


async def test_a_page_goes_on_where_the_last_one_ended():
    story: list[tuple[GuildId, r.Event]] = [
        (RED, msgspec.structs.replace(STORY[0][1], joined_at_us=n)) for n in range(5)
    ]
    with tables() as db:
        read_model.follow(db, records_of(story))
        first = await SqliteLists(inline, db, Records(db, Path()), Path()).joins_page(RED, 0, 3)
        rest = await SqliteLists(inline, db, Records(db, Path()), Path()).joins_page(RED, first[-1].seq, 3)
        assert [row.opened_us for row in (*first, *rest)] == [0, 1, 2, 3, 4]


@given(history, st.integers(1, 4))
async def test_credits_of_both_kinds_come_in_pages_as_a_walk_through_the_records_finds_them(
    story: list[tuple[GuildId, r.Event]], limit: int
):
    with tables() as db:
        records = records_of(story)
        read_model.follow(db, records)
        for guild in (RED, BLUE):
            after, found = FIRST_CREDIT, []
            while page := await SqliteLists(inline, db, Records(db, Path()), Path()).credits_page(
                guild, after, limit
            ):
                found += page
                after = int(page[-1].staff), page[-1].seq
            assert found == credit_rows(read_today([each for each in records if each.guild == guild]))


async def test_a_row_that_cannot_be_read_is_said():
    with tables() as db:
        read_model.follow(db, records_of(STORY))
        read_model.sort(db)
        db.execute("UPDATE verdicts SET status = 'nonsense'")
        with pytest.raises(Corrupt):
            await SqliteLists(inline, db, Records(db, Path()), Path()).joins_page(RED, 0, 3)


def layer_in(folder: Path) -> SqliteLayer:
    return SqliteLayer(RealDisk(), folder / "ledger.db", folder / "quarantine")
