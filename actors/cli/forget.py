"""``inviteledger forget``: asks, then forgets by itself, or has the bot that runs on the folder do it.

A running bot is asked over its own HTTP address, so that nothing has to stop. What was done is said, and what is not.
"""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Final, TextIO, TypeAlias

import msgspec

from actors.cli.asking import is_yes
from actors.cli.exits import INTERRUPTED, OK, USAGE, WRONG
from actors.cli.recorded import is_anything_recorded, nothing_recorded
from actors.forgetting import ForgetReport, ForgetRequest, Progress
from actors.ops.http import ForgetLine
from actors.settings import Settings
from ledger.errors import FolderInUse, LedgerError
from persistence.backups import StaysAsItIs, is_backup
from persistence.disk import RealDisk

Alone: TypeAlias = Callable[[Settings, ForgetRequest, Progress], ForgetReport]
"""Forgets where no bot runs; raises ``FolderInUse`` where one does."""
PROGRESS_EVERY: Final = 100
"""Servers between two lines, where it is done here."""
SILENCE_S: Final = 300.0
"""A bot that says nothing for so long is given up; asking it again does no harm."""
_lines: Final = msgspec.json.Decoder(ForgetLine)


class NoAnswer(LedgerError):
    """The bot that holds the data folder did not do it."""

    hint = (
        "run this with the bot's own LEDGER_HTTP and LEDGER_HTTP_TOKEN, or stop the bot first; then it is done here"
    )


class NotNow(LedgerError):
    """The bot that holds the data folder cannot forget anybody yet."""

    hint = "run this again once the bot takes records: its log says recovery.finished or epoch.taken then"


class Terminal(msgspec.Struct, frozen=True):
    """Where a person reads and answers."""

    keyboard: TextIO
    out: TextIO
    err: TextIO


def forget_for_good(
    settings: Settings, request: ForgetRequest, alone: Alone, terminal: Terminal, *, yes: bool
) -> int:
    """Asks for a yes, forgets, and says what was done.

    Returns:
        0 when all is done, also where nothing is known of them; 1 when something is left or was not wanted, or
        nothing at all is recorded there; 2 when nobody could be asked; 130 when the person left.

    Raises:
        NoAnswer: when a bot holds the data folder and does not answer.
        NotNow: when it does, and cannot record anything now.
        StaysAsItIs: when the folder is a backup.
        LedgerError: when nothing can be recorded.
    """
    disk, data, database = RealDisk(), settings.ledger_data, settings.database()
    if is_backup(disk, data):
        raise StaysAsItIs(f"LEDGER_DATA, {data}, is a backup, and nothing in it is changed")
    if not is_anything_recorded(disk, data, database):
        terminal.err.write(nothing_recorded(disk, data, database))
        return WRONG
    if not yes:
        if not terminal.keyboard.isatty():
            terminal.err.write("inviteledger: forgetting cannot be undone: say --yes where nobody can be asked.\n")
            return USAGE
        try:
            wanted = _agreed(request, terminal)
        except KeyboardInterrupt:
            terminal.out.write("\nNothing was forgotten.\n")
            return INTERRUPTED
        if not wanted:
            terminal.out.write("Nothing was forgotten.\n")
            return WRONG
    return _say(_forget(settings, request, alone, terminal), request, terminal)


def _forget(settings: Settings, request: ForgetRequest, alone: Alone, terminal: Terminal) -> ForgetReport:
    async def progress(done: int, of: int) -> None:
        if done % PROGRESS_EVERY == 0:
            _progress(done, of, terminal)

    try:
        return alone(settings, request, progress)
    except FolderInUse:
        return _ask_bot(settings, request, terminal)


def _agreed(request: ForgetRequest, terminal: Terminal) -> bool:
    terminal.out.write(f"{_whom(request).capitalize()} will be forgotten. {_meaning(request)} It cannot be undone.\n")
    terminal.out.write("Forget for good? [y/N] ")
    terminal.out.flush()
    return is_yes(terminal.keyboard.readline())


def _whom(request: ForgetRequest) -> str:
    if request.user is None:
        return f"server {request.guild}"
    return f"user {request.user} in {f'server {request.guild}' if request.guild else 'all servers'}"


def _meaning(request: ForgetRequest) -> str:
    if request.user is None:
        return "Its joins, verdicts, credits and assignments count no longer; a bot that is there counts from now."
    return "Their names are deleted, and everything that is said of them is said of a forgotten member instead."


def _progress(done: int, of: int, terminal: Terminal) -> None:
    terminal.err.write(f"{done} of {of} servers\n")


def _say(report: ForgetReport, request: ForgetRequest, terminal: Terminal) -> int:
    if report.guilds or report.names or report.payloads:
        terminal.out.write(
            f"Forgotten: {_whom(request)}. Servers: {report.guilds}, memberships: {report.memberships}, "
            f"names: {report.names}, events in quarantine: {report.payloads}.\n"
        )
    elif not report.remaining:
        terminal.out.write(f"Nothing is known of {_whom(request)}.\n")
    terminal.out.writelines(f"Left: {sentence}.\n" for sentence in report.remaining)
    return WRONG if report.remaining else OK


def _ask_bot(settings: Settings, request: ForgetRequest, terminal: Terminal) -> ForgetReport:
    """The bot that holds the folder does it.

    Raises:
        NoAnswer: when it does not.
        NotNow: when it cannot record anything now.
    """
    endpoint = settings.http()
    connection = HTTPConnection(endpoint.near(), endpoint.port, timeout=SILENCE_S)
    try:
        for line in _answers(connection, settings, request):
            if line.report is not None:
                return line.report
            _progress(line.done, line.of, terminal)
    except (OSError, HTTPException, msgspec.MsgspecError) as error:
        raise NoAnswer(
            f"the bot that runs on {settings.ledger_data} did not answer at {endpoint} ({error})"
        ) from error
    finally:
        connection.close()
    raise NoAnswer(f"the bot at {endpoint} stopped before it had forgotten everything")


def _answers(connection: HTTPConnection, settings: Settings, request: ForgetRequest) -> Iterator[ForgetLine]:
    headers = {"Content-Type": "application/json"}
    if settings.ledger_http_token is not None:
        headers["Authorization"] = f"Bearer {settings.ledger_http_token.get_secret_value()}"
    connection.request("POST", "/forget", msgspec.json.encode(request), headers)
    answer: HTTPResponse = connection.getresponse()
    if answer.status != HTTPStatus.OK:
        said = answer.read().decode(errors="replace").strip()
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise NotNow(f"nobody was forgotten: {said}")
        raise NoAnswer(f"the bot at {settings.http()} refused: {answer.status} {said}")
    for line in answer:
        yield _lines.decode(line)
