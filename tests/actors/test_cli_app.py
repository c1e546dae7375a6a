"""The command line as its user meets it: exit codes, one sentence an error, no secret."""

import asyncio
import io
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from actors.cli.app import RunOptions, make_app, perform
from actors.cli.healthcheck import check_health
from actors.forgetting import ForgetReport, ForgetRequest, Progress
from actors.gateway.names import LibraryMismatch
from actors.settings import Endpoint, Settings
from actors.sources import read_settings
from ledger.errors import FolderInUse, LedgerError
from ledger.ids import GuildId, SessionId, UserId
from ledger.records import InternalCause, JoinRecorded, Record
from persistence.address import VARIABLES
from persistence.disk import RealDisk
from persistence.folder_objects import UNFINISHED, FolderObjects
from persistence.local import hold_folder
from persistence.objects import Refused
from persistence.offload import inline
from persistence.presence import Presence
from persistence.probe import StoreUnfit, probe
from tests.actors.written import Sealer, make_log
from tests.persistence.making import TestRandomness
from tests.persistence.test_golden_folder import FOLDER as GOLDEN
from tests.persistence.test_golden_folder import FOLDERS

ROOT = Path(__file__).parents[2]

TOKEN = "MTk4NjIyNDgz.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting is said, and the working folder is empty."""
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, *VARIABLES):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("LEDGER_HTTP", "127.0.0.1:1")


def record_of(event: JoinRecorded) -> Record:
    cause = InternalCause(what="test")
    return Record(gsn=1, guild=GuildId("1"), seq=1, epoch=1, at_ms=0, cause=cause, key="join/5", event=event, last=1)


class Program:
    """The composed program; what it was told to run is kept."""

    def __init__(self, fails: LedgerError | None = None) -> None:
        self.ran: list[object] = []
        self._fails = fails
        self._app = make_app(settings=read_settings, run=self.run, demo=self.demo, forget=self.forget)

    def run(self, settings: Settings, options: RunOptions) -> int:
        if self._fails is not None:
            raise self._fails
        self.ran.append((settings.token().get_secret_value(), options))
        return 0

    def forget(self, settings: Settings, request: ForgetRequest, progress: Progress) -> ForgetReport:
        del settings, progress
        self.ran.append(request)
        return ForgetReport(guilds=0, memberships=0, names=0, payloads=0)

    def demo(self) -> int:
        self.ran.append("demo")
        return 1

    def __call__(self, *words: str) -> int:
        return perform(self._app, words)


