"""``inviteledger doctor``: what stops the bot, or may, and what to do: the findings that ``run`` goes by, for people.

STOP  Server Members Intent is switched off, so Discord would tell nothing of joins.
      fix: run `inviteledger setup`, or …
ok    LEDGER_HTTP, 127.0.0.1:8080, is free.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, TextIO

from actors.cli.cloud import try_cloud
from actors.cli.exits import AWAY, CONFIGURATION, OK
from actors.cli.piping import printing
from actors.cli.premises import look_round
from actors.clock import SystemClock
from actors.command import command
from actors.gateway.findings import Finding, Severity, Topic, setting_refused, token_missing, worst_first
from actors.gateway.permissions import LINK_NOTE
from actors.gateway.preflight import Preflight, ask_once
from actors.settings import Settings
from actors.sources import Reading

MARKS: Final = {Severity.BLOCKING: "STOP", Severity.AWAY: "away", Severity.WARNING: "warn", Severity.FINE: "ok"}
UNASKED: Final = Preflight(findings=(), grant=None)
CLOUD_SETTINGS: Final = {"LEDGER_CLOUD", "LEDGER_CLOUD_TOKEN", "CLOUD_API_URL"}
HELD: Final = frozenset({Topic.DISCORD, Topic.INTENT, Topic.BUDGET})
"""What ``run`` waits for; a new token needs a restart, and what this machine lacks ends it."""
NO_TOKEN: Final = Preflight(findings=(token_missing(),), grant=None)


def examine(reading: Reading, out: TextIO) -> int:
    """Prints every finding, worst first; 0 when nothing stops the bot, 69 when something is away, else 78.

    What cannot be used among the settings is a finding; what does not depend on it is looked at all the same.
    """
    settings, refused = reading.settings, reading.refused
    preflight = UNASKED if refused & {"DISCORD_TOKEN", "DISCORD_API_URL"} else inquire(settings)
    broken = tuple(setting_refused(sentence) for sentence in reading.findings)
    cloud = () if refused & CLOUD_SETTINGS else try_cloud(settings)
    findings = worst_first((*broken, *preflight.findings, *look_round(settings, refused), *cloud))
    with printing(out):
        show(findings, out)
        if preflight.link and not any(preflight.link in finding.fix for finding in findings):
            out.write(f"The link that adds the bot to a server: {preflight.link}\n{LINK_NOTE}")
        out.write(_summary(findings))
    return code_of(findings)


def inquire(settings: Settings) -> Preflight:
    """Asks Discord, if there is a token to ask with."""
    if settings.discord_token is None:
        return NO_TOKEN
    return asyncio.run(ask_once(settings.discord_api_url, settings.token().get_secret_value(), SystemClock().now_ms))


def show(findings: Sequence[Finding], out: TextIO) -> None:
    for finding in findings:
        out.write(f"{MARKS[finding.severity]:<5} {finding.what}{'' if finding.what.endswith('?') else '.'}\n")
        if finding.fix:
            out.write(f"      fix: {finding.fix}.\n")


def code_of(findings: Sequence[Finding]) -> int:
    severities = {finding.severity for finding in findings}
    if Severity.BLOCKING in severities:
        return CONFIGURATION
    return AWAY if Severity.AWAY in severities else OK


def _summary(findings: Sequence[Finding]) -> str:
    stopping = [finding.topic for finding in findings if finding.stops]
    if not stopping:
        return "Nothing stops the bot.\n"
    told = "One of these stops the bot" if len(stopping) == 1 else f"{len(stopping)} of these stop the bot"
    if HELD.issuperset(stopping):
        return f"{told}: `{command('run')}` starts, holds, and goes on by itself once that is mended.\n"
    return f"{told}.\n"
