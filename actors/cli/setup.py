"""``inviteledger setup``: walks a first user from a token to a bot that may count.

Nothing is changed without a yes: neither the application (``--yes`` says it beforehand) nor .env. The token is typed
unseen, printed nowhere, and written only to a file that its owner alone can read.
"""

import asyncio
import getpass
from pathlib import Path
from typing import Final, TextIO

from pydantic import SecretStr

from actors.cli.doctor import code_of, inquire, show
from actors.cli.exits import OK, USAGE, WRONG
from actors.clock import SystemClock
from actors.gateway.findings import PORTAL, Topic
from actors.gateway.preflight import About, Preflight, switch_intent_on
from actors.settings import Settings, parse_token
from actors.sources import ENV_FILE
from ledger.errors import StorageError

OWNER_ONLY: Final = 0o600


def set_up(settings: Settings, source: TextIO, out: TextIO, *, yes: bool) -> int:
    """Asks, checks, switches on and prints what is next.

    Returns:
        0 when the bot may start, 1 when the person left, 2 when there is something to ask and nobody to answer, else
        69 or 78 as ``doctor``.
    """
    try:
        return _walk(settings, out, talk=source.isatty() and out.isatty(), yes=yes)
    except (EOFError, KeyboardInterrupt):
        out.write("\nLeft: nothing more was changed.\n")
        return WRONG


def _walk(settings: Settings, out: TextIO, *, talk: bool, yes: bool) -> int:
    if settings.discord_token is None and not talk:
        out.write("setup asks for the token: run it on a terminal, or set DISCORD_TOKEN.\n")
        return USAGE
    typed = settings.discord_token is None
    if typed:
        settings = settings.model_copy(update={"discord_token": _ask_token(out)})
    preflight = inquire(settings)
    show(preflight.findings, out)
    if _needs_intent(preflight) and not (yes or talk):
        out.write("setup asks before it switches the intent on: run it on a terminal, or with --yes.\n")
        return USAGE
    preflight = _with_intent(settings, preflight, out, yes=yes)
    if typed and not any(finding.topic is Topic.TOKEN and finding.stops for finding in preflight.findings):
        _offer_file(settings.token(), out)
    return _tell_what_is_next(preflight, out)


def _ask_token(out: TextIO) -> SecretStr:
    out.write(f"DISCORD_TOKEN is not set. In the {PORTAL}: New Application, Bot, Reset Token, Copy.\n")
    return parse_token(getpass.getpass("The token (it is not shown): "))


def _needs_intent(preflight: Preflight) -> bool:
    return any(finding.topic is Topic.INTENT and finding.stops for finding in preflight.findings)


def _with_intent(settings: Settings, preflight: Preflight, out: TextIO, *, yes: bool) -> Preflight:
    """Switches the intent on, if it is off and somebody says yes; what Discord says then."""
    about = preflight.about
    if about is None or not _needs_intent(preflight) or not (yes or _agreed("Switch Server Members Intent on?")):
        return preflight
    result = asyncio.run(_switch_on(settings, about, out))
    return inquire(settings) if result else preflight


async def _switch_on(settings: Settings, about: About, out: TextIO) -> bool:
    token = settings.token().get_secret_value()
    finding = await switch_intent_on(settings.discord_api_url, token, about, SystemClock().now_ms)
    show((finding,), out)
    return not finding.stops


def _agreed(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def _offer_file(token: SecretStr, out: TextIO) -> None:
    path = ENV_FILE.absolute()
    question = f"Add the token to {path}, which is there already?" if path.exists() else f"Write the token to {path}?"
    if not _agreed(question):
        out.write("Not written: set DISCORD_TOKEN where the bot runs.\n")
        return
    _append(path, f"DISCORD_TOKEN={token.get_secret_value()}\n")
    out.write(f"Written; only you can read {path}.\n")


def _append(path: Path, line: str) -> None:
    """To the end of the file, which its owner alone can read from then on; what stood there stays.

    Raises:
        StorageError: when it cannot be written.
    """
    try:
        path.touch(OWNER_ONLY)
        path.chmod(OWNER_ONLY)
        said = path.read_text(encoding="utf-8")
        with path.open("a", encoding="utf-8") as file:
            file.write(line if not said or said.endswith("\n") else f"\n{line}")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} could not be written ({error.__class__.__name__})") from error


def _tell_what_is_next(preflight: Preflight, out: TextIO) -> int:
    code = code_of(preflight.findings)
    if preflight.link:
        out.write(f"Add the bot to a server: {preflight.link}\n")
    out.write("Then start it: inviteledger run\n" if code == OK else "When that is mended: inviteledger setup\n")
    return code
