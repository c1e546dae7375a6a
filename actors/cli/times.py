"""Times as a person says and reads them: ISO 8601, or an age such as ``2h ago``; UTC where no zone is named. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

from actors.cli.errors import BadWords

_AGE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([a-z]+)(?:\s+ago)?")
_ZONE: Final = re.compile(r"\s*(?:UTC|GMT)$", re.IGNORECASE)
"""As ``shown`` writes it."""
_UNITS_S: Final = {
    name: seconds
    for names, seconds in (
        (("s", "sec", "second", "seconds"), 1),
        (("m", "min", "minute", "minutes"), 60),
        (("h", "hour", "hours"), 3_600),
        (("d", "day", "days"), 86_400),
        (("w", "week", "weeks"), 604_800),
    )
    for name in names
}


class BadTime(BadWords):
    """A word that is no time, or none that can be meant."""

    hint = "say it like 2026-11-28T18:00Z, 2026-11-28 19:00+01:00 (without a zone it is UTC), or `2h ago`"


class NotYet(BadWords):
    """A time that has not come yet, where what was recorded by then is asked for."""

    hint = "name a time that has passed, or leave it out"


def parse_time(text: str, now_ms: int) -> int:
    """Milliseconds since 1970.

    Raises:
        BadTime: when it is no time, or none that can be counted so.
    """
    try:
        at_ms = _parsed(text.strip(), now_ms)
        shown(at_ms)
    except (ValueError, OverflowError) as error:
        raise BadTime(f"{text!r} is no time") from error
    return at_ms


def _parsed(text: str, now_ms: int) -> int:
    age = _AGE.fullmatch(text.lower())
    if age is not None and age[2] in _UNITS_S:
        return now_ms - round(float(age[1]) * _UNITS_S[age[2]] * 1_000)
    if text.lower() == "now":
        return now_ms
    at = datetime.fromisoformat(_ZONE.sub("", text))
    if at.tzinfo and _ZONE.search(text):
        raise ValueError("two zones")
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)


def shown(at_ms: int) -> str:
    """``2026-11-28 18:00:05 UTC``; the milliseconds do not count."""
    return f"{datetime.fromtimestamp(at_ms // 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def compact(at_ms: int) -> str:
    """``20261128T180005Z``, for names of files."""
    return f"{datetime.fromtimestamp(at_ms // 1_000, UTC):%Y%m%dT%H%M%SZ}"
