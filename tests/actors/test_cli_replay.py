"""Replay shows a guild as it was: what the records up to then say, and nobody who asked to be forgotten since."""

import json
import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cli.history import GuildHistory
from actors.cli.replay import Question, replay
from actors.cli.times import BadTime, compact, parse_time, shown
from ledger.ids import GuildId, UserId
from ledger.records import Forgetting, Record
from tests.actors.written import Around, Sealer, in_time, keep_checkpoint, make_log, write_history
from tests.ledger.worlds import START_US, World

NOON_MS = 1_764_331_200_000
START_MS = START_US // 1000
ONE = GuildId("1")


def played(seed: int, forgotten: list[tuple[int, str | None]] | None = None) -> list[Record]:
    world = World(seed)
    for second, user in forgotten or ():
        world.forget_at(START_US + second * 1_000_000, UserId(user) if user else None)
    world.run()
    return world.records


def ask(
    data: Path, until_ms: int | None = None, guild: str | None = None
) -> tuple[int, list[dict[str, object]], str]:
    around = Around()
    question = Question(guild=None if guild is None else GuildId(guild), until_ms=until_ms)
    code = replay(around.all, data, data / "ledger.db", question, json=True)
    return code, [json.loads(line) for line in around.out.getvalue().splitlines()], around.err.getvalue()


def told(view: dict[str, object]) -> list[str]:
    joins = view["joins"]
    assert isinstance(joins, list)
    return sorted(map(repr, joins))


def modelled(records: list[Record], until_ms: int) -> list[str]:
    """The joins by the fold of the export, which shares no code with the actor's."""
    history = GuildHistory(ONE)
    kept = [each for each in records if each.at_ms <= until_ms]
    for each in (*kept, *(each for each in records[len(kept) :] if isinstance(each.event, Forgetting))):
        history.take(each)
    return sorted(repr(json.loads(msgspec.json.encode(line))) for _, line in history.joins())


@given(
    st.integers(0, 10**9),
    st.integers(0, 90),
    st.lists(st.tuples(st.integers(0, 90), st.sampled_from(["2", "3", "1000", "1004", None])), max_size=3),
)
def test_a_guild_as_of_any_time_is_what_its_records_of_before_say(
    seed: int, second: int, forgotten: list[tuple[int, str | None]]
):
    records = played(seed, forgotten)
    until_ms = START_MS + second * 1_000
    with tempfile.TemporaryDirectory() as folder:
        write_history(Path(folder), records, segment_bytes=4_000)
        code, views, _ = ask(Path(folder), until_ms)
    kept = [each for each in records if each.at_ms <= until_ms]
    assert code == (0 if kept else 1)
    if kept:
        (view,) = views
        assert told(view) == modelled(records, until_ms)
        assert view["place"]["seq"] == kept[-1].seq  # type: ignore[index]
        for user in {user for at, user in forgotten if user}:
            forgot = [each for each in records if isinstance(each.event, Forgetting) and each.at_ms > until_ms]
            if any(getattr(each.event, "user", None) == user for each in forgot):
                assert f'"{user}"' not in json.dumps(view)


def test_one_guild_of_several_is_shown_when_it_is_named(tmp_path: Path):
    write_history(tmp_path, played(1), played(2))
    assert [view["place"]["guild"] for view in ask(tmp_path)[1]] == ["1", "2"]  # type: ignore[index]
    assert [view["place"]["guild"] for view in ask(tmp_path, guild="2")[1]] == ["2"]  # type: ignore[index]
    assert ask(tmp_path, guild="3") == (1, [], "note: nothing was recorded of guild 3\n")
    assert ask(tmp_path, 2**40, guild="3") == (1, [], "note: nothing was recorded of guild 3 by then\n")


def test_before_the_beginning_there_is_nothing_and_the_beginning_is_told(tmp_path: Path):
    write_history(tmp_path, played(1))
    code, views, said = ask(tmp_path, START_MS - 1)
    assert (code, views) == (1, [])
    assert said == f"note: nothing was recorded by then; the first record is of {shown(START_MS)}\n"


def test_where_nothing_is_recorded_it_says_so(tmp_path: Path):
    code, views, said = ask(tmp_path / "data")
    assert (code, views) == (1, [])
    assert "is LEDGER_DATA the bot's?" in said


