"""What lists and names keep (``persistence/lists.py``): the same sentences for the database and the one in memory."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from ledger.ids import GuildId, UserId
from ledger.records import CreditGranted, CreditReversed, Event, InternalCause, Record, Status, VerdictReached
from persistence.frames import GENESIS, Frame, seal
from persistence.layer import Layer, LayerSummary
from persistence.lists import MAX_CREDITS, MAX_NAME_CHARACTERS, MAX_NAMES, MAX_VERDICTS, Lists
from persistence.sqlite import SqliteLayer
from tests.persistence import earlier
from tests.persistence.layers import LISTING, sqlite_layer
from tests.persistence.making import BLUE, RED, Chain

ANNA, BORIS, NOBODY = UserId("7"), UserId(str(2**62)), UserId("9")
STAFF = (UserId("20"), UserId("3"), UserId("-1"))
NAMES = {
    ANNA: "安娜 🧭 \u202eannA\u202c **@everyone** <@1>\x00\n",
    BORIS: "👩‍👩‍👧" * 5,
}


@pytest.fixture(params=LISTING, ids=lambda factory: factory.__name__)
async def layer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Layer]:
    make: Callable[[Path], Layer] = request.param
    layer = make(tmp_path)
    await layer.open()
    await layer.begin(1, "lineage")
    yield layer
    await layer.close()


def lists_of(layer: Layer) -> Lists:
    assert layer.lists is not None
    return layer.lists


def verdict(seq: int, guild: GuildId, user: UserId, after: Frame | None) -> Frame:
    event = VerdictReached(user=user, opened_us=seq, status=Status.UNKNOWN, reason=f"reason {seq}")
    return framed(seq, guild, event, after)


def framed(seq: int, guild: GuildId, event: Event, after: Frame | None) -> Frame:
    record = Record(
        gsn=seq,
        guild=guild,
        seq=seq,
        epoch=1,
        at_ms=seq,
        cause=InternalCause(what="test"),
        key=f"key/{seq}",
        event=event,
        last=seq,
    )
    return seal(record, after.digest if after else GENESIS)


async def test_the_newest_verdicts_on_a_user_come_as_they_were_recorded(layer: Layer):
    frames: list[Frame] = []
    for seq in range(1, 2 * MAX_VERDICTS + 3):
        frames.append(verdict(seq, RED, ANNA if seq % 2 else BORIS, frames[-1] if frames else None))
    await layer.append(frames)
    wanted = [frame.record for frame in frames if frame.record.event.user == ANNA][-MAX_VERDICTS:]
    assert await lists_of(layer).verdicts(RED, ANNA) == wanted
    assert await lists_of(layer).verdicts(RED, NOBODY) == []
    assert await lists_of(layer).verdicts(BLUE, ANNA) == []


async def test_the_newest_credits_for_a_users_joins_come_as_they_were_recorded(layer: Layer):
    frames: list[Frame] = []
    for seq in range(1, 2 * MAX_CREDITS + 5):
        user, staff = ANNA if seq % 2 else BORIS, STAFF[seq % 3]
        moved = CreditReversed if seq % 4 == 1 else CreditGranted
        event = moved(user=user, opened_us=seq, kind="vip" if seq % 5 else "join", staff=staff)
        frames.append(framed(seq, RED, event, frames[-1] if frames else None))
    await layer.append(frames)
    wanted = [frame.record for frame in frames if frame.record.event.user == ANNA][-MAX_CREDITS:]
    assert await lists_of(layer).credits_of(RED, ANNA) == wanted
    assert await lists_of(layer).credits_of(RED, NOBODY) == []
    assert await lists_of(layer).credits_of(BLUE, ANNA) == []


async def test_names_of_any_script_come_back_as_they_were_after_a_reopening_too(layer: Layer):
    await lists_of(layer).put_names(RED, NAMES)
    assert await lists_of(layer).names(RED, [ANNA, BORIS, NOBODY]) == NAMES
    await layer.close()
    await layer.open()
    assert await lists_of(layer).names(RED, [ANNA, BORIS, NOBODY]) == NAMES
    assert await lists_of(layer).names(BLUE, [ANNA]) == {}
    assert await lists_of(layer).names(RED, []) == {}


async def test_a_newer_name_takes_the_place_of_the_one_before(layer: Layer):
    await lists_of(layer).put_names(RED, NAMES)
    await lists_of(layer).put_names(RED, {ANNA: "Anna"})
    await lists_of(layer).put_names(RED, {})
    assert await lists_of(layer).names(RED, [ANNA, BORIS]) == {ANNA: "Anna", BORIS: NAMES[BORIS]}


async def test_half_a_surrogate_pair_is_replaced_and_a_name_too_long_is_cut(layer: Layer):
    await lists_of(layer).put_names(RED, {ANNA: "a\ud83db", BORIS: "安" * 500})
    assert await lists_of(layer).names(RED, [ANNA, BORIS]) == {ANNA: "a\ufffdb", BORIS: "安" * MAX_NAME_CHARACTERS}


async def test_as_many_names_as_are_allowed_are_kept_and_read_at_once(layer: Layer):
    many = {UserId(str(number)): f"name {number}" for number in range(MAX_NAMES)}
    await lists_of(layer).put_names(RED, many)
    assert await lists_of(layer).names(RED, many) == many


@pytest.mark.parametrize(
    ("guild", "user", "deleted", "left"),
    [
        (RED, ANNA, 1, {RED: {BORIS}, BLUE: {ANNA, BORIS}}),
        (RED, None, 2, {RED: set(), BLUE: {ANNA, BORIS}}),
        (None, ANNA, 2, {RED: {BORIS}, BLUE: {BORIS}}),
        (None, NOBODY, 0, {RED: {ANNA, BORIS}, BLUE: {ANNA, BORIS}}),
    ],
)
async def test_what_is_forgotten_is_a_member_a_guild_or_a_person(
    layer: Layer, guild: GuildId | None, user: UserId | None, deleted: int, left: dict[GuildId, set[UserId]]
):
    for each in (RED, BLUE):
        await lists_of(layer).put_names(each, NAMES)
    assert await lists_of(layer).forget_names(guild, user) == deleted
    for each, users in left.items():
        assert set(await lists_of(layer).names(each, [ANNA, BORIS])) == users


async def test_names_and_records_do_not_disturb_each_other(layer: Layer):
    chain = Chain()
    await layer.append(chain.batch(RED))
    await lists_of(layer).put_names(RED, NAMES)
    await layer.append(chain.batch(RED))
    assert [row.seq for row in await lists_of(layer).joins_page(RED, 0, 10)] == [1, 2]
    assert [row.seq for row in await lists_of(layer).joins_page(RED, 1, 10)] == [2]
    await layer.close()
    summary = await layer.open()
    assert (summary.heads, summary.notes) == (chain.heads, ())


# The database alone


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SqliteLayer]:
    layer = sqlite_layer(folder)
    assert isinstance(layer, SqliteLayer)
    await layer.open()
    try:
        yield layer
    finally:
        await layer.close()


async def test_of_a_forgotten_name_no_byte_is_left_in_the_file(tmp_path: Path):
    async with opened(tmp_path) as layer:
        await layer.lists.put_names(RED, {UserId(str(n)): f"unmistakable {n}" for n in range(500)})
        await layer.lists.put_names(RED, {ANNA: "unmistakable old name"})
        await layer.lists.put_names(RED, {ANNA: "new"})
        await layer.lists.forget_names(RED, None)
        assert b"unmistakable" not in bytes_in(tmp_path)


def bytes_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())


async def test_a_name_with_a_flipped_bit_is_not_known_any_more(tmp_path: Path):
    async with opened(tmp_path) as layer:
        await layer.lists.put_names(RED, {ANNA: "unmistakable", BORIS: "Boris"})
    file = tmp_path / "ledger.db"
    file.write_bytes(file.read_bytes().replace(b"unmistakable", b"unmistakabme"))
    async with opened(tmp_path) as layer:
        assert await layer.lists.names(RED, [ANNA, BORIS]) == {BORIS: "Boris"}


# Names and the file they lie in


async def test_a_database_of_the_first_release_gets_its_table_of_names_and_nothing_else_happens(tmp_path: Path):
    chain = Chain()
    earlier.leave(tmp_path / "ledger.db", earlier.FIRST, chain.batch(RED, BLUE, RED))
    layer = sqlite_layer(tmp_path)
    summary = await layer.open()
    assert (summary.heads, summary.epoch, summary.notes) == (chain.heads, 1, ())
    assert len(await lists_of(layer).joins_page(RED, 0, 10)) == 2
    await lists_of(layer).put_names(RED, NAMES)
    await layer.close()
    assert (await layer.open()).notes == ()
    assert await lists_of(layer).names(RED, NAMES) == NAMES
    await layer.close()


class Book:
    """A closed database with a record and 1,000 names, spread over many pages."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self.chain = Chain()
        self.names = {UserId(str(number)): f"the name of {number:04}" for number in range(MAX_NAMES)}

    async def write(self) -> "Book":
        async with opened(self.path.parent) as layer:
            await layer.begin(1, "lineage")
            await layer.append(self.chain.batch(RED))
            await layer.lists.put_names(RED, self.names)
        return self

    def damage(self, mark: bytes, length: int) -> None:
        """Overwrites what stands at a mark, from its first byte on."""
        data = self.path.read_bytes()
        at = data.index(mark)
        self.path.write_bytes(data[:at] + b"\xff" * length + data[at + length :])


