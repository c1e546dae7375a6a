"""The words of a join message: a template by kind of join, with placeholders that say only what is known. Pure.

A template is the server's own text, so its markdown stays; what is filled in carries none, and nothing here can ping:
people are mentions, and the message is sent with ``allowed_mentions`` of nobody. What is filled in is not filled
again.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, get_args

from actors.gateway.render import because, bot_words, verdict_words
from actors.gateway.snowflakes import DAY_US, age_us
from actors.gateway.wording import MAX_MESSAGE, brief, code, count, either, person, shown
from ledger.effects import AnnounceJoin
from ledger.ids import VANITY
from ledger.records import Status
from ledger.state import OPEN, Period

Kind: TypeAlias = Literal["known", "vanity", "bot", "open", "unknown"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
DEFAULTS: Final[Mapping[Kind, str]] = {
    "known": "{member}: {verdict}; for {inviter} ({count} credited). {young}",
    "vanity": "{member}: {verdict}. {young}",
    "bot": "{member}: a bot, added by {inviter}.",
    "open": "{member}: {verdict}. {young}",
    "unknown": "{member}: {verdict}. {young}",
}
NAMED: Final = frozenset(
    {
        Status.CERTAIN,
        Status.CONFIRMED,
        Status.INVITER_CERTAIN,
        Status.REPORTED,
        Status.MANUAL,
    }
)
"""Statuses that say whose the join is."""
UNDECIDED: Final = OPEN | {Status.PENDING}
MAX_TEMPLATE: Final = 1_000
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def join_message(effect: AnnounceJoin) -> str:
    """What the log channel shows; at most ``wording.MAX_MESSAGE`` characters, never empty."""
    kind = kind_of(effect.period)
    text = _filled(effect.template.get(kind) or DEFAULTS[kind], effect)
    text = text or _filled(DEFAULTS[kind], effect)
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 1]}…"


def kind_of(period: Period) -> Kind:
    """Which template a join has."""
    if period.bot:
        return "bot"
    if period.status in UNDECIDED:
        return "open"
    if period.status not in NAMED:
        return "unknown"
    if period.code == VANITY:
        return "vanity"
    return "unknown" if period.status is Status.MANUAL and not period.staff else "known"


def wrong_in(template: str) -> str:
    """Why a template is refused, in words; "" where it is not."""
    strange = [name for name in _PLACEHOLDER.findall(template) if name not in _PLACEHOLDERS]
    if strange:
        known = ", ".join(f"`{{{name}}}`" for name in _PLACEHOLDERS)
        name = brief(strange[0], 40)
        return f"I do not know the placeholder {{{name}}}, so it would be shown as it is; I know {known}."
    if len(template) > MAX_TEMPLATE:
        size = f"{len(template):,} characters, {MAX_TEMPLATE:,} are possible"
        return f"The text has {size}: filled in, a message would not hold it. Please shorten it."
    return ""


def _filled(template: str, effect: AnnounceJoin) -> str:
    def fill(found: re.Match[str]) -> str:
        words = _PLACEHOLDERS.get(found[1])
        return words(effect) if words else found[0]

    return _PLACEHOLDER.sub(fill, template).strip()


def _member(effect: AnnounceJoin) -> str:
    return person(effect.user)


def _verdict(effect: AnnounceJoin) -> str:
    period = effect.period
    if period.bot:
        return bot_words(period.inviter)
    return verdict_words(
        period.status, period.code, period.candidates, period.staff, period.reason, labels=effect.labels
    )


def _inviter(effect: AnnounceJoin) -> str:
    """A candidate is never worded as a fact."""
    period = effect.period
    who = period.inviter if period.bot else period.staff or period.inviter
    if who is None:
        return "somebody I do not know (yet)" if period.bot or period.status in UNDECIDED else "nobody I know of"
    return f"probably {person(who)}" if period.status in UNDECIDED else person(who)


def _code(effect: AnnounceJoin) -> str:
    period = effect.period
    if period.code is None:
        return either(period.candidates, effect.labels) or "no invite I know of"
    named = code(period.code, effect.labels.get(period.code, ""))
    return f"probably {named}" if period.status in UNDECIDED else named


def _label(effect: AnnounceJoin) -> str:
    """The campaign alone, of a code that is known; nothing where there is none."""
    period = effect.period
    label = effect.labels.get(period.code, "") if period.code else ""
    return f"probably {shown(label)}" if label and period.status in UNDECIDED else shown(label) if label else ""


def _count(effect: AnnounceJoin) -> str:
    return count(effect.total, "join")


def _why(effect: AnnounceJoin) -> str:
    return because(effect.period.reason)


def _young(effect: AnnounceJoin) -> str:
    """Marked by how old the account was at the join; nothing where it was old enough, or cannot be told."""
    age = age_us(effect.user, effect.period.opened_us)
    if age is None or age >= effect.young_days * DAY_US:
        return ""
    days = age // DAY_US
    return f"⚠ The account was {count(days, 'day') if days else 'less than a day'} old."


_PLACEHOLDERS: Final[Mapping[str, Callable[[AnnounceJoin], str]]] = {
    "member": _member,
    "verdict": _verdict,
    "inviter": _inviter,
    "code": _code,
    "label": _label,
    "count": _count,
    "why": _why,
    "young": _young,
}
PLACEHOLDERS: Final = tuple(_PLACEHOLDERS)
"""What may stand in braces."""
