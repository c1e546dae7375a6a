"""An answer of the bot as a terminal can show it: Discord's markup becomes names and times, its marks go.

Pure. What Discord would resolve for a reader (mentions, timestamps) is resolved with what the caller knows.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

_MENTION: Final = re.compile(r"<@(-?\d+)>")
_PLACE: Final = re.compile(r"<(#|@&)(\d+)>")
_TIME: Final = re.compile(r"<t:(\d+):([a-zA-Z])>")
_MARKS: Final = re.compile(r"^(?:#{1,3} |-# |> )|(?<!\\)(?:\*\*|`)|[\u2066-\u2069]", re.MULTILINE)
_ESCAPE: Final = re.compile(r"\\([^a-zA-Z0-9\s])")


def readable(text: str, names: Mapping[int, str], now_s: float) -> str:
    """The text with names for ids.

    Args:
        text: as Discord got it.
        names: of users, channels and roles by id; an id that is not there stays a number.
        now_s: for times that are said as an age, seconds since 1970.
    """
    text = _MENTION.sub(lambda found: f"@{names.get(int(found[1]), found[1])}", text)
    text = _PLACE.sub(lambda found: f"{found[1][0]}{names.get(int(found[2]), found[2])}", text)
    text = _TIME.sub(lambda found: _time(int(found[1]), found[2], now_s), text)
    return _ESCAPE.sub(r"\1", _MARKS.sub("", text))


def _time(at_s: int, style: str, now_s: float) -> str:
    if style == "R":
        return f"{max(0, round(now_s - at_s))} s ago"
    shown = "%H:%M:%S" if style == "T" else "%Y-%m-%d %H:%M"
    return f"{datetime.fromtimestamp(at_s, UTC):{shown}} UTC"
