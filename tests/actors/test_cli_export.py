"""The export says of every join what the actor's state says, from the log alone, also while it is written to."""

import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cli.export import export_joins
from actors.cli.history import GuildHistory, JoinLine
from ledger.evolve import evolve
from ledger.ids import GuildId, SessionId, UserId, is_tombstone
from ledger.records import GuildAdopted, InternalCause, JoinRecorded, MembersSeeded, Record, SeededMember
from ledger.state import GuildState, Period
from persistence.chains import head_of
from persistence.checkpoints import Checkpoints, make_checkpoint
from persistence.disk import RealDisk
from persistence.quarantine import Quarantine
from tests.actors.written import Sealer, appends_of, make_log
from tests.ledger.worlds import START_US, World

FIELDS = ["guild", "user", "joined_at_ms", "period", "status", "code", "inviter", "staff", "candidates", "credited"]


def played(seed: int, joins: int = 12) -> World:
    world = World(seed, joins=joins)
    world.run()
    return world


def export(data: Path, guild: str | None = None) -> tuple[int, list[dict[str, object]], str]:
    out, err = io.BytesIO(), io.StringIO()
    code = export_joins(data, data / "ledger.db", GuildId(guild) if guild else None, out, err)
    return code, [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


def expected(records: list[Record], guild: str) -> list[dict[str, object]]:
    """What the actor's own state says of its joins, in the order of their records."""
    state = GuildState(guild=GuildId(guild))
    for record in records:
        state = evolve(state, record)
    lines = []
    for join in (record.event for record in records if isinstance(record.event, JoinRecorded)):
        periods = state.members[join.user]
        number = next(n for n, period in enumerate(periods, start=1) if period.opened_us == join.joined_at_us)
        period = periods[number - 1]
        values = (guild, join.user, join.joined_at_us // 1000, number, period.status.value, period.code)
        values = (*values, period.inviter, period.staff, list(period.candidates), period.credited)
        lines.append(dict(zip(FIELDS, values, strict=True)))
    return lines


def record(seq: int, event: GuildAdopted | MembersSeeded | JoinRecorded, epoch: int = 1) -> Record:
    cause = InternalCause(what="test")
    key = f"test/{seq}"
    return Record(
        gsn=seq, guild=GuildId("1"), seq=seq, epoch=epoch, at_ms=0, cause=cause, key=key, event=event, last=seq
    )


def joined(user: str, at_us: int) -> JoinRecorded:
    return JoinRecorded(user=UserId(user), joined_at_us=at_us, arrived_us=at_us, session=SessionId("s"))


@given(st.integers(0, 10**9))
def test_the_fold_says_what_the_state_says(seed: int):
    world = played(seed)
    history = GuildHistory(GuildId("1"))
    for each in world.records:
        history.take(each)
    assert [json.loads(msgspec.json.encode(line)) for _, line in history.joins()] == expected(world.records, "1")


@given(
    st.integers(0, 10**9),
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(["1", "2", "3", "1000", "1004", "1008", None])), max_size=4
    ),
)
def test_the_fold_forgets_what_the_state_forgets(seed: int, forgotten: list[tuple[int, str | None]]):
    world = World(seed)
    for second, user in forgotten:
        world.forget_at(START_US + second * 1_000_000, UserId(user) if user else None)
    world.run()
    history = GuildHistory(GuildId("1"))
    for each in world.records:
        history.take(each)
    told = [line for _, line in history.joins()]
    periods = [
        (name, number, period)
        for name, each in world.state.members.items()
        for number, period in enumerate(each, start=1)
        if period.counted
    ]
    assert sorted(map(repr, map(said, told))) == sorted(repr(held(*each)) for each in periods)


def said(line: JoinLine) -> tuple[object, ...]:
    people = (line.inviter, line.staff, line.credited)
    return line.user, line.period, line.joined_at_ms, line.status, line.code, *people


def held(name: UserId, number: int, period: Period) -> tuple[object, ...]:
    """The same of a membership in the state."""
    user, *people = (
        f"forgotten{each}" if each and is_tombstone(each) else each
        for each in (name, period.inviter, period.staff, period.credited)
    )
    at_ms = period.opened_us // 1_000
    day_ms = at_ms - at_ms % 86_400_000
    return user, number, day_ms if is_tombstone(name) else at_ms, period.status, period.code, *people


def test_joins_of_all_guilds_come_in_the_order_of_the_log(tmp_path: Path):
    worlds = [played(seed) for seed in (1, 2, 3)]
    appends = appends_of(*(world.records for world in worlds))
    log = make_log(tmp_path, segment_bytes=5_000)
    seal = Sealer()
    for start in range(0, len(appends), 10):
        log.append(seal(appends[start : start + 10]))
    log.close()
    code, lines, notes = export(tmp_path)
    order = [(e.guild, e.event.user) for a in appends for e in a if isinstance(e.event, JoinRecorded)]
    assert (code, notes) == (0, "")
    assert [(line["guild"], line["user"]) for line in lines] == order
    assert all(list(line) == FIELDS for line in lines)
    for number, world in enumerate(worlds, start=1):
        mine = [line for line in lines if line["guild"] == str(number)]
        assert mine == expected(world.records, str(number)) == export(tmp_path, str(number))[1]


