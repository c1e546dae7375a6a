"""The database layer's own rules: one owner, errors by their outcome, whole migrations, chains with holes, files."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, closing
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from ledger.errors import Corrupt, DiskFull, NewerFormat, NotConfirmed, StorageError
from persistence import read_model
from persistence.checkpoints import make_checkpoint
from persistence.disk import RealDisk
from persistence.frames import Frame, seal
from persistence.layer import LayerSummary, guild_frames
from persistence.migrations import MIGRATIONS, Migration, applied, migrate
from persistence.sqlite import SqliteLayer
from persistence.sqlite_connection import committing, connect, rows
from persistence.sqlite_terms import Term, put_term
from persistence.sqlite_wal import PAGE_BYTES
from tests.persistence import earlier
from tests.persistence.making import BLUE, RED, Chain, bytes_of

LINEAGE = "lineage"
LATER = Migration(name="later", statements=("CREATE TABLE later (what TEXT)",))


def layer_in(folder: Path) -> SqliteLayer:
    return SqliteLayer(RealDisk(), folder / "ledger.db", folder / "quarantine")


@pytest.fixture
async def layer(tmp_path: Path) -> AsyncIterator[SqliteLayer]:
    layer = layer_in(tmp_path)
    await layer.open()
    await layer.begin(1, LINEAGE)
    yield layer
    await layer.close()


async def everything(layer: SqliteLayer) -> list[Frame]:
    async with aclosing(layer.frames_after(0)) as stream:
        return [frame async for frame in stream]


async def reopened(layer: SqliteLayer) -> LayerSummary:
    await layer.close()
    return await layer.open()


async def limit_pages(layer: SqliteLayer, spare: int) -> None:
    """Makes the disk small: this many pages may still be added."""

    def limit() -> None:
        db = layer._database.connection
        ((pages,),) = rows(db, "PRAGMA page_count")
        assert isinstance(pages, int)
        rows(db, f"PRAGMA max_page_count = {pages + spare}")

    await layer._used()(limit)


def kept(folder: Path) -> list[str]:
    """What lies in quarantine, notes aside."""
    return sorted(path.name for path in (folder / "quarantine").glob("*") if path.suffix != ".why")


# One owner


async def test_a_second_owner_is_refused_and_told_why(layer: SqliteLayer, tmp_path: Path):
    second = layer_in(tmp_path)
    with pytest.raises(StorageError, match="in use by another process"):
        await second.open()
    await second.close()
    await layer.append(Chain().batch(RED))


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_file_that_was_removed_does_not_acknowledge(layer: SqliteLayer, tmp_path: Path, suffix: str):
    chain = Chain()
    await layer.append(chain.batch(RED))
    (tmp_path / f"ledger.db{suffix}").unlink()
    with pytest.raises(StorageError):
        await layer.append(chain.batch(RED))


async def test_a_file_that_was_replaced_does_not_acknowledge(layer: SqliteLayer, tmp_path: Path):
    chain = Chain()
    await layer.append(chain.batch(RED))
    shutil.copy(tmp_path / "ledger.db", tmp_path / "other.db")
    (tmp_path / "other.db").rename(tmp_path / "ledger.db")
    with pytest.raises(StorageError):
        await layer.append(chain.batch(RED))


# Errors by their outcome


async def test_nothing_of_a_batch_is_left_when_the_disk_is_full(layer: SqliteLayer):
    chain = Chain()
    first, second = chain.batch(RED, BLUE), chain.append(RED, 200)
    await layer.append(first)
    await limit_pages(layer, 2)
    with pytest.raises(DiskFull):
        await layer.append(second)
    summary = await reopened(layer)
    assert (summary.gsn, summary.notes) == (2, ())
    assert len(await layer.lists.joins_page(RED, 0, 100)) == 1
    await layer.append(second)
    assert bytes_of(await everything(layer)) == bytes_of(first + second)


def test_an_error_at_commit_is_an_unknown_outcome(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "any.db")) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("CREATE TABLE a (b INTEGER PRIMARY KEY, c REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
        with pytest.raises(NotConfirmed), committing(db, tmp_path):
            db.execute("INSERT INTO a VALUES (1, 2)")


async def test_what_was_recorded_once_more_is_taken_as_the_log_took_it(layer: SqliteLayer):
    """A hole may hide that a fact is known; whatever ``decide`` overlooks, a layer keeps what others have."""
    chain = Chain()
    first, second = chain.batch(RED, RED)
    again = seal(msgspec.structs.replace(second.record, key=first.record.key), first.digest)
    await layer.append([first, again])
    assert bytes_of(await guild_frames(layer, RED, 0)) == bytes_of([first, again])


# Migrations


def test_a_released_migration_never_changes():
    sums = {step.name: sha256(repr(step.statements).encode()).hexdigest()[:16] for step in MIGRATIONS}
    assert sums == {
        "records": "ff44eb7103abd78b",
        "read_model": "c9602d24b5f18067",
        "names": "e0f1950f7c3891fa",
        "by_gsn": "b15f856adae04909",
        "fresh": "dd8edb944e6d2b22",
    }


async def test_a_migration_that_fails_leaves_nothing_of_itself(tmp_path: Path):
    path = tmp_path / "ledger.db"
    broken = Migration(name="broken", statements=("CREATE TABLE half (a TEXT)", "CREATE TABLE half (a TEXT)"))
    db = connect(path)
    with pytest.raises(Corrupt, match="already exists"):
        migrate(db, path, (*MIGRATIONS, broken))
    db.close()
    db = connect(path)
    assert applied(db, path) == len(MIGRATIONS)
    assert rows(db, "SELECT name FROM sqlite_schema WHERE name = 'half'") == ()
    db.close()
    layer = layer_in(tmp_path)
    assert (await layer.open()).notes == ()
    await layer.close()


async def test_a_database_goes_through_the_migrations_it_has_not_had(tmp_path: Path):
    path = tmp_path / "ledger.db"
    for count in range(len(MIGRATIONS) + 1):
        db = connect(path)
        migrate(db, path, MIGRATIONS[:count])
        assert applied(db, path) == count
        db.close()
    layer = layer_in(tmp_path)
    assert (await layer.open()).notes == ()
    await layer.close()


async def test_a_database_of_an_earlier_release_keeps_every_record_also_those_on_no_chain(tmp_path: Path):
    old, new = Chain(), Chain(epoch=2)
    frames = old.batch(RED, BLUE, RED, RED)
    new.batch(RED)
    new.gsn, new.heads = 4, {RED: msgspec.structs.replace(new.heads[RED], digest=frames[0].digest)}
    winner = new.batch(RED)
    earlier.leave(tmp_path / "ledger.db", earlier.SECOND, [*frames[:2], *winner], aside=frames[2:])
    layer = layer_in(tmp_path)
    summary = await layer.open()
    assert (summary.heads, summary.missing) == ({**new.heads, BLUE: old.heads[BLUE]}, ())
    assert summary.notes == ("2 records stand on no chain",)
    assert bytes_of(await everything(layer)) == bytes_of([*frames, *winner])
    assert bytes_of(await guild_frames(layer, RED, 0)) == bytes_of([frames[0], *winner])
    assert [row.seq for row in await layer.lists.joins_page(RED, 0, 9)] == [1, 2]
    await layer.append(new.batch(RED))
    assert (await reopened(layer)).heads[RED] == new.heads[RED]
    await layer.close()


async def test_a_database_of_an_earlier_release_too_damaged_to_be_migrated_gives_what_can_be_read(tmp_path: Path):
    path, chain = tmp_path / "ledger.db", Chain()
    frames = chain.append(RED, 200)
    earlier.leave(path, earlier.SECOND, frames)
    data = path.read_bytes()
    page = data.index(frames[100].data) // PAGE_BYTES * PAGE_BYTES
    path.write_bytes(data[:page] + bytes(PAGE_BYTES) + data[page + PAGE_BYTES :])
    layer = layer_in(tmp_path)
    summary = await layer.open()
    held = bytes_of(await everything(layer))
    assert 100 < len(held) < 200
    assert set(held) < set(bytes_of(frames))
    assert summary.missing
    assert (await layer.fill(frames)).heads == chain.heads
    await layer.close()


async def test_a_database_of_a_later_release_is_refused_untouched(layer: SqliteLayer, tmp_path: Path):
    path = tmp_path / "ledger.db"
    await layer.append(Chain().batch(RED))
    await layer.close()
    db = connect(path)
    migrate(db, path, (*MIGRATIONS, LATER))
    put_term(db, path, Term(epoch=9, lineage="lineage", release="9.1.0"))
    db.close()
    before = path.read_bytes()
    with pytest.raises(NewerFormat) as refusal:
        await layer.open()
    await layer.close()
    assert (
        f"a later release, inviteledger 9.1.0: schema {len(MIGRATIONS) + 1}, known here up to {len(MIGRATIONS)}"
        in str(refusal.value)
    )
    assert path.read_bytes() == before
    assert kept(tmp_path) == []


# Chains


async def test_a_chain_goes_on_from_a_checkpoint_behind_a_hole_whatever_becomes_of_that_checkpoint(
    layer: SqliteLayer,
):
    chain = Chain()
    frames = chain.batch(RED, RED, RED, RED)
    await layer.append([*frames[:2], frames[3]])
    for _ in range(4):
        await layer.save_checkpoint(make_checkpoint(RED, chain.heads[RED], LINEAGE, ()))
        await layer.append(chain.batch(RED, RED))
    for _ in range(2):
        summary = await reopened(layer)
        assert (summary.heads, summary.missing) == (chain.heads, ((3, 3),))
    filled = await layer.fill([frames[2]])
    assert (filled.heads, filled.missing) == (chain.heads, ())
    assert len(await guild_frames(layer, RED, 0)) == chain.gsn


async def test_a_branch_with_a_higher_epoch_supersedes_records_and_their_read_model(layer: SqliteLayer):
    old, new = Chain(), Chain(epoch=2)
    frames = old.batch(RED, RED, RED)
    await layer.append(frames)
    new.batch(RED)
    new.gsn, new.heads = 3, {RED: msgspec.structs.replace(new.heads[RED], digest=frames[0].digest)}
    await layer.append(winners := new.batch(RED))
    for _ in range(2):
        assert bytes_of(await everything(layer)) == bytes_of([*frames, *winners])
        assert bytes_of(await guild_frames(layer, RED, 0)) == bytes_of([frames[0], *winners])
        assert [row.opened_us for row in await layer.lists.joins_page(RED, 0, 9)] == [1, winners[0].record.gsn]
        summary = await reopened(layer)
        assert (summary.heads, summary.notes) == (new.heads, ("2 records stand on no chain",))


# The read model's newest rows


async def test_rows_are_sorted_in_many_at_a_time_and_none_is_missed_or_twice(
    layer: SqliteLayer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(read_model, "SORTED_AT_ONCE", 5)
    chain = Chain()
    for _ in range(7):
        await layer.append(chain.batch(RED, BLUE, RED))
    assert await layer._used()(lambda: counted(layer)) == (18, 3)
    copy = await killed(layer, tmp_path, chain.batch(BLUE))
    assert (await copy.open()).notes == ()
    assert await copy._used()(lambda: counted(copy)) == (22, 0), "an opening sorts all of them in"
    await copy.close()
    assert len(await layer.lists.joins_page(RED, 0, 100)) == 14
    assert await layer._used()(lambda: counted(layer)) == (22, 0), "and so does who wants to read"
    assert (await reopened(layer)).notes == ()


def counted(layer: SqliteLayer) -> tuple[object, object]:
    """How many joins are in their table, and how many are fresh."""
    db = layer._database.connection
    ((joins,), (fresh,)) = rows(db, "SELECT count(*) FROM joins UNION ALL SELECT count(*) FROM fresh_joins")
    return joins, fresh


# Names of files


async def killed(layer: SqliteLayer, folder: Path, frames: Sequence[Frame]) -> SqliteLayer:
    """A copy of the database as it lies there when its process is killed right after these frames."""
    await layer.append(frames)
    shutil.copytree(folder, folder / "killed", ignore=shutil.ignore_patterns("killed"))
    return layer_in(folder / "killed")


async def test_what_only_the_wal_holds_is_there_after_a_kill(layer: SqliteLayer, tmp_path: Path):
    copy = await killed(layer, tmp_path, frames := Chain().batch(RED, BLUE))
    summary = await copy.open()
    assert (summary.gsn, summary.notes) == (2, ())
    assert bytes_of(await everything(copy)) == bytes_of(frames)
    await copy.close()


@pytest.mark.parametrize("emptied", [True, False])
async def test_a_wal_that_lost_its_database_is_kept(layer: SqliteLayer, tmp_path: Path, *, emptied: bool):
    copy = await killed(layer, tmp_path, Chain().batch(RED, BLUE))
    path = tmp_path / "killed" / "ledger.db"
    wal = path.with_name("ledger.db-wal").read_bytes()
    if emptied:
        path.write_bytes(b"")
    else:
        path.unlink()
    summary = await copy.open()
    assert (summary.gsn, len(summary.notes)) == (0, 1)
    assert (tmp_path / "killed" / "quarantine" / "1-ledger.db-wal").read_bytes() == wal
    await copy.close()


@pytest.mark.parametrize("at", [0, 16, 24, 33, 36, 40, 50, 5_000, -1])
async def test_a_wal_that_is_not_believed_is_kept_and_said(layer: SqliteLayer, tmp_path: Path, at: int):
    copy = await killed(layer, tmp_path, Chain().batch(RED, BLUE))
    path = tmp_path / "killed" / "ledger.db-wal"
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
    summary = await copy.open()
    assert "of the WAL are damaged" in summary.notes[0]
    assert [name.endswith("ledger.db-wal") for name in kept(tmp_path / "killed")] == [True]
    await copy.close()


async def test_a_rewrite_that_was_stopped_is_begun_anew_or_ended(layer: SqliteLayer, tmp_path: Path):
    await layer.append(frames := Chain().batch(RED, BLUE))
    await layer.close()
    path, draft = tmp_path / "ledger.db", tmp_path / "ledger.db.new"
    draft.write_bytes(b"half of a database")
    assert ((await layer.open()).gsn, draft.exists()) == (2, False)
    await layer.close()
    path.rename(draft)
    assert ((await layer.open()).gsn, draft.exists()) == (2, False)
    assert bytes_of(await everything(layer)) == bytes_of(frames)