async def test_names_survive_when_the_file_is_written_anew(tmp_path: Path):
    book = await Book(tmp_path).write()
    book.damage(b'"cause"', 4)
    async with opened(tmp_path) as layer:
        assert (await reread(layer)).gsn == 0, "the damaged record is gone until another layer gives it"
        assert await layer.lists.names(RED, book.names) == book.names


async def test_names_on_a_page_that_cannot_be_read_are_lost_and_no_other_is_made_of_them(tmp_path: Path):
    book = await Book(tmp_path).write()
    page_size, data = 4096, book.path.read_bytes()
    page = data.index(b"the name of 0700") // page_size
    book.damage(data[page * page_size :][:64], 64)
    async with opened(tmp_path) as layer:
        kept = await layer.lists.names(RED, book.names)
        assert kept.items() < book.names.items()
        assert UserId("1") in kept
        assert UserId("700") not in kept
        assert (await reread(layer)).heads == book.chain.heads
        await layer.lists.put_names(RED, book.names)
        assert await layer.lists.names(RED, book.names) == book.names


async def test_with_its_table_gone_all_names_are_lost_and_no_record(tmp_path: Path):
    book = await Book(tmp_path).write()
    with closing(sqlite3.connect(book.path)) as other, other:
        other.execute("DROP TABLE names")
    async with opened(tmp_path) as layer:
        assert await layer.lists.names(RED, book.names) == {}
        assert (await reread(layer)).heads == book.chain.heads
        await layer.lists.put_names(RED, NAMES)


async def reread(layer: SqliteLayer) -> LayerSummary:
    await layer.close()
    return await layer.open()