def test_a_person_reads_lines(tmp_path: Path):
    records = played(3)
    write_history(tmp_path, records)
    around = Around()
    assert replay(around.all, tmp_path, tmp_path / "ledger.db", Question(guild=None, until_ms=None), json=False) == 0
    lines = around.out.getvalue().splitlines()
    assert lines[0].startswith(f"guild 1, as of record {len(records)} (gsn {len(records)}) of 2023-11-14 22:1")
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "members", "joins", "credits", "invites", "assigned", "continuity", "digest",
    ]  # fmt: skip


def test_a_branch_that_lost_does_not_count(tmp_path: Path):
    """Records of a higher epoch take the place of earlier ones with the same seq."""
    records = played(4)
    appends = in_time(records)
    half = len(appends) // 2
    winning = [[msgspec.structs.replace(each, epoch=2) for each in append] for append in appends[half:]]
    log, seal = make_log(tmp_path), Sealer()
    log.append(seal([*appends, *winning]))
    log.close()
    code, views, _ = ask(tmp_path)
    assert code == 0
    assert told(views[0]) == modelled(records, 2**60)
    assert views[0]["place"]["gsn"] == seal.gsn  # type: ignore[index]


@pytest.mark.parametrize("helped", [True, False])
def test_behind_missing_records_a_guild_comes_from_a_checkpoint_or_not_at_all(tmp_path: Path, helped: bool):  # noqa: FBT001
    records = played(5)
    frames = write_history(tmp_path, records, segment_bytes=100)
    if helped:
        keep_checkpoint(tmp_path, frames, len(frames) - 3)
    second = sorted((tmp_path / "log").iterdir())[1]
    second.write_bytes(second.read_bytes().replace(b'"gsn"', b'"gsm"'))
    code, views, said = ask(tmp_path)
    assert code == 1
    assert "cannot be read" in said
    if helped:
        assert told(views[0]) == modelled(records, 2**60)
    else:
        assert views == []


def test_what_is_missing_behind_the_time_is_not_missed(tmp_path: Path):
    records = played(5)
    write_history(tmp_path, records, segment_bytes=100)
    late = sorted((tmp_path / "log").iterdir())[-2]
    late.write_bytes(late.read_bytes().replace(b'"gsn"', b'"gsm"'))
    until_ms = records[3].at_ms
    code, views, said = ask(tmp_path, until_ms)
    assert (code, said) == (0, "")
    assert told(views[0]) == modelled(records, until_ms)


def test_looking_changes_nothing(tmp_path: Path):
    frames = write_history(tmp_path / "data", played(6))
    keep_checkpoint(tmp_path / "data", frames, len(frames))
    shutil.copytree(tmp_path / "data", tmp_path / "before")
    ask(tmp_path / "data")
    assert tree(tmp_path / "data") == tree(tmp_path / "before")


def tree(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("said", "ms"),
    [
        ("2h ago", NOON_MS - 7_200_000),
        ("90 minutes", NOON_MS - 5_400_000),
        ("1 day ago", NOON_MS - 86_400_000),
        ("1.5h ago", NOON_MS - 5_400_000),
        ("now", NOON_MS),
        (shown(NOON_MS), NOON_MS),
        (shown(NOON_MS).replace("UTC", "GMT"), NOON_MS),
        (" 2 W ago", NOON_MS - 1_209_600_000),
        ("30s", NOON_MS - 30_000),
        ("2025-11-28T12:00:00Z", NOON_MS),
        ("2025-11-28 13:00+01:00", NOON_MS),
        ("2025-11-28T12:00", NOON_MS),
        ("2025-11-28", NOON_MS - 43_200_000),
        ("2025-11-28T12:00:00.250Z", NOON_MS + 250),
    ],
)
def test_a_time_is_said_as_iso_8601_or_as_an_age(said: str, ms: int):
    assert parse_time(said, NOON_MS) == ms


@pytest.mark.parametrize(
    "said",
    [
        "",
        "yesterday",
        "2x ago",
        "2025-13-01",
        "2025-11-28T25:00",
        "999999999 weeks",
        "12:00",
        "-2h",
        "2h agone",
        "2025-11-28T12:00+02:00 UTC",
    ],
)
def test_what_is_no_time_is_a_usage_error_that_shows_how(said: str):
    with pytest.raises(BadTime) as caught:
        parse_time(said, NOON_MS)
    assert "2h ago" in caught.value.hint


def test_times_are_shown_in_utc():
    assert (shown(NOON_MS + 999), compact(NOON_MS)) == ("2025-11-28 12:00:00 UTC", "20251128T120000Z")
