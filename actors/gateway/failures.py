"""How a request to Discord can fail, as values: a caller matches on them, nobody catches them.

``explain`` is for people, ``reason`` for records and logs: a short name that does not change.
"""

from typing import Final, TypeAlias, assert_never

import aiohttp
import discord
import msgspec

from actors.traffic import RequestOutcome

GARBLED: Final = (ValueError, LookupError, TypeError, AttributeError)
"""How the library stumbles over an answer of another form: no JSON, a 429 without its seconds, odd headers."""
TROUBLE: Final = (
    msgspec.ValidationError,
    discord.RateLimited,
    discord.HTTPException,
    aiohttp.ClientError,
    OSError,
    *GARBLED,
    RuntimeError,  # aiohttp's word for a session that is being closed
)
"""What a request through the library, and reading its answer, may raise for what the world does."""
LONGEST_WAIT_S: Final = 3_600.0
"""A ban of Discord's front lasts about so long; who believes more is dead for a header that was garbled."""


class _Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all failures."""


class Forbidden(_Failure, frozen=True):
    """401 or 403, or an invite list without its metadata ("no_invite_metadata"): asking again soon is no use.

    ``code``: what is wrong, in Discord's numbers; 0 = not said.
    """

    reason: str = "forbidden"
    code: int = 0


class Unavailable(_Failure, frozen=True):
    """Any other status; 0 = no answer at all (not connected, or the connection broke), ``why`` in words if known.

    ``code``: what is wrong, in Discord's numbers; 0 = not said.
    """

    status: int
    why: str = ""
    code: int = 0


class Limited(_Failure, frozen=True):
    """429, and longer than the library waits for. ``retry_after_s`` as Discord says, at most ``LONGEST_WAIT_S``."""

    retry_after_s: float


class TimedOut(_Failure, frozen=True):
    """No answer within ``after_s`` seconds; a request that changes something may have been carried out."""

    after_s: float


class Malformed(_Failure, frozen=True):
    """An answer that does not decode, or is none ("vanity_empty")."""

    why: str


class NotReady(_Failure, frozen=True):
    """202 from members-search: its index is being built. ``retry_after_s`` as Discord says; 0 = after a little."""

    retry_after_s: float


class TooLong(_Failure, frozen=True):
    """So many ``pages`` were read and the list goes on: what was read is no proof of what is not in it."""

    pages: int


Failure: TypeAlias = Forbidden | Unavailable | Limited | TimedOut | Malformed | NotReady | TooLong


def reason(failure: Failure) -> str:  # noqa: PLR0911 -- one for each failure
    """The failure's short name."""
    match failure:
        case Forbidden(reason=name):
            return name
        case Unavailable(status=status):
            return f"status_{status}" if status else "no_connection"
        case Limited():
            return "rate_limited"
        case TimedOut():
            return "timed_out"
        case Malformed(why=why):
            return f"malformed: {why}"
        case NotReady():
            return "not_ready"
        case TooLong(pages=pages):
            return f"longer_than_{pages}_pages"
        case _:
            assert_never(failure)


def outcome(failure: Failure) -> RequestOutcome:  # noqa: PLR0911 -- one for each failure
    """What the failure counts as."""
    match failure:
        case Forbidden():
            return RequestOutcome.FORBIDDEN
        case Unavailable():
            return RequestOutcome.UNAVAILABLE
        case Limited():
            return RequestOutcome.LIMITED
        case TimedOut():
            return RequestOutcome.TIMED_OUT
        case Malformed():
            return RequestOutcome.MALFORMED
        case NotReady():
            return RequestOutcome.NOT_READY
        case TooLong():
            return RequestOutcome.OK  # each of its pages was answered
        case _:
            assert_never(failure)


def as_failure(error: Exception) -> Failure:
    """One of ``TROUBLE`` as a value."""
    match error:
        case msgspec.ValidationError():
            return Malformed(why=str(error))
        case discord.RateLimited(retry_after=wait_s):
            return Limited(retry_after_s=wait_of(wait_s, LONGEST_WAIT_S))
        case discord.HTTPException(status=401 | 403, code=code):
            return Forbidden(code=code)
        case discord.HTTPException(status=status, code=code):
            return Unavailable(status=status, code=code)
        case ValueError() | LookupError() | TypeError() | AttributeError():
            return Malformed(why=type(error).__name__)
        case _:
            return Unavailable(status=0)


def in_short(error: Exception) -> str:
    """The error on a line of the log; the text of some is a whole page of HTML."""
    text = f"{type(error).__name__}: {error}"
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


MAX_TEXT: Final = 300


def wait_of(said: str | float, unsaid_s: float) -> float:
    """Seconds to wait, of what a 429 says; ``unsaid_s`` where it says nothing that can be (a date, below 0)."""
    try:
        wait_s = float(said)
    except ValueError:
        return unsaid_s
    return min(wait_s, LONGEST_WAIT_S) if wait_s >= 0 else unsaid_s


def explain(  # noqa: PLR0911 -- one for each failure
    failure: Failure, needed: str = "Manage Server"
) -> str:
    """The failure in a sentence for whoever gave the command; ``needed``: the permission it takes."""
    match failure:
        case Forbidden():
            return f"Discord does not let me do this here: I need the permission {needed}."
        case Unavailable(status=0):
            return "Discord cannot be reached right now. Please try again in a moment."
        case Unavailable(status=status):
            return f"Discord could not answer (status {status}). Please try again in a moment."
        case Limited(retry_after_s=wait_s):
            return f"Discord asks me to wait for {wait_s:.0f} s. Please try again then."
        case TimedOut(after_s=after_s):
            return f"Discord did not answer within {after_s:g} s. Please try again in a moment."
        case Malformed():
            return "Discord sent an answer I cannot read. Please try again in a moment."
        case NotReady(retry_after_s=wait_s):
            return f"Discord is still listing this server's members. Please try again in {max(wait_s, 1):.0f} s."
        case TooLong(pages=pages):
            return f"There is more than the {pages} pages I read at most, so I cannot say what is not there."
        case _:
            assert_never(failure)
