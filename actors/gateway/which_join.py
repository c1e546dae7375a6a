"""Which of a member's joins is meant: whoever leaves and comes back has several, and more than one may be open. Pure.

A join is named by its time in UTC (`2026-11-29 18:04:05`), which people can type and compare; a choice from the list
carries the exact joined_at. Where nothing is named it is the newest open case, else the newest join.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from actors.gateway.wording import MAX_CHOICE, MAX_CHOICES, MAX_NAMED, brief, count, person, visible
from ledger.ids import NO_COUNTER, VANITY, InviteCode, UserId
from ledger.records import Status
from ledger.state import Period

ZONE: Final = "UTC"
HOW: Final = "Pick one from the list under `join`, or leave it out for the newest open case. Nothing was changed."
NONE_FITS: Final = "{who} has no join here that fits “{typed}”, and I do not guess which one is meant. " + HOW
SEVERAL_FIT: Final = (
    "{joins} of {who} fit “{typed}”, and I do not guess which one is meant ({names}). " + HOW
)  # fmt: skip


class JoinChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A join that is offered: what is read, and what is sent."""

    name: str
    value: str


def title(period: Period) -> str:
    """How a join is named: its time in UTC, to the second."""
    when = datetime.fromtimestamp(period.opened_us // 1_000_000, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S} {ZONE}"


def is_open_case(period: Period) -> bool:
    """Whether the join waits for a person."""
    return period.is_case()


def joins_offered(periods: Sequence[Period], typed: str) -> Sequence[JoinChoice]:
    """The joins that fit what was typed so far, open cases first, then the newest; at most ``MAX_CHOICES``."""
    fitting = [period for period in periods if _fits(period, typed)]
    fitting.sort(key=lambda period: (not is_open_case(period), -period.opened_us))
    return [JoinChoice(name=_described(each), value=str(each.opened_us)) for each in fitting[:MAX_CHOICES]]


def join_meant(user: UserId, periods: Sequence[Period], typed: str) -> Period | str:
    """The join that is meant, of at least one; or why that cannot be said."""
    if not typed.strip():
        return next((each for each in reversed(periods) if is_open_case(each)), periods[-1])
    exact = [each for each in periods if str(each.opened_us) == typed.strip()]
    fitting = exact or [each for each in periods if _fits(each, typed)]
    if len(fitting) == 1:
        return fitting[0]
    who, shown = person(user), brief(typed, 40)
    if not fitting:
        return NONE_FITS.format(who=who, typed=shown)
    names = ", ".join(title(each) for each in fitting[-MAX_NAMED:])
    return SEVERAL_FIT.format(joins=count(len(fitting), "join"), who=who, typed=shown, names=names)


def _fits(period: Period, typed: str) -> bool:
    """By the beginning of its name, or all of what the list showed of it."""
    return title(period).startswith(typed.partition(ZONE)[0].strip())


def _described(period: Period) -> str:
    return f"{title(period)} · {_words(period)}"[:MAX_CHOICE]


def _words(period: Period) -> str:
    if is_open_case(period):
        return f"open: {' or '.join(map(_bare, period.candidates)) or 'not known'}"
    if not period.counted:
        return "here before I counted"
    if period.status is Status.MANUAL:
        return "decided by a person"
    if period.status is Status.PENDING:
        return "not worked out yet"
    return f"worked out: {_bare(period.code or NO_COUNTER)}" if period.status is not Status.UNKNOWN else "not known"


def _bare(code: InviteCode) -> str:
    """A code where no markdown is shown."""
    return {VANITY: "the vanity URL", NO_COUNTER: "no invite"}.get(code) or visible(code)
