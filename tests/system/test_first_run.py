"""What a first user meets: every mistake ends in a sentence with its fix and the right code; no token is shown.

The commands run as processes of their own against a Discord on loopback; where a person is asked, on a terminal.
"""

import asyncio
import os
import pty
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from persistence.disk import RealDisk
from persistence.local import hold_folder
from sandbox import Sandbox
from sandbox.application import AppFlag
from sandbox.models import Guild

ROOT = Path(__file__).parents[2]
SECRETS = "abcdefghijABCDEFGHIJ0123456789-_"
WAIT_S = 20.0


class Newcomer:
    """A person with an empty folder and an application whose intent is still off."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.environ = {"DISCORD_API_URL": sandbox.api_url, "LEDGER_HTTP": "127.0.0.1:0", "LEDGER_DISK": "lasting"}
        sandbox.application.flags = AppFlag.NONE

    def all_set(self) -> Guild:
        """The token is set, the intent is on, and the bot is in a guild."""
        self.environ["DISCORD_TOKEN"] = self.sandbox.token
        self.sandbox.application.flags = AppFlag.MEMBERS_LIMITED
        return self.sandbox.world.add_guild()

    def bare_environ(self) -> Mapping[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "PYTHONPATH": str(ROOT), **self.environ}

    async def run(self, *words: str, **environ: str) -> tuple[int, str]:
        """A command without a terminal: its exit code and all it said."""
        return await self.start("-m", "supervisor", *words, **environ)

    async def start(self, *words: str, **environ: str) -> tuple[int, str]:
        """Python without a terminal, likewise."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *words),
            cwd=self.folder,
            env={**self.bare_environ(), **environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(WAIT_S):
            said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


def is_asleep(process: int) -> bool:
    """Whether a process waits in the kernel (Linux)."""
    state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    return state.rpartition(")")[2].split()[0] == "S"


class Terminal:
    """A command on a pseudo-terminal, and a person before it."""

    def __init__(self, newcomer: Newcomer, *words: str) -> None:
        self.screen = ""
        self._newcomer = newcomer
        self._words = words
        self._more = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "supervisor", *self._words),
            cwd=self._newcomer.folder,
            env=self._newcomer.bare_environ(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_hear_ctrl_c,
        )
        os.close(theirs)
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _read(self) -> None:
        try:
            self.screen += os.read(self._ours, 65_536).decode()
        except OSError:  # the other side has closed
            asyncio.get_running_loop().remove_reader(self._ours)
        self._more.set()

    async def answer(self, question: str, answer: str) -> None:
        """Waits for the question, then types."""
        await self.until(question)
        os.write(self._ours, f"{answer}\n".encode())

    async def until(self, words: str) -> None:
        async with asyncio.timeout(WAIT_S):
            while words not in self.screen:
                self._more.clear()
                await self._more.wait()

    async def interrupt(self, question: str) -> None:
        """Ctrl-C at a question, once the command waits there, and again while nothing shows that it was heard.

        Python sees a signal that comes right before it begins to wait only at the next one; a user presses it again.
        """
        await self.until(question)
        shown = heard = ""
        async with asyncio.timeout(WAIT_S):
            while heard == shown:
                while not is_asleep(self._process.pid):  # noqa: ASYNC110 -- nobody else can tell
                    await asyncio.sleep(0.01)
                shown = self.screen
                self.send(signal.SIGINT)
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        self._more.clear()
                        await self._more.wait()
                heard = self.screen

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, within_s: float = WAIT_S) -> int:
        async with asyncio.timeout(within_s):
            return await self._process.wait()