def test_it_reads_beside_the_writer_and_leaves_out_a_torn_batch(tmp_path: Path):
    world = played(7)
    appends = appends_of(world.records)
    log = make_log(tmp_path)
    seal = Sealer()
    log.append(seal(appends[:-1]))
    before = export(tmp_path)
    assert before == (0, expected([each for append in appends[:-1] for each in append], "1"), "")
    path = max((tmp_path / "log").iterdir())
    whole = path.read_bytes()
    log.append(seal(appends[-1:]))
    torn = path.read_bytes()[:-20]
    path.write_bytes(torn)
    assert len(torn) > len(whole)
    assert export(tmp_path) == before


def test_periods_count_memberships_from_before(tmp_path: Path):
    seeded = MembersSeeded(members=(SeededMember(UserId("5"), 10),))
    events = [GuildAdopted(counting_since_us=100), seeded, joined("5", 200), joined("6", 300), joined("5", 400)]
    log = make_log(tmp_path)
    log.append(Sealer()([[record(seq, event)] for seq, event in enumerate(events, start=1)]))
    _, lines, _ = export(tmp_path)
    assert [(line["user"], line["period"], line["status"]) for line in lines] == [
        ("5", 2, "pending"),
        ("6", 1, "pending"),
        ("5", 3, "pending"),
    ]


def test_a_branch_that_lost_is_left_out(tmp_path: Path):
    log = make_log(tmp_path)
    seal = Sealer()
    events = [joined("5", 1_000), joined("6", 2_000), joined("7", 3_000)]
    log.append(seal([[record(seq, event)] for seq, event in enumerate(events, start=1)]))
    log.append(seal([[record(2, joined("8", 4_000), epoch=2)]]))
    assert [line["user"] for line in export(tmp_path)[1]] == ["5", "8"]


def test_an_unknown_guild_has_no_lines_and_a_note(tmp_path: Path):
    make_log(tmp_path).append(Sealer()([[record(1, joined("5", 1))]]))
    assert export(tmp_path, "99") == (1, [], "note: nothing is recorded of guild 99, but of 1 other\n")


def test_where_there_is_no_log_the_folder_is_asked_about(tmp_path: Path):
    code, lines, notes = export(tmp_path / "nowhere")
    assert (code, lines) == (1, [])
    assert "is LEDGER_DATA the bot's?" in notes
    assert not (tmp_path / "nowhere").exists()


def test_a_log_that_is_gone_beside_a_database_is_no_success(tmp_path: Path):
    (tmp_path / "ledger.db").write_bytes(b"something")
    code, lines, notes = export(tmp_path)
    assert (code, lines) == (1, [])
    assert "start the bot, which rebuilds its log" in notes


@pytest.mark.parametrize("content", [b"nothing of the kind\n" * 300, b""])
def test_a_log_of_which_nothing_can_be_read_is_no_success(tmp_path: Path, content: bytes):
    make_log(tmp_path).append(Sealer()([[record(1, joined("5", 1))]]))
    (path,) = (tmp_path / "log").iterdir()
    path.write_bytes(content)
    code, lines, notes = export(tmp_path)
    assert (code, lines) == (1, [])
    assert notes.startswith(f"inviteledger: no history can be read in {tmp_path}/log, and there is no database: `")


def test_records_that_cannot_be_read_are_named_and_the_rest_comes(tmp_path: Path):
    log = make_log(tmp_path)
    seal = Sealer()
    for seq in (1, 2, 3):
        log.append(seal([[record(seq, joined(str(seq), seq))]]))
    log.close()
    path = max((tmp_path / "log").iterdir())
    path.write_bytes(path.read_bytes().replace(b'"gsn":3', b'"gsn":9'))
    code, lines, notes = export(tmp_path)
    assert code == 1
    assert [line["user"] for line in lines] == ["1", "2"]
    assert notes.startswith("note: records 3 to 3 cannot be read; the bot puts back")


def test_joins_behind_a_hole_come_where_a_checkpoint_leads_over_it(tmp_path: Path):
    log, seal = make_log(tmp_path), Sealer()
    frames = [frame for seq in range(1, 6) for frame in seal([[record(seq, joined(str(seq), seq))]])]
    for frame in frames:
        log.append([frame])
    log.close()
    (path,) = (tmp_path / "log").iterdir()
    path.write_bytes(path.read_bytes().replace(b'"gsn":3', b'"gsn":9'))
    assert [line["user"] for line in export(tmp_path)[1]] == ["1", "2"]
    disk = RealDisk()
    kept = Checkpoints(disk, tmp_path / "checkpoints", Quarantine(disk, tmp_path / "quarantine"))
    kept.save(make_checkpoint(GuildId("1"), head_of(frames[2]), "lineage", (b"{}",)))
    assert [line["user"] for line in export(tmp_path)[1]] == ["1", "2", "4", "5"]


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path):
    log = make_log(tmp_path)
    log.append(Sealer()([[record(seq, joined(str(seq), seq))] for seq in range(1, 2_000)]))
    call = "export_joins(*map(pathlib.Path, sys.argv[1:3]), None, sys.stdout.buffer, sys.stderr)"
    program = f"import sys, pathlib; from actors.cli.export import export_joins; sys.exit({call})"
    shell = f"{sys.executable} -c '{program}' {tmp_path} {tmp_path}/ledger.db | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["user"] == "1"


@pytest.mark.parametrize("guild", [None, "1"])
def test_ids_are_strings_and_times_whole_milliseconds(tmp_path: Path, guild: str | None):
    make_log(tmp_path).append(Sealer()([[record(1, joined("5", 1_700_000_000_123_456))]]))
    (line,) = export(tmp_path, guild)[1]
    assert (line["guild"], line["user"], line["joined_at_ms"]) == ("1", "5", 1_700_000_000_123)