def test_run_gets_settings_and_chaos(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
    program = Program()
    assert (program("run"), program("run", "--chaos"), program("demo")) == (0, 0, 1)
    assert program("run", "--abandon-history") == 0
    chaos, anew = RunOptions(chaos=True), RunOptions(abandon_history=True)
    assert program.ran == [(TOKEN, RunOptions()), (TOKEN, chaos), "demo", (TOKEN, anew)]


@pytest.mark.parametrize(
    ("words", "help_at"),
    [
        (["runn"], "`inviteledger --help` lists the commands."),
        (["--fast"], "`inviteledger --help` lists the commands."),
        (["run", "--fast"], "`inviteledger run --help` lists its options."),
        (["run", "now"], "`inviteledger run --help` lists its options."),
        (["export", "--guild"], "`inviteledger export --help` lists its options."),
        (["verify", "1"], "`inviteledger verify --help` lists its options."),
    ],
)
def test_what_is_no_command_ends_with_2(words: list[str], help_at: str, capsys: pytest.CaptureFixture[str]):
    assert Program()(*words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("inviteledger: ")
    assert said.err.endswith(f" {help_at}\n")


def test_a_word_too_many_is_named(capsys: pytest.CaptureFixture[str]):
    Program()("run", "now", "please")
    assert capsys.readouterr().err.startswith("inviteledger: Too many words: now please. ")


def test_help_and_version_need_no_settings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("LEDGER_ACK", "broken")
    assert (Program()("--help"), Program()("run", "--help"), Program()("--version"), Program()()) == (0, 0, 0, 0)
    said = capsys.readouterr().out
    for command in ("run", "demo", "export", "verify", "config", "healthcheck", "vault"):
        assert command in said
    assert re.search(r"^\d+\.\d+\.\d+$", said, re.MULTILINE)


def test_without_a_token_run_ends_with_78_and_the_fix(capsys: pytest.CaptureFixture[str]):
    program = Program()
    assert program("run") == 78
    assert program.ran == []
    assert capsys.readouterr().err == (
        "inviteledger: DISCORD_TOKEN must be set in the environment, /run/secrets/discord_token or .env; "
        "`inviteledger setup` asks for it.\n"
    )


@pytest.mark.parametrize("command", ["run", "export", "verify", "config", "healthcheck"])
def test_broken_settings_end_every_command_with_78(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
):
    monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
    monkeypatch.setenv("LEDGER_CLOUD", f"s3://id:{TOKEN}@bucket")
    monkeypatch.setenv("LEDGER_DISC", TOKEN)
    assert Program()(command) == 78
    said = capsys.readouterr().err
    unknown, refused = said.splitlines()
    assert unknown == "inviteledger: LEDGER_DISC (environment) is no setting: did you mean LEDGER_DISK?"
    assert refused.startswith("inviteledger: LEDGER_CLOUD must be an address without credentials in it: they have ")
    assert refused.endswith(" variables of their own (environment).")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (FolderInUse("data", "process 7 on host"), 69, "data is in use by process 7 on host: stop the other process"),
        (StoreUnfit("s3://bucket", ["forgets"]), 78, "s3://bucket cannot keep two writers apart: it forgets: use S3"),
        (
            Refused("s3://bucket: read x: HTTP 403"),
            78,
            "s3://bucket: read x: HTTP 403: check the address in LEDGER_CLOUD",
        ),
        (LibraryMismatch("discord.py 2.8.0 is installed"), 78, "discord.py 2.8.0 is installed: install discord.py=="),
    ],
)
def test_an_expected_error_is_a_sentence_and_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: LedgerError, code: int, text: str
):
    monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
    assert Program(error)("run") == code
    said = capsys.readouterr().err
    assert said.startswith(f"inviteledger: {text}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "setup", "forget", "replay", "verify", "restore"])
def test_help_offers_no_flag_that_takes_back_what_nobody_said(command: str, capsys: pytest.CaptureFixture[str]):
    assert Program()(command, "--help") == 0
    said = capsys.readouterr().out
    assert "--" in said
    assert "--no-" not in said
    assert "default:" not in said


def test_export_and_verify_read_the_folder_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
):
    event = JoinRecorded(user=UserId("5"), joined_at_us=7_000, arrived_us=8_000, session=SessionId("s"))
    record = record_of(event)
    make_log(tmp_path / "mine").append(Sealer()([[record]]))
    monkeypatch.setenv("LEDGER_DATA", str(tmp_path / "mine"))
    assert Program()("export", "--guild", "1") == 0
    assert capfdbinary.readouterr().out.startswith(b'{"guild":"1","user":"5","joined_at_ms":7,')
    assert Program()("export", "--guild=2") == 1
    nothing = capfdbinary.readouterr()
    assert (nothing.out, nothing.err[:5]) == (b"", b"note:")
    assert Program()("verify") == 0
    assert b"database: none yet" in capfdbinary.readouterr().out


@pytest.mark.parametrize("command", ["export", "verify", "replay", "backup", "forget --user 1 --yes"])
def test_a_folder_that_cannot_be_looked_into_ends_with_69(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
):
    """A name that is too long is refused as a folder without rights is, but to root as well."""
    monkeypatch.setenv("LEDGER_DATA", "x" * 300)
    assert Program()(*command.split()) == 69
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "File name too long: look at the disk" in said.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("config", 0),
        ("doctor", 78),
        ("healthcheck", 1),
        ("verify", 69),
        ("export", 69),
        ("replay", 69),
        ("backup", 69),
        ("forget --user 1 --yes", 69),
        ("vault", 2),
    ],
)
def test_a_data_folder_whose_link_leads_to_itself_ends_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, code: int
):
    """Named by nobody, so that no setting is refused before."""
    (tmp_path / "data").symlink_to("data")
    assert Program()(*words.split()) == code
    said = capsys.readouterr()
    assert words != "doctor" or "LEDGER_DATA, data, cannot be written (Too many levels of symbolic links)" in said.out


