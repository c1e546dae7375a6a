"""What a check before the first IDENTIFY can find: a closed set, each in one sentence with its fix.

None holds the token, or any part of it. ``doctor`` and ``setup`` print them, ``run`` logs them and holds.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import msgspec

from actors.command import command
from actors.gateway.failures import Failure, Forbidden, Limited, Malformed, NotReady, TimedOut, TooLong, Unavailable

PORTAL: Final = "Developer Portal (https://discord.com/developers/applications)"
UNAUTHORIZED: Final = "unauthorized"
"""``Forbidden.reason`` of a 401: the token, not a permission."""
NOT_HERE: Final = "use https://discord.com/api/v10 (leave DISCORD_API_URL out) and look for a proxy in between"
API_PATH: Final = "/api/v10"
SHAPES: Final = (
    (r"\d{17,20}", "an application's or a user's id"),
    (r"[0-9a-f]{64}", "an application's public key"),
    (r"mfa\..+", "a person's token"),
    (r"[\w-]{32}", "a client secret"),
    (r"[A-Za-z0-9]{30}", "an OAuth access token"),
)
"""What else can be copied from the portal, by its shape (whole match)."""
BOT_SHAPE: Final = r"[\w-]{18,}\.[\w-]{6,}\.[\w-]{27,}"


class Severity(StrEnum):
    """``BLOCKING``: only the operator can mend it; ``AWAY``: it may mend itself; the others let the bot start."""

    BLOCKING = "blocking"
    AWAY = "away"
    WARNING = "warning"
    FINE = "fine"


class Topic(StrEnum):
    """What a finding is about: a short name that does not change, for logs and tests."""

    TOKEN = "token"  # noqa: S105 -- a topic, not a secret
    DISCORD = "discord"
    APPLICATION = "application"
    INTENT = "intent"
    BUDGET = "budget"
    CLOCK = "clock"
    INSTALL = "install"
    ENDPOINT = "endpoint"
    CLOSED = "closed"
    LOCAL = "local"
    CLOUD = "cloud"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """``what`` is the case; ``fix``: what to do, "" where nothing is. Asking again within ``wait_s`` is no use."""

    topic: Topic
    severity: Severity
    what: str
    fix: str = ""
    wait_s: float = 0.0

    @property
    def stops(self) -> bool:
        """Whether the bot cannot start with it."""
        return self.severity in {Severity.BLOCKING, Severity.AWAY}

    def __str__(self) -> str:
        return f"{self.what}: {self.fix}." if self.fix else f"{self.what}."


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: list(Severity).index(finding.severity)))


def setting_refused(sentence: str) -> Finding:
    return Finding(topic=Topic.LOCAL, severity=Severity.BLOCKING, what=sentence.rstrip("."))


def token_missing() -> Finding:
    return Finding(
        topic=Topic.TOKEN,
        severity=Severity.BLOCKING,
        what="DISCORD_TOKEN is not set, so Discord could not be asked",
        fix=f"copy the token from the {PORTAL}, Bot, Reset Token, or let `{command('setup')}` ask for it",
    )


def token_refused(token: str) -> Finding:
    """Discord said 401; the shape tells what was copied instead, if anything."""
    fix = f"copy the token from the {PORTAL}, Bot, Reset Token, into DISCORD_TOKEN and start the bot again"
    return Finding(
        topic=Topic.TOKEN,
        severity=Severity.BLOCKING,
        what=f"Discord refused DISCORD_TOKEN (401), {_shape(token)}",
        fix=fix,
    )


def token_of_a_person() -> Finding:
    return Finding(
        topic=Topic.TOKEN,
        severity=Severity.BLOCKING,
        what="DISCORD_TOKEN is a person's token, and Discord forbids programs to use one",
        fix=f"copy the bot's from the {PORTAL}, Bot, Reset Token, and start the bot again",
    )


def _shape(token: str) -> str:
    for shape, what in SHAPES:
        if re.fullmatch(shape, token, re.ASCII):
            return f"which looks like {what}, not like a bot's token"
    if re.fullmatch(BOT_SHAPE, token, re.ASCII):
        return (
            "which has a bot token's shape, but was reset or not copied whole, or its application has no bot any more"
        )
    return "which has not the shape of a bot's token; perhaps it was not copied whole"


def trouble(failure: Failure, token: str, api_url: str) -> Finding:
    """Why Discord gave no answer that helps."""
    wait_s = 0.0
    match failure:
        case Forbidden(reason=reason) if reason == UNAUTHORIZED:
            return token_refused(token)
        case Forbidden():
            what, fix = (
                "Discord turns this machine's requests away (403)",
                "ask its host whether the address is banned",
            )
        case Unavailable(status=0, why=why):
            return _unreached(api_url, why)
        case Unavailable(status=status) if status >= 500:  # noqa: PLR2004 -- HTTP's words for "our fault"
            return _away(f"Discord answers with status {status}", "wait; https://discordstatus.com says how long")
        case Unavailable(status=status):
            what, fix = f"What answers is not Discord's API (status {status})", _right_place(api_url)
        case Limited(retry_after_s=wait_s):
            what, fix = f"Discord asks to wait for {wait_s:.0f} s (429)", "wait; stop other programs with this token"
            return _away(what, fix, wait_s)
        case TimedOut(after_s=after_s):
            return _away(
                f"Discord did not answer within {after_s:g} s", "check the network and https://discordstatus.com"
            )
        case Malformed() | NotReady() | TooLong():  # the latter two are never the answer to a check
            what, fix = "What answers is not Discord's API (no JSON that fits)", _right_place(api_url)
    return Finding(topic=Topic.DISCORD, severity=Severity.BLOCKING, what=what, fix=fix, wait_s=wait_s)


def _unreached(api_url: str, why: str) -> Finding:
    place = urlsplit(api_url).netloc
    what = f"{place} could not be reached ({why})" if why else f"{place} could not be reached"
    return _away(what, "check the network, the name service and DISCORD_API_URL")


def _right_place(api_url: str) -> str:
    return NOT_HERE if api_url.endswith(API_PATH) else f"let DISCORD_API_URL end with {API_PATH}"


def _away(what: str, fix: str, wait_s: float = 0.0) -> Finding:
    return Finding(topic=Topic.DISCORD, severity=Severity.AWAY, what=what, fix=fix, wait_s=wait_s)


def elsewhere(api_url: str) -> Finding:
    what = f"DISCORD_API_URL names {api_url}, which is not Discord's own and gets the token"
    return Finding(topic=Topic.DISCORD, severity=Severity.FINE, what=what)


def application_found(name: str, application: str) -> Finding:
    return Finding(topic=Topic.TOKEN, severity=Severity.FINE, what=f"The token is that of {name} ({application})")


def application_unread(failure: Failure) -> Finding:
    """Something is odd, but nothing says that the bot could not start."""
    what = f"The application could not be read ({type(failure).__name__.lower()}), so its intents are not known"
    fix = f"see that Server Members Intent is switched on in the {PORTAL}, Bot"
    return Finding(topic=Topic.APPLICATION, severity=Severity.WARNING, what=what, fix=fix)


def intent_on() -> Finding:
    return Finding(topic=Topic.INTENT, severity=Severity.FINE, what="Server Members Intent is switched on")


def intent_off() -> Finding:
    return Finding(
        topic=Topic.INTENT,
        severity=Severity.BLOCKING,
        what="Server Members Intent is switched off, so Discord would tell nothing of joins",
        fix=f"run `{command('setup')}`, or switch it on in the {PORTAL}, Bot, Privileged Gateway Intents",
    )


def intent_refused(why: str) -> Finding:
    return Finding(
        topic=Topic.INTENT,
        severity=Severity.BLOCKING,
        what=f"Discord did not switch Server Members Intent on ({why})",
        fix=f"switch it on in the {PORTAL}, Bot, Privileged Gateway Intents; larger bots need Discord's review",
    )


def review_ahead(guilds: int) -> Finding:
    return Finding(
        topic=Topic.INTENT,
        severity=Severity.WARNING,
        what=f"The bot is in {guilds} servers with an intent that Discord has not reviewed, and reviews larger bots",
        fix=f"ask for the review in the {PORTAL}, Bot, before Discord switches the intent off",
    )


def budget_left(remaining: int, total: int) -> Finding:
    return Finding(
        topic=Topic.BUDGET, severity=Severity.FINE, what=f"{remaining:,} of {total:,} logins are left today"
    )


def budget_spent(remaining: int, shards: int, reset_s: float) -> Finding:
    return Finding(
        topic=Topic.BUDGET,
        severity=Severity.BLOCKING,
        what=f"Logins left: {remaining:,}, needed: {shards:,}; Discord gives new ones in {_span(reset_s)}",
        fix="wait (the bot starts by itself then), and look for another program that logs in with this token",
    )


def budget_unread() -> Finding:
    what = "The number of logins that are left could not be read, so one connection is made"
    return Finding(topic=Topic.BUDGET, severity=Severity.WARNING, what=what)


def clock_off(skew_s: float) -> Finding:
    return Finding(
        topic=Topic.CLOCK,
        severity=Severity.WARNING,
        what=f"This machine's clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} Discord's",
        fix="let it be set by NTP: times of joins are compared with it",
    )


def code_grant() -> Finding:
    return Finding(
        topic=Topic.INSTALL,
        severity=Severity.WARNING,
        what="The application requires a code grant, so the install link fails",
        fix=f"switch off Requires OAuth2 Code Grant in the {PORTAL}, Bot",
    )


def no_guild(link: str) -> Finding:
    return Finding(
        topic=Topic.INSTALL,
        severity=Severity.WARNING,
        what="The bot is in no server yet",
        fix=f"open {link} to add it",
    )


def private_bot() -> Finding:
    what = "The bot is not public: only its owner can add it to a server"
    return Finding(topic=Topic.INSTALL, severity=Severity.FINE, what=what)


def commands_elsewhere() -> Finding:
    return Finding(
        topic=Topic.ENDPOINT,
        severity=Severity.WARNING,
        what="The application has an interactions endpoint, so slash commands do not reach this bot",
        fix=f"empty Interactions Endpoint URL in the {PORTAL}, General Information",
    )


def ended_for_good(why: str, fix: str) -> Finding:
    """Discord ended the connection with a code that no retry mends."""
    return Finding(topic=Topic.CLOSED, severity=Severity.BLOCKING, what=why, fix=fix)


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(minutes, 1)} min"  # noqa: PLR2004
