"""Names and numbers as text that Discord shows as it is meant: no markdown, no ping, no trick by invisible letters.

Messages carry no display names, only ids as mentions, which Discord resolves for whoever reads them; that they ping
nobody is the sender's business (``AllowedMentions.none()``).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ledger.ids import NO_COUNTER, VANITY, ChannelId, InviteCode, UserId, is_tombstone

MAX_MESSAGE: Final = 1_900
"""Discord's limit is 2,000 characters; the rest is for a last remark."""
MAX_CHOICES: Final = 25
"""That Discord offers while somebody types."""
MAX_CHOICE: Final = 100
"""Characters of a choice's name, and of its value."""
NO_LABELS: Final[Mapping[InviteCode, str]] = {}
_MARKDOWN: Final = str.maketrans({mark: f"\\{mark}" for mark in "\\*_~`|>[]()<@#-"})


def plain(text: str) -> str:
    """Any text, with nothing in it that Discord would read as markdown, a mention or a link, on one line."""
    return visible(text).translate(_MARKDOWN).replace("://", "\\://")


def brief(text: str, most: int = 120) -> str:
    """``plain``, of at most so many characters of an error that may be long."""
    return plain(text if len(text) <= most else f"{text[: most - 1]}…")


def code(name: InviteCode, label: str = "") -> str:
    """An invite's code, with the label that it was given; the two sources that have none by what they are."""
    if name == VANITY:
        return "the vanity URL"
    if name == NO_COUNTER:
        return "a way without an invite (Server Discovery, an app, a student hub)"
    short = name if len(name) <= MAX_CODE else f"{name[: MAX_CODE - 1]}…"
    bare = f"`{visible(short).replace('`', '')}`"
    return f"{bare} ({shown(label)})" if label else bare


MAX_CODE: Final = 100
"""Discord's own are shorter; a person may type 6,000 characters, and an answer holds 2,000."""


def link(name: InviteCode) -> str:
    """An invite as it is passed on."""
    return f"https://discord.gg/{name}"


def either(names: Iterable[InviteCode], labels: Mapping[InviteCode, str] = NO_LABELS) -> str:
    """``A, B or C``; at most five by name."""
    words = [code(name, labels.get(name, "")) for name in names]
    if len(words) > MAX_NAMED:
        words = [*words[:MAX_NAMED], f"{len(words) - MAX_NAMED} more"]
    return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


MAX_NAMED: Final = 5
"""Of several that are meant."""


FORGOTTEN: Final = "a forgotten member"


def person(user: UserId, name: str = "") -> str:
    """A mention, with the name that is known: a mention of somebody unknown to the reader shows digits only."""
    if is_tombstone(user):
        return FORGOTTEN
    return f"<@{user}> ({shown(name)})" if name else f"<@{user}>"


def shown(name: str) -> str:
    """A display name or a label as it is meant: cut, and kept from turning the direction of what stands beside it."""
    short = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
    return f"\u2068{plain(short)}\u2069"


MAX_NAME: Final = 32
"""Discord's own limit; what is longer comes from elsewhere."""


def channel(where: ChannelId) -> str:
    return f"<#{where}>"


def moment(at_us: int) -> str:
    """A time, shown in the reader's own zone."""
    return f"<t:{at_us // 1_000_000}:f>"


def second(at_us: int) -> str:
    """A time of day with its seconds, likewise."""
    return f"<t:{at_us // 1_000_000}:T>"


def ago(at_us: int) -> str:
    """How long a time is past, which goes on counting while it is looked at."""
    return f"<t:{at_us // 1_000_000}:R>"


def count(number: int, one: str, many: str = "") -> str:
    """``1 join``, ``2 joins``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def fit(lines: Sequence[str]) -> str:
    """The lines as one message; what is too much is cut at a line, and said."""
    kept: list[str] = []
    size = 0
    for line in lines:
        size += len(line) + 1
        if size > MAX_MESSAGE:
            return "\n".join([*kept, f"… and {len(lines) - len(kept)} more"])
        kept.append(line)
    return "\n".join(kept)


def visible(text: str) -> str:
    """Without control characters, line breaks and those that turn the direction of writing."""
    return "".join(letter if letter.isprintable() or letter == ZERO_WIDTH_JOINER else " " for letter in text)


ZERO_WIDTH_JOINER: Final = "\u200d"
"""What holds an emoji of several parts together; alone it shows nothing."""
