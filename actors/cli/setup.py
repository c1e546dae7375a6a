"""``inviteledger setup``: walks a first user from a token to a bot that may count.

Nothing is changed without a yes: neither the application (``--yes`` says it beforehand) nor .env. The token is typed
unseen, printed nowhere, and written only to a file that its owner alone can read.
"""

import asyncio
import getpass
import re
from pathlib import Path
from typing import Final, TextIO

import msgspec
from pydantic import SecretStr

from actors.cli.asking import agreed
from actors.cli.doctor import code_of, inquire, show
from actors.cli.exits import INTERRUPTED, OK, USAGE
from actors.clock import SystemClock
from actors.command import command
from actors.gateway.findings import PORTAL, Topic
from actors.gateway.permissions import LINK_NOTE
from actors.gateway.preflight import About, Preflight, switch_intent_on
from actors.settings import BadSettings, Settings, parse_token
from actors.sources import ENV_FILE
from ledger.errors import StorageError

OWNER_ONLY: Final = 0o600
TRIES: Final = 3
"""So often a token is asked for."""
_TOKEN_LINE: Final = re.compile(r"\s*(export\s+)?DISCORD_TOKEN\s*=", re.IGNORECASE)


class Asked(msgspec.Struct, frozen=True):
    """What Discord said, with which settings. ``typed``: somebody typed the token, so it stands nowhere yet."""

    settings: Settings
    preflight: Preflight
    typed: bool

    def is_refused(self) -> bool:
        return any(finding.topic is Topic.TOKEN and finding.stops for finding in self.preflight.findings)

    def is_known(self) -> bool:
        """Whether Discord said whose token it is."""
        return any(finding.topic is Topic.TOKEN and not finding.stops for finding in self.preflight.findings)


def set_up(settings: Settings, source: TextIO, out: TextIO, *, yes: bool) -> int:
    """Asks, checks, switches on and prints what is next.

    Returns:
        0 when the bot may start, 2 when there is something to ask and nobody to answer, 130 when the person left,
        else 69 or 78 as ``doctor``.
    """
    try:
        return _walk(settings, out, talk=source.isatty() and out.isatty(), yes=yes)
    except (EOFError, KeyboardInterrupt):
        out.write("\nStopped; nothing more was changed.\n")
        return INTERRUPTED


def _walk(settings: Settings, out: TextIO, *, talk: bool, yes: bool) -> int:
    if settings.discord_token is None and not talk:
        out.write("setup asks for the token: run it on a terminal, or set DISCORD_TOKEN.\n")
        return USAGE
    asked = _asked(settings, out, talk=talk)
    if _needs_intent(asked.preflight) and not (yes or talk):
        out.write("setup asks before it switches the intent on: run it on a terminal, or with --yes.\n")
        return USAGE
    preflight = _with_intent(asked.settings, asked.preflight, out, yes=yes)
    if asked.typed and not asked.is_refused():
        if not asked.is_known():
            out.write("Discord did not say whose token this is: it is unchecked, and may be a wrong one.\n")
        _offer_file(asked.settings.token(), out)
    return _tell_what_is_next(preflight, out)


def _asked(settings: Settings, out: TextIO, *, talk: bool) -> Asked:
    """What Discord says of the token that is set, or of one that is typed instead."""
    if settings.discord_token is None:
        out.write(f"DISCORD_TOKEN is not set. In the {PORTAL}: New Application, Bot, Reset Token, Copy.\n")
        return _typed(settings, out)
    asked = _ask(settings, out, typed=False)
    if not asked.is_refused() or not talk:
        return asked
    source = settings.origin("DISCORD_TOKEN")
    if source != str(ENV_FILE):
        out.write(f"DISCORD_TOKEN comes from the {source}: mend it there.\n")
        return asked
    return _typed(settings, out) if agreed(f"It stands in {ENV_FILE}. Type another one?") else asked


def _typed(settings: Settings, out: TextIO) -> Asked:
    """Asks until there is a token that Discord knows, a few times at most."""
    asked = Asked(settings, Preflight(findings=(), grant=None), typed=True)
    for _ in range(TRIES):
        text = getpass.getpass("The token (it is not shown): ")
        try:
            token = parse_token(text) if text.strip() else None
        except BadSettings as error:
            out.write(f"{error}\n")
            continue
        if token is None:
            out.write("Nothing was typed.\n")
            continue
        asked = _ask(settings.model_copy(update={"discord_token": token}), out, typed=True)
        if not asked.is_refused():
            return asked
    raise BadSettings([f"No token that can be used was typed, so nothing was changed: copy it from the {PORTAL}."])


def _ask(settings: Settings, out: TextIO, *, typed: bool) -> Asked:
    preflight = inquire(settings)
    show(preflight.findings, out)
    return Asked(settings, preflight, typed)


def _needs_intent(preflight: Preflight) -> bool:
    return any(finding.topic is Topic.INTENT and finding.stops for finding in preflight.findings)


def _with_intent(settings: Settings, preflight: Preflight, out: TextIO, *, yes: bool) -> Preflight:
    """Switches the intent on, if it is off and somebody says yes; what Discord says then."""
    about = preflight.about
    if about is None or not _needs_intent(preflight) or not (yes or agreed("Switch Server Members Intent on?")):
        return preflight
    result = asyncio.run(_switch_on(settings, about, out))
    return inquire(settings) if result else preflight


async def _switch_on(settings: Settings, about: About, out: TextIO) -> bool:
    token = settings.token().get_secret_value()
    finding = await switch_intent_on(settings.discord_api_url, token, about, SystemClock().now_ms)
    show((finding,), out)
    return not finding.stops


def _offer_file(token: SecretStr, out: TextIO) -> None:
    path = ENV_FILE.absolute()
    question = (
        f"Put the token into {path}, which is there already?" if path.exists() else f"Write the token to {path}?"
    )
    if not agreed(question):
        out.write("Not written: set DISCORD_TOKEN where the bot runs.\n")
        return
    _write(path, f"DISCORD_TOKEN={token.get_secret_value()}\n")
    out.write(f"Written; only you can read {path}.\n")


def _write(path: Path, line: str) -> None:
    """Puts the line at the file's end, in place of one for the same name; its owner alone can read it from then on.

    Raises:
        StorageError: when it cannot be written.
    """
    beside = path.with_name(f"{path.name}.new")
    try:
        said = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = "".join(f"{each}\n" for each in said if not _TOKEN_LINE.match(each))
        beside.touch(OWNER_ONLY)
        beside.chmod(OWNER_ONLY)
        beside.write_text(f"{kept}{line}", encoding="utf-8")
        beside.replace(path.resolve())
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} could not be written ({error.__class__.__name__})") from error


def _tell_what_is_next(preflight: Preflight, out: TextIO) -> int:
    code = code_of(preflight.findings)
    if preflight.link:
        out.write(f"Add the bot to a server: {preflight.link}\n{LINK_NOTE}")
    out.write(f"Then start it: {command('run')}\n" if code == OK else f"When that is mended: {command('setup')}\n")
    return code