@pytest.mark.parametrize("words", ["--help", "--version", "run --help", ""])
def test_help_that_cannot_be_written_ends_with_69(words: str):
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            (sys.executable, "-m", "supervisor", *words.split()),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=50,
        )
    assert ended.returncode == 69
    assert ended.stderr.startswith(
        "inviteledger: the output could not be written (No space left on device): free space"
    )
    assert ended.stderr.count("\n") == 1


def test_config_shows_every_value_and_no_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
    monkeypatch.setenv("LEDGER_DISK", "ephemeral")
    assert Program()("config") == 0
    said = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if line.startswith("│")]
    assert ["DISCORD_TOKEN", "********", "environment"] in rows
    assert ["LEDGER_DISK", "ephemeral", "environment: LEDGER_DISK says so"] in rows
    assert ["LEDGER_ACK", "database", "default"] in rows
    assert {row[0] for row in rows} == {name.upper() for name in Settings.model_fields}
    assert TOKEN not in said


def test_healthcheck_fails_where_nobody_answers(capsys: pytest.CaptureFixture[str]):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert check_health(Endpoint("0.0.0.0", port), sys.stdout) == 1
    assert capsys.readouterr().out.startswith(f"No answer from 0.0.0.0:{port} (Connection refused)")


def asked_by_itself(module: str, **said: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-X", "importtime", "-m", module, "healthcheck")
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **said}
    return subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=50)


@pytest.mark.parametrize(("said", "code"), [({}, 1), ({"LEDGER_HTTP": "8080"}, 78), ({"LEDGER_DISC": "lasting"}, 78)])
def test_the_healthcheck_that_docker_repeats_is_the_programs_own(said: dict[str, str], code: int):
    alone, whole = asked_by_itself("inviteledger", **said), asked_by_itself("supervisor", **said)
    assert (alone.returncode, alone.stdout) == (whole.returncode, whole.stdout)
    assert alone.returncode == code
    assert of_the_program(alone) == of_the_program(whole)


def of_the_program(ended: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in ended.stderr.splitlines() if not line.startswith("import time:")]


def test_the_healthcheck_that_docker_repeats_reads_little_of_the_program():
    read = {line.rpartition("|")[2].strip() for line in asked_by_itself("inviteledger").stderr.splitlines()}
    assert "actors.cli.healthcheck" in read
    assert read.isdisjoint({"supervisor", "discord", "aiohttp", "sqlite3", "cyclopts", "rich", "structlog"})


async def test_only_the_bots_own_yes_is_healthy(capsys: pytest.CaptureFixture[str]):
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.get_running_loop().run_in_executor(None, ask, port) == 1
    assert capsys.readouterr().out.startswith(f"What answers at 127.0.0.1:{port} is not the bot")


def ask(port: int) -> int:
    return check_health(Endpoint("127.0.0.1", port), sys.stdout)


@pytest.mark.parametrize("guild", ["abc", "", "-1"])
def test_to_export_what_is_no_id_is_a_usage_error(guild: str, capsys: pytest.CaptureFixture[str]):
    assert Program()("export", f"--guild={guild}") == 2
    assert "Copy ID" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("export",), ("verify",), ("forget", "--user", "7", "--yes")])