def _hear_ctrl_c() -> None:
    """Whoever runs the tests in the background of a shell hands down that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
async def newcomer(tmp_path: Path) -> AsyncIterator[Newcomer]:
    async with Sandbox(seed=5, identify_every_s=0.0) as sandbox:
        yield Newcomer(sandbox, tmp_path)


async def test_setup_leads_from_a_token_to_a_bot_that_may_start(newcomer: Newcomer):
    token = newcomer.sandbox.token
    async with Terminal(newcomer, "setup") as terminal:
        await terminal.answer("it is not shown", f"Bot {token}")
        await terminal.answer("Switch Server Members Intent on? [y/N]", "y")
        await terminal.answer(".env? [y/N]", "y")
        assert await terminal.ended() == 0
        screen = terminal.screen
    assert "unchecked" not in screen
    assert "inviteledger run" in screen
    assert f"client_id={newcomer.sandbox.world.bot.id}&scope=bot+applications.commands&permissions=177" in screen
    assert token not in screen
    file = newcomer.folder / ".env"
    assert file.read_text() == f"DISCORD_TOKEN={token}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert newcomer.sandbox.application.flags == AppFlag.MEMBERS_LIMITED
    newcomer.sandbox.world.add_guild()
    assert (await newcomer.run("doctor"))[0] == 0


async def test_whoever_says_no_has_changed_nothing(newcomer: Newcomer):
    (newcomer.folder / ".env").write_text("LEDGER_ACK=local")
    async with Terminal(newcomer, "setup") as terminal:
        await terminal.answer("it is not shown", newcomer.sandbox.token)
        await terminal.answer("Switch Server Members Intent on? [y/N]", "")
        await terminal.answer("which is there already? [y/N]", "n")
        assert await terminal.ended() == 78
    assert newcomer.sandbox.application.flags == AppFlag.NONE
    assert (newcomer.folder / ".env").read_text() == "LEDGER_ACK=local"
    assert newcomer.sandbox.count("application", 200) == 1


async def test_an_env_file_that_is_there_keeps_what_it_says(newcomer: Newcomer):
    newcomer.sandbox.application.flags = AppFlag.MEMBERS_LIMITED
    (newcomer.folder / ".env").write_text("LEDGER_ACK=local")
    async with Terminal(newcomer, "setup") as terminal:
        await terminal.answer("it is not shown", newcomer.sandbox.token)
        await terminal.answer("which is there already? [y/N]", "y")
        assert await terminal.ended() == 0
    assert (newcomer.folder / ".env").read_text() == f"LEDGER_ACK=local\nDISCORD_TOKEN={newcomer.sandbox.token}\n"


async def test_a_token_is_asked_for_until_one_can_be_used_and_a_wrong_one_is_not_written_down(newcomer: Newcomer):
    async with Terminal(newcomer, "setup") as terminal:
        await terminal.answer("it is not shown): ", "")
        await terminal.answer("Nothing was typed.\r\nThe token (it is not shown): ", "two words")
        await terminal.answer("one word, nothing round it.\r\nThe token (it is not shown): ", SECRETS)
        assert await terminal.ended() == 78
        assert "client secret" in terminal.screen
        assert SECRETS not in terminal.screen
    assert list(newcomer.folder.iterdir()) == []


async def test_a_token_that_discord_could_not_be_asked_about_is_offered_as_unchecked(
    newcomer: Newcomer, deaf_port: int
):
    newcomer.environ["DISCORD_API_URL"] = f"http://127.0.0.1:{deaf_port}/api/v10"
    async with Terminal(newcomer, "setup") as terminal:
        await terminal.answer("it is not shown", "nonsense")
        await terminal.answer(".env? [y/N]", "y")
        assert await terminal.ended() == 69
    unchecked, offered = terminal.screen.index("it is unchecked"), terminal.screen.index("Write the token to")
    assert unchecked < offered
    assert "nonsense" not in terminal.screen


async def test_a_wrong_token_in_the_env_file_is_replaced_there(newcomer: Newcomer):
    newcomer.all_set()
    del newcomer.environ["DISCORD_TOKEN"]
    file = newcomer.folder / ".env"
    file.write_text(f"DISCORD_TOKEN={SECRETS}\nLEDGER_ACK=local\n")
    async with Terminal(newcomer, "setup") as terminal:
        await terminal.answer("It stands in .env. Type another one? [y/N]", "y")
        await terminal.answer("it is not shown", newcomer.sandbox.token)
        await terminal.answer("which is there already? [y/N]", "yes")
        assert await terminal.ended() == 0
    assert file.read_text() == f"LEDGER_ACK=local\nDISCORD_TOKEN={newcomer.sandbox.token}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in newcomer.folder.iterdir()] == [".env"]


async def test_ctrl_c_at_a_question_is_a_sentence_and_130(newcomer: Newcomer):
    async with Terminal(newcomer, "setup") as terminal:
        await terminal.interrupt("it is not shown")
        assert await terminal.ended() == 130
    assert terminal.screen.endswith("Stopped; nothing more was changed.\r\n")
    (newcomer.folder / "data" / "log").mkdir(parents=True)
    async with Terminal(newcomer, "forget", "--user", "7") as terminal:
        await terminal.interrupt("[y/N]")
        assert await terminal.ended() == 130
    assert terminal.screen.endswith("Nothing was forgotten.\r\n")


async def test_setup_asks_nobody_who_is_not_there_and_yes_answers_beforehand(newcomer: Newcomer):
    assert (await newcomer.run("setup"))[0] == 2
    newcomer.environ["DISCORD_TOKEN"] = newcomer.sandbox.token
    code, said = await newcomer.run("setup")
    assert (code, newcomer.sandbox.application.flags) == (2, AppFlag.NONE)
    assert "--yes" in said
    code, said = await newcomer.run("setup", "--yes")
    assert (code, newcomer.sandbox.application.flags) == (0, AppFlag.MEMBERS_LIMITED)
    assert newcomer.sandbox.token not in said


async def test_an_intent_that_only_discords_review_gives_is_told_with_the_way_there(newcomer: Newcomer):
    newcomer.environ["DISCORD_TOKEN"] = newcomer.sandbox.token
    newcomer.sandbox.application.needs_review = True
    code, said = await newcomer.run("setup", "--yes")
    assert code == 78
    assert "Discord did not switch Server Members Intent on" in said
    assert "Discord's review" in said


async def test_doctor_finds_nothing_wrong_beside_a_running_bot_either(newcomer: Newcomer):
    newcomer.all_set()
    port = free_port()
    newcomer.environ["LEDGER_HTTP"] = f"127.0.0.1:{port}"
    async with Terminal(newcomer, "run"):
        await newcomer.sandbox.until(lambda: newcomer.sandbox.count("messages") == 1, WAIT_S)  # it greets the guild
        code, said = await newcomer.run("doctor")
    assert (code, "A bot is running" in said) == (0, True)
    assert "Nothing stops the bot" in said
    assert newcomer.sandbox.token not in said


async def test_doctor_tells_a_bot_on_this_folder_from_a_bot_on_another(newcomer: Newcomer):
    newcomer.all_set()
    mine = {"LEDGER_HTTP": f"127.0.0.1:{free_port()}"}
    newcomer.environ |= mine
    async with Terminal(newcomer, "run"):
        await newcomer.sandbox.until(lambda: newcomer.sandbox.count("messages") == 1, WAIT_S)
        code, said = await newcomer.run("doctor", LEDGER_DATA="elsewhere")
        assert (code, "a bot with another LEDGER_DATA runs" in said) == (69, True), said
        code, said = await newcomer.run("doctor", LEDGER_HTTP=f"127.0.0.1:{free_port()}")
        assert (code, "LEDGER_DATA, data, is in use by process" in said) == (69, True), said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_whoever_waits_for_the_folder_can_be_stopped_at_once(newcomer: Newcomer, number: signal.Signals):
    newcomer.all_set()
    held = hold_folder(RealDisk(), newcomer.folder / "data", "today")
    async with Terminal(newcomer, "run") as waiting:
        await waiting.until("folder.awaited")
        waiting.send(number)
        assert await waiting.ended(1.5) == 0
    held.release()
    assert "Traceback" not in waiting.screen


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("supervisor", signal.SIGINT),
        ("discord", signal.SIGINT),
        ("cyclopts", signal.SIGINT),
        ("discord", signal.SIGTERM),
        ("discord", signal.SIGHUP),
    ],
)
async def test_whoever_ends_it_while_the_program_is_read_is_told_nothing(
    newcomer: Newcomer, module: str, number: signal.Signals
):
    """The import of the module is when the key is pressed."""
    script = newcomer.folder / "entry.py"
    script.write_text(
        "import os, signal, sys\n"
        f"signal.signal({number}, signal.SIG_DFL)\n"  # whoever runs the tests may hand down that it is ignored
        "class Pressing:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), {number})\n"
        "sys.meta_path.insert(0, Pressing())\n"
        "from inviteledger import main\n"
        "main()\n"
    )
    assert await newcomer.start(str(script), "doctor") == (130, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_whoever_ends_a_drill_leaves_no_copy_of_the_history_behind(newcomer: Newcomer, number: signal.Signals):
    script = newcomer.folder / "entry.py"
    script.write_text(
        "import asyncio, os, signal\n"
        f"signal.signal({number}, signal.SIG_DFL)\n"  # whoever runs the tests may hand down that it is ignored
        "from actors.cli import app\n"
        "from inviteledger import main\n"
        "class Scratch:\n"
        "    def __enter__(self): os.mkdir('scratch')\n"
        "    def __exit__(self, *_):\n"
        f"        for each in (signal.SIGINT, {number}, signal.SIGINT): os.kill(os.getpid(), each)\n"  # held down
        "        os.rmdir('scratch')\n"
        "async def drill(*_):\n"
        "    with Scratch():\n"
        f"        os.kill(os.getpid(), {number})\n"
        "        await asyncio.sleep(60)\n"
        "app._drill = drill\n"
        "main()\n"
    )
    said = "inviteledger: ended; what was unfinished is taken away.\n"
    assert await newcomer.start(str(script), "restore", "--drill") == (130, said)
    assert not (newcomer.folder / "scratch").exists()


@pytest.mark.parametrize(("pressed_s", "cleaned"), [((0.0, 0.9, 1.8), True), ((0.0, 0.9, 2.1), False)])
async def test_whoever_presses_it_anew_does_not_wait_for_what_is_taken_away(
    newcomer: Newcomer, pressed_s: tuple[float, ...], *, cleaned: bool
):
    """Where a disk hangs, that would be for ever."""
    script = newcomer.folder / "entry.py"
    script.write_text(
        "import asyncio, os, signal\n"
        "import inviteledger\n"
        "from actors.cli import app\n"
        f"pressed_s = iter({pressed_s})\n"
        "inviteledger.monotonic = lambda: next(pressed_s)\n"
        "def press(): os.kill(os.getpid(), signal.SIGINT)\n"
        "async def drill(*_):\n"
        "    try:\n"
        "        press()\n"
        "        await asyncio.sleep(60)\n"
        "    finally:\n"
        "        press()\n"
        "        press()\n"
        "        os.mkdir('cleaned')\n"
        "app._drill = drill\n"
        "inviteledger.main()\n"
    )
    said = "inviteledger: ended; what was unfinished is taken away.\n"
    assert await newcomer.start(str(script), "restore", "--drill") == (130, said if cleaned else "")
    assert (newcomer.folder / "cleaned").exists() == cleaned


@pytest.mark.parametrize("words", ["--help", "--version", "config"])
async def test_a_reader_that_leaves_is_no_failure(newcomer: Newcomer, words: str):
    newcomer.all_set()
    script = newcomer.folder / "entry.py"
    script.write_text(
        "import os, sys\n"
        "reader, writer = os.pipe()\n"
        "os.dup2(writer, sys.stdout.fileno())\n"
        "os.close(reader)\n"
        "from inviteledger import main\n"
        "main()\n"
    )
    assert await newcomer.start(str(script), words) == (0, "")


async def test_streams_that_were_closed_before_the_start_are_no_failure(newcomer: Newcomer):
    script = newcomer.folder / "entry.py"
    script.write_text("import sys\nsys.stdout = sys.stderr = None\nfrom inviteledger import _end\n_end(0)\n")
    assert await newcomer.start(str(script)) == (0, "")


async def test_a_folder_that_cannot_be_written_is_said_once_with_its_fix(newcomer: Newcomer):
    newcomer.all_set()
    code, said = await newcomer.run("run", LEDGER_DATA="/proc/inviteledger")
    assert (code, said.count("nothing can be recorded in LEDGER_DATA")) == (78, 1), said
    assert '"hint":"give it to the user' in said


async def test_a_full_disk_is_said_with_its_fix(newcomer: Newcomer):
    """`/dev/full` in the place of files; starting again helps once there is room."""
    newcomer.all_set()
    for command, code, fix in (
        ("doctor", 78, "fix: free space there"),
        ("run", 69, '"hint":"free space on the disk'),
    ):
        script = newcomer.folder / "entry.py"
        script.write_text(
            "import errno, os, tempfile\n"
            "from persistence.disk import RealDisk, _reading\n"
            "def full(*_, **__): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
            "def lock(disk, path, owner):\n"
            "    with _reading('lock', path): full()\n"
            "tempfile.TemporaryFile, RealDisk.lock = full, lock\n"
            "from inviteledger import main\n"
            "main()\n"
        )
        ended, said = await newcomer.start(str(script), command)
        assert ended == code, said
        assert fix in said
        assert "chown" not in said


async def test_forgetting_without_a_bot_says_only_what_was_done(newcomer: Newcomer):
    (newcomer.folder / "data" / "log").mkdir(parents=True)
    assert await newcomer.run("forget", "--user", "7", "--yes") == (0, "Nothing is known of user 7 in all servers.\n")


async def test_doctor_without_a_token_tells_all_the_rest(newcomer: Newcomer):
    code, said = await newcomer.run("doctor")
    assert code == 78
    assert "DISCORD_TOKEN is not set" in said
    assert "LEDGER_DATA lies on a disk that lasts" in said
    assert not (newcomer.folder / "data").exists()


async def test_doctor_tries_the_database_and_leaves_nothing_behind(newcomer: Newcomer):
    newcomer.all_set()
    where = newcomer.folder / "elsewhere" / "x.db"
    code, said = await newcomer.run("doctor", DATABASE_URL=f"sqlite:///{where}")
    assert (code, f"The database, {where}, can be written" in said) == (0, True), said
    assert list(newcomer.folder.iterdir()) == []
    where.mkdir(parents=True)
    code, said = await newcomer.run("doctor", DATABASE_URL=f"sqlite:///{where}")
    assert (code, f"The database, {where}, cannot be written (Is a directory)" in said) == (0, True), said
    assert list(newcomer.folder.rglob("*")) == [where.parent, where]


async def test_run_holds_without_an_identify_and_says_why_on_readyz(newcomer: Newcomer):
    newcomer.environ["DISCORD_TOKEN"] = newcomer.sandbox.token
    newcomer.environ["LEDGER_HTTP"] = f"127.0.0.1:{free_port()}"
    async with Terminal(newcomer, "run") as running:
        await running.answer("preflight.held", "")
        code, said = await newcomer.run("healthcheck")
        assert (code, "Server Members Intent is switched off" in said) == (1, True)
    assert newcomer.sandbox.sessions == []


async def test_while_a_disk_hangs_the_bot_answers_and_hears_that_it_is_to_stop(newcomer: Newcomer):
    newcomer.environ["DISCORD_TOKEN"] = newcomer.sandbox.token
    newcomer.environ["LEDGER_HTTP"] = f"127.0.0.1:{free_port()}"
    newcomer.environ["LEDGER_LOG"] = "json"
    log = newcomer.folder / "data" / "log"
    log.mkdir(parents=True)
    os.mkfifo(log / "0000000001.jsonl")  # whoever opens it waits for a writer
    async with Terminal(newcomer, "run") as running:
        await running.answer("preflight.held", "")
        code, said = await newcomer.run("healthcheck")
        assert (code, "no layer takes records" in said) == (1, True)
        running._process.terminate()
        await running.answer("bot.draining", "")


@pytest.mark.parametrize(
    ("command", "environ", "code", "words"),
    [  # the table of docs/operations.md
        ("run", {"DISCORD_TOKEN": ""}, 78, "DISCORD_TOKEN must be set"),
        ("run", {"DISCORD_TOKEN": f"{SECRETS} {SECRETS}"}, 78, "DISCORD_TOKEN must be the bot's token"),
        ("run", {"LEDGER_DISC": "lasting"}, 78, "did you mean LEDGER_DISK?"),
        ("run", {"LEDGER_DATA": "/proc/inviteledger"}, 78, "LEDGER_DATA"),
        ("doctor", {"LEDGER_DATA": "/proc/inviteledger/x"}, 78, "cannot be written"),
        ("doctor", {"DISCORD_TOKEN": SECRETS}, 78, "which looks like a client secret"),
        ("doctor", {"DISCORD_TOKEN": "a1" * 32}, 78, "which looks like an application's public key"),
        ("doctor", {"DISCORD_API_URL": "http://127.0.0.1:9/api/v10"}, 69, "could not be reached"),
        ("doctor", {"LEDGER_DISK": "ephemeral"}, 0, "What is recorded goes with its disk"),
        ("run", {"LEDGER_CLOUD": "s3://"}, 78, "LEDGER_CLOUD must be s3:// and a bucket's name"),
        ("doctor", {"LEDGER_CLOUD": "file:///proc/inviteledger"}, 78, "LEDGER_CLOUD cannot be used"),
        ("doctor", {"DISCORD_TOKEN": "x y", "LEDGER_DTA": "d"}, 78, "LEDGER_DATA, data, can be written"),
        ("doctor", {"DISCORD_TOKEN": "x y", "LEDGER_DTA": "d"}, 78, "did you mean LEDGER_DATA?\n"),
        ("doctor", {"DISCORD_TOKEN": "x y"}, 78, "DISCORD_TOKEN must be the bot's token"),
        ("doctor", {"LEDGER_FOO": "x"}, 78, "LEDGER_FOO (environment) is no setting: remove it"),
        ("run", {"LEDGER_DATA": "/etc/passwd/x"}, 78, "LEDGER_DATA must be a folder, but /etc/passwd is a file"),
        (
            "doctor",
            {"DISCORD_API_URL": "http://127.0.0.1:9/api/v10"},
            69,
            "127.0.0.1:9 could not be reached (Connection",
        ),
        (
            "doctor",
            {"DATABASE_URL": "sqlite:////proc/inviteledger/x.db"},
            0,
            "The database, /proc/inviteledger/x.db, can",
        ),
        ("doctor", {"DATABASE_URL": "sqlite:////proc/inviteledger/x.db"}, 0, "without it, and acknowledges no join"),
        (
            "doctor",
            {"DATABASE_URL": "sqlite:////proc/x.db", "LEDGER_ACK": "local"},
            0,
            "the bot goes on without it.\n",
        ),
        (
            "doctor",
            {"DISCORD_API_URL": "http://127.0.0.1:9/api/v10"},
            69,
            "stops the bot: `inviteledger run` starts, holds, and goes on by itself once that is mended.",
        ),
        ("doctor", {"DISCORD_TOKEN": ""}, 78, "One of these stops the bot.\n"),
        ("runn", {}, 2, "`inviteledger --help`"),
    ],
)
async def test_each_mistake_ends_in_a_sentence_with_its_fix_and_its_code(
    newcomer: Newcomer, command: str, environ: Mapping[str, str], code: int, words: str
):
    newcomer.all_set()
    ended, said = await newcomer.run(command, **environ)
    assert (ended, words in said) == (code, True), said
    assert "Traceback" not in said
    assert all(secret not in said for secret in (SECRETS, newcomer.sandbox.token))


@pytest.mark.parametrize("dressed", ['"{}"', "Bot {}", " '{}' "])
async def test_what_was_copied_along_with_the_token_does_no_harm(newcomer: Newcomer, dressed: str):
    newcomer.all_set()
    assert (await newcomer.run("doctor", DISCORD_TOKEN=dressed.format(newcomer.sandbox.token)))[0] == 0


async def test_a_url_that_is_not_discords_and_a_port_that_is_taken_are_named(newcomer: Newcomer):
    newcomer.all_set()
    code, said = await newcomer.run("doctor", DISCORD_API_URL=newcomer.sandbox.api_url.removesuffix("/api/v10"))
    assert (code, "What answers is not Discord's API" in said) == (78, True)
    assert "let DISCORD_API_URL end with /api/v10" in said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = {"LEDGER_HTTP": f"127.0.0.1:{taken.getsockname()[1]}"}
        for command in ("doctor", "run"):
            code, said = await newcomer.run(command, **environ)
            assert (code, said.count("choose another LEDGER_HTTP")) == (69, 1)
            assert "(Address already in use)" in said or "another process has it" in said
            assert "CannotListen" not in said


async def test_a_line_of_the_env_file_that_says_nothing_is_named_by_its_number(newcomer: Newcomer):
    newcomer.all_set()
    (newcomer.folder / ".env").write_text(f"LEDGER_ACK=local\nDISCORD_TOKEN: {SECRETS}\n")
    code, said = await newcomer.run("run")
    assert (code, said) == (78, "inviteledger: .env, line 2, must be NAME=value.\n")
    (newcomer.folder / ".env").unlink()
    (newcomer.folder / ".env").mkdir()
    code, said = await newcomer.run("run")
    assert (code, said) == (78, "inviteledger: .env must be readable text (Is a directory).\n")


async def test_a_spent_identify_budget_is_waited_for_and_says_how_long(newcomer: Newcomer):
    newcomer.all_set()
    newcomer.sandbox.identifies.set_limit(remaining=0, reset_after_s=7_200)
    code, said = await newcomer.run("doctor")
    assert (code, "2 h 0 min" in said) == (78, True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port
