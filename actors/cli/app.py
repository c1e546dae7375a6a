"""The command line: which commands there are, and how each ends. What they do lives in a module each.

``run`` and ``demo`` are handed in by whoever composes the program; nothing here knows the supervisor.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import UnusedCliTokensError

from actors.cli.backup import back_up
from actors.cli.config import show_config
from actors.cli.doctor import examine
from actors.cli.drill import drill as hold_drill
from actors.cli.errors import BadWords, tell
from actors.cli.exits import OK, USAGE
from actors.cli.export import export_joins
from actors.cli.forget import Alone, Terminal, forget_for_good
from actors.cli.healthcheck import check_health
from actors.cli.page import Page
from actors.cli.reach import reached
from actors.cli.replay import Question, replay
from actors.cli.restore import CLOUD, BadRestore, Wish, restore_backup, restore_history
from actors.cli.setup import set_up
from actors.cli.times import NotYet, parse_time
from actors.cli.tools import Tools
from actors.cli.vault import endpoint_of, folder_of, serve_vault
from actors.cli.verify import verify_all_layers, verify_layers
from actors.clock import SystemClock, SystemRandomness
from actors.command import command
from actors.forgetting import ForgetRequest
from actors.settings import Settings
from actors.sources import look
from ledger.errors import LedgerError
from ledger.ids import GuildId, UserId, is_id
from persistence.disk import RealDisk


class BadFolder(BadWords):
    """A word that is to name a folder, and names none."""

    hint = "name a folder"


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one run: see the options of ``run``."""

    chaos: bool = False
    abandon_history: bool = False


Run: TypeAlias = Callable[[Settings, RunOptions], int]
"""Runs the bot until it is stopped; the exit code."""


def make_app(*, settings: Callable[[], Settings], run: Run, demo: Callable[[], int], forget: Alone) -> App:
    """The program's commands.

    Args:
        settings: reads them, at most once a command, so that help needs none.
        run: the bot.
        demo: the demo.
        forget: forgets where no bot runs.
    """
    app = App(
        name="inviteledger",
        help="Who invited whom on your Discord server: proven, and never lost.",
        version=lambda: version("inviteledger"),
        default_parameter=Parameter(negative="", show_default=False),
        console=Page(),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )
    _add_running(app, settings, run, demo)
    _add_vault(app, settings)
    _add_first_run(app, settings)
    _add_reading(app, settings)
    _add_backups(app, settings)
    _add_forgetting(app, settings, forget)
    return app


def perform(app: App, words: Sequence[str]) -> int:
    """Runs one command; every expected error ends in a sentence on stderr and its exit code."""
    try:
        result: object = app(words)
    except CycloptsError as error:
        sys.stderr.write(f"inviteledger: {_in_words(error)} {_help(error.command_chain or ())}\n")
        return USAGE
    except LedgerError as error:
        return tell(error)
    return result if isinstance(result, int) else OK


def _in_words(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError):
        return f"Too many words: {' '.join(error.unused_tokens or ())}."
    return str(error)


def _help(words: Sequence[str]) -> str:
    """Where it stands what can be said; ``words``: the command that was understood, if one was."""
    lists = "lists its options." if words else "lists the commands."
    return f"`{command(' '.join((*words, '--help')))}` {lists}"


def _add_running(app: App, settings: Callable[[], Settings], run: Run, demo: Callable[[], int]) -> None:
    def run_bot(*, chaos: bool = False, abandon_history: bool = False) -> int:
        """Run the bot. Needs DISCORD_TOKEN.

        Args:
            chaos: let POST /chaos/kill/CHILD end actors (guild/ID, journal, gateway …); on a loopback address only.
            abandon_history: begin a new history where nothing is recorded here and the cloud, which may hold one,
                does not answer; without it the bot waits until it does.
        """
        said = settings()
        said.token()
        return run(said, RunOptions(chaos=chaos, abandon_history=abandon_history))

    def play_demo() -> int:
        """Show the main job against a Discord on loopback. Needs no token."""
        return demo()

    app.command(run_bot, name="run")
    app.command(play_demo, name="demo")


def _add_vault(app: App, settings: Callable[[], Settings]) -> None:
    def vault(*, listen: str | None = None, folder: str | None = None) -> int:
        """Keep a bot's cloud layer in a folder, served over HTTP, where there is no bucket. Needs LEDGER_CLOUD_TOKEN.

        Args:
            listen: HOST:PORT; without it, LEDGER_HTTP.
            folder: where it is kept, a folder of its own; without it, `vault` in LEDGER_DATA.
        """
        said = settings()
        return serve_vault(said, folder_of(said, folder), endpoint_of(said, listen))

    app.command(vault)


def _add_first_run(app: App, settings: Callable[[], Settings]) -> None:
    def setup(*, yes: bool = False) -> int:
        """Check everything, ask for the token, switch the members intent on after asking, print the install link.

        Args:
            yes: switch the intent on without asking.
        """
        return set_up(settings(), sys.stdin, sys.stdout, yes=yes)

    def doctor() -> int:
        """List what stops the bot, or may stop it, each with its fix; also beside a running bot. Exit 0, 69 or 78."""
        return examine(look(), sys.stdout)

    app.command(setup)
    app.command(doctor)


def _add_forgetting(app: App, settings: Callable[[], Settings], alone: Alone) -> None:
    def forget(*, user: str | None = None, guild: str | None = None, yes: bool = False) -> int:
        """Forget a person or a whole guild for good; also beside a running bot.

        Args:
            user: the id of a user; in all guilds, or in one with --guild.
            guild: the id of a guild.
            yes: do not ask.
        """
        # An empty word is a bad id, and not the wish to leave it out: --user "$UNSET" must not forget a guild.
        request = ForgetRequest(
            user=None if user is None else UserId(user), guild=None if guild is None else GuildId(guild)
        )
        terminal = Terminal(sys.stdin, sys.stdout, sys.stderr)
        return forget_for_good(settings(), request.checked(), alone, terminal, yes=yes)

    app.command(forget)