def test_a_folder_where_nothing_is_recorded_is_named_and_ends_with_1(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert Program()(*words) == 1
    said = capsys.readouterr()
    assert (said.out, str(tmp_path / "data") in said.err, "is LEDGER_DATA the bot's?" in said.err) == ("", True, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("command", ["export", "verify", "config", "doctor"])
def test_output_that_cannot_be_written_is_a_sentence_and_69(command: str, tmp_path: Path):
    event = JoinRecorded(user=UserId("5"), joined_at_us=7_000, arrived_us=8_000, session=SessionId("s"))
    make_log(tmp_path / "data").append(Sealer()([[record_of(event)]]))
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            (sys.executable, "-m", "supervisor", command),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
        )
    assert (ended.returncode, ended.stderr.count("\n")) == (69, 1), ended.stderr
    assert "the output could not be written (No space left on device)" in ended.stderr


@pytest.mark.parametrize(
    "words", [(), ("--user", "anna"), ("--user", "-3"), ("--guild", str(2**63)), ("--guild", "8", "--user", "")]
)
def test_to_forget_nobody_or_what_is_no_id_is_a_usage_error(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    make_log(tmp_path / "data")
    program = Program()
    assert program("forget", *words, "--yes") == 2
    assert program.ran == []
    assert "Copy ID" in capsys.readouterr().err or words[-1:] == ("-3",)


def test_forgetting_asks_where_somebody_can_answer_and_wants_a_yes_where_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    make_log(tmp_path / "data")
    program = Program()
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert program("forget", "--user", "7") == 2
    assert "--yes" in capsys.readouterr().err
    assert program.ran == []
    assert program("forget", "--user", "7", "--guild", "8", "--yes") == 0
    assert program.ran == [ForgetRequest(user=UserId("7"), guild=GuildId("8"))]
    assert capsys.readouterr().out == "Nothing is known of user 7 in server 8.\n"


@pytest.mark.parametrize(("said", "code"), [("yes\n", 0), ("no\n", 1), ("", 1)])
def test_only_a_yes_forgets(
    said: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    make_log(tmp_path / "data")
    program = Program()
    keyboard = io.StringIO(said)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    assert program("forget", "--guild", "8") == code
    assert len(program.ran) == (1 if code == 0 else 0)
    assert "Server 8 will be forgotten." in capsys.readouterr().out


def test_config_shows_the_other_settings_when_one_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("LEDGER_ACK", "everywhere")
    monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
    assert Program()("config") == 78
    said = capsys.readouterr()
    rows = {line.split()[1]: line for line in said.out.splitlines() if len(line.split()) > 1}
    assert "cannot be used" in rows["LEDGER_ACK"]
    assert "cannot be used" not in rows["LEDGER_HTTP"]
    assert "127.0.0.1:1" in rows["LEDGER_HTTP"]
    assert "LEDGER_ACK must be" in said.err
    assert TOKEN not in said.out + said.err


@pytest.mark.parametrize("said", ["8080", "localhost", "127.0.0.1:x", "http://127.0.0.1:80", ":80", ""])
def test_a_vault_listens_on_what_is_an_address(said: str, capsys: pytest.CaptureFixture[str]):
    assert Program()("vault", f"--listen={said}") == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_a_vault_that_others_can_reach_needs_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert Program()("vault", "--listen", "0.0.0.0:0") == 78
    assert "LEDGER_CLOUD_TOKEN must be set in the environment" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_vault_needs_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert Program()("vault", "--folder", str(tmp_path / ("x" * 300))) == 78
    assert f"The vault's folder, {tmp_path}/xxx" in (said := capsys.readouterr().err)
    assert "must be one that can be written (File name too long)" in said


def vault_told(*words: str) -> int:
    """Ends at the address, which is taken, where the folder is not refused before."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        return Program()("vault", f"--listen=127.0.0.1:{taken.getsockname()[1]}", *words)


SERVED = 69


@pytest.mark.parametrize("what", ["log", "ledger.db", "marker", "lock", "thesis.txt", ".unfinished", "seg"])
def test_a_folder_that_holds_anything_of_others_is_no_vault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
):
    data = tmp_path / "data"
    data.mkdir()
    held = hold_folder(RealDisk(), data, "today") if what == "lock" else None
    (data / what).touch()
    assert vault_told("--folder", "data") == 2
    said = capsys.readouterr().err
    live = (
        f", and is in use by process {os.getpid()} on " if what == "lock" else ", and whoever has the vault's token"
    )
    assert said.startswith(f"inviteledger: data holds what is no vault's ({what}){live}")
    assert "name a folder of the vault's own with --folder" in said
    assert [path.name for path in data.iterdir()] == [what]
    if held is not None:
        held.release()


@pytest.mark.parametrize("folder", ["data", "data/log", "data/checkpoints", "data/new/vault", "."])
@pytest.mark.parametrize("sign", [(), (".unfinished", "seg")], ids=["", "served before"])
def test_no_folder_in_which_a_history_lies_or_that_lies_in_one_is_a_vault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str, sign: tuple[str, ...]
):
    make_log(tmp_path / "data").close()
    (tmp_path / "data" / "marker").touch()
    (tmp_path / "data" / "checkpoints").mkdir()
    for name in sign:
        (tmp_path / folder / name).mkdir(parents=True)
    assert vault_told("--folder", folder) == 2
    assert re.search("which holds a history|holds what is no vault's", capsys.readouterr().err)


@pytest.mark.parametrize("own", ["thesis.txt", "photos"])
@pytest.mark.parametrize("sign", [".unfinished", "seg/0000000001"])
def test_what_lies_beside_a_vaults_objects_is_to_be_moved_and_not_the_vault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own: str, sign: str
):
    (tmp_path / "kept" / sign).mkdir(parents=True)
    (tmp_path / "kept" / own).write_bytes(b"mine") if "." in own else make_log(tmp_path / "kept" / own).close()
    assert vault_told("--folder", "kept") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"inviteledger: kept holds what is no vault's ({own}), and whoever has the vault's token")
    assert "move that away, and leave the rest where it is" in said
    assert "--folder" not in said


@pytest.mark.parametrize("own", [(), ("photos",)], ids=["only a cloud's", "others"])
def test_a_copy_of_a_cloud_that_lost_what_is_empty_is_served_with_nothing_else_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own: Sequence[str]
):
    shutil.copytree(GOLDEN / FOLDERS[-1] / "cloud", kept := tmp_path / "kept")
    asyncio.run(leave_marks(kept))
    (kept / UNFINISHED).rmdir()
    for name in own:
        (kept / name).mkdir()
    assert vault_told("--folder", "kept") == (2 if own else SERVED)
    assert ("kept holds what is no vault's (photos)" in capsys.readouterr().err) == bool(own)


async def leave_marks(folder: Path) -> None:
    """What a cloud may hold beside records."""
    objects = FolderObjects(RealDisk(), folder, inline, TestRandomness())
    await probe(objects, TestRandomness())
    presence = Presence(objects, "folder")
    await presence.beat(1, 1, records=True)
    await presence.stand_by(1)
    await presence.say_goodbye(1)
    await objects.create("boundary/1/0000000001-1", b"word")


@pytest.mark.parametrize("folder", ["seg", "pack", "photos"])
def test_a_folder_without_a_first_segment_is_no_copy_of_a_cloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
):
    (tmp_path / "kept" / folder).mkdir(parents=True)
    assert vault_told("--folder", "kept") == 2
    assert "name a folder of the vault's own with --folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "names",
    [(), (".lock",), ("lost+found",), (".DS_Store",), (".git", ".unfinished", "seg", "of-a-later-release")],
)
def test_an_empty_folder_and_one_of_a_vault_are_served(tmp_path: Path, names: tuple[str, ...]):
    for name in names:
        (tmp_path / "kept" / name).mkdir(parents=True) if name != ".lock" else RealDisk().make_folder(
            tmp_path / "kept"
        )
    assert vault_told("--folder", "kept") == SERVED


def test_an_empty_word_is_not_the_working_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert vault_told("--folder", "") == vault_told("--folder=") == 2
    assert "a variable that is not set?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["backup", "--to", ""], ["restore", "--to="], ["restore", "--to", "new", "--from", " "]]
)
def test_an_empty_word_is_no_folder_to_write_into_or_to_read(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert Program()(*words) == 2
    assert " names nothing (a variable that is not set?)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_or_a_dangling_link_is_no_vaults_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    assert [vault_told("--folder", folder) for folder in ("file", "link", "file/kept")] == [2, 2, 2]
    said = capsys.readouterr().err
    assert said.count(" is no folder: a file, or a link that leads nowhere, is in its place: name a folder") == 3
    assert "chown" not in said


def test_a_vault_whose_address_is_taken_ends_with_69(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert Program()("vault", "--listen", f"127.0.0.1:{taken.getsockname()[1]}") == 69
    assert "cannot listen on" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["vault"]