def _add_reading(app: App, settings: Callable[[], Settings]) -> None:
    def export(*, guild: str | None = None) -> int:
        """Print one JSON line per join, in the order in which they were recorded; also beside a running bot.

        Args:
            guild: the id of a guild; without it, all guilds.
        """
        only = _guild(guild)
        said = settings()
        return export_joins(said.ledger_data, said.database(), only, sys.stdout.buffer, sys.stderr)

    def replay_until(*, until: str | None = None, guild: str | None = None, json: bool = False) -> int:
        """Show guilds as they were, from their records; also beside a running bot.

        Args:
            until: a time, such as 2026-11-28T18:00Z or "2h ago"; without it, now.
            guild: the id of a guild; without it, all guilds.
            json: one JSON object per line.
        """
        tools = _tools()
        until_ms = _past(until, tools, f"--until {until} lies in the future")
        question = Question(guild=_guild(guild), until_ms=until_ms)
        said = settings()
        return replay(tools, said.ledger_data, said.database(), question, json=json)

    def verify(*, all_layers: bool = False) -> int:
        """Walk every chain of every layer and say what is wrong, and where; the database only while no bot runs.

        Args:
            all_layers: also the cloud (LEDGER_CLOUD), object by object.
        """
        said = settings()
        if not all_layers:
            return verify_layers(said.ledger_data, said.database(), sys.stdout, sys.stderr)
        return asyncio.run(_verify_all(said))

    def config() -> int:
        """Show each setting, and each variable of a store that is set: its value (secrets masked), its source."""
        return show_config(look(), sys.stdout)

    def healthcheck() -> int:
        """Ask the bot on this machine whether it is ready; exit 0 or 1."""
        return check_health(settings().http(), sys.stdout)

    for each in (export, verify, config, healthcheck):
        app.command(each)
    app.command(replay_until, name="replay")


def _add_backups(app: App, settings: Callable[[], Settings]) -> None:
    def backup(*, to: str | None = None) -> int:
        """Copy the history into a folder, and read it back; also beside a running bot.

        Args:
            to: an empty folder, or one that is not there; without it, one named by the time.
        """
        said = settings()
        folder = None if to is None else _folder("--to", to)
        with _leaving():
            return back_up(_tools(), said.ledger_data, said.database(), folder)

    def restore(
        *,
        to: str | None = None,
        source: Annotated[str, Parameter(name="--from")] = CLOUD,
        at: str | None = None,
        drill: bool = False,
    ) -> int:
        """Make a data folder from a backup, or from the cloud; or, with --drill, prove that the cloud is enough.

        Args:
            to: an empty folder, or one that is not there.
            source: a folder that `backup` wrote; without it, `cloud`: what LEDGER_CLOUD names.
            at: a time, such as 2026-11-28T18:00Z or "2h ago": what was recorded later is left out, for good.
            drill: restore the cloud into scratch, compare it with the history here, write a report.
        """
        tools = _tools()
        if drill:
            if to is not None or at is not None or source != CLOUD:
                raise BadRestore("a drill restores the cloud into scratch, and nothing else")
            with _leaving():
                return asyncio.run(_drill(settings(), tools))
        if to is None:
            raise BadRestore("it is not said where to restore to")
        why = "nothing would be left out, but it would become a separate history"
        wish = Wish(to=_folder("--to", to), until_ms=_past(at, tools, f"--at {at} lies in the future: {why}"))
        with _leaving():
            if source == CLOUD:
                return asyncio.run(_restore(settings(), tools, wish))
            return asyncio.run(restore_backup(tools, _folder("--from", source), wish))

    app.command(backup)
    app.command(restore)


async def _restore(settings: Settings, tools: Tools, wish: Wish) -> int:
    async with reached(settings, tools, instead="name a backup: --from BACKUP") as cloud:
        return await restore_history(tools, cloud.history(tools), cloud.objects.address, wish)


async def _drill(settings: Settings, tools: Tools) -> int:
    async with reached(settings, tools) as cloud:
        data, database = settings.ledger_data, settings.database()
        return await hold_drill(tools, data, database, cloud.history(tools), cloud.objects.address)


async def _verify_all(settings: Settings) -> int:
    tools = _tools()
    return await verify_all_layers(tools, settings.ledger_data, settings.database(), reached(settings, tools))


def _folder(option: str, said: str) -> Path:
    """A folder that was said; an empty word would be the working folder."""
    if not said.strip():
        raise BadFolder(f"{option} names nothing (a variable that is not set?)")
    return Path(said)


@contextmanager
def _leaving() -> Iterator[None]:
    """Whoever ends a command that writes is told what became of it."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("inviteledger: ended; what was unfinished is taken away.\n")
        raise


def _guild(said: str | None) -> GuildId | None:
    guild = None if said is None else GuildId(said)
    if guild is not None and not is_id(guild):
        raise BadWords(f"{guild!r} is no id")
    return guild


def _past(said: str | None, tools: Tools, future: str) -> int | None:
    """The time that was said; ``future``: what to say where it has not come yet."""
    now_ms = tools.clock.now_ms()
    at_ms = None if said is None else parse_time(said, now_ms)
    if at_ms is not None and at_ms > now_ms:
        raise NotYet(future)
    return at_ms


def _tools() -> Tools:
    return Tools(disk=RealDisk(), clock=SystemClock(), randomness=SystemRandomness(), out=sys.stdout, err=sys.stderr)
