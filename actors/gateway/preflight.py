"""The check before any IDENTIFY, by REST alone: whose token it is, what the application may, what budget is left.

An IDENTIFY is dear (1,000 a day, then Discord resets the token), a question is not. All is asked, so that all is told
at once, except after a refused token: then nothing else would be answered, and each 401 counts towards
Discord's ban (10,000 in 10 minutes). What Discord answers decides; a token's shape only words its refusal.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Final, TypeAlias

import msgspec

from actors.gateway import findings as f
from actors.gateway.failures import Failure, Forbidden, Malformed, Unavailable, reason
from actors.gateway.findings import Finding
from actors.gateway.inquiry import Inquiry
from actors.gateway.payloads import Count
from actors.gateway.permissions import install_link
from actors.settings import DISCORD_API_URL

MEMBERS_INTENT: Final = 1 << 14
"""A flag of the application: given by Discord's review."""
MEMBERS_INTENT_LIMITED: Final = 1 << 15
"""The same, switched on by the owner while the bot is small."""
REVIEW_GUILDS: Final = 75
"""Servers from which on Discord lets a bot be verified; it is required soon after."""
MAX_SKEW_S: Final = 2.0

Few: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
"""A number that we make so many things of."""


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """GET /users/@me."""

    id: str
    username: str
    bot: bool = False


class About(msgspec.Struct, frozen=True, kw_only=True):
    """GET /applications/@me. ``flags`` None: the server does not say."""

    id: str
    name: str = ""
    flags: int | None = None
    bot_public: bool = True
    bot_require_code_grant: bool = False
    interactions_endpoint_url: str | None = None
    approximate_guild_count: Count = 0

    def hears_members(self) -> bool:
        return self.flags is None or bool(self.flags & (MEMBERS_INTENT | MEMBERS_INTENT_LIMITED))


class StartLimit(msgspec.Struct, frozen=True, kw_only=True):
    """``remaining`` of ``total`` IDENTIFYs until ``reset_after`` ms are over; ``max_concurrency`` of them in 5 s."""

    total: Few
    remaining: Few
    reset_after: Count
    max_concurrency: Few = 1


class Socket(msgspec.Struct, frozen=True, kw_only=True):
    """GET /gateway/bot."""

    shards: Few
    session_start_limit: StartLimit


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway needs to go on.

    ``shards``: as many as Discord advises, ≥ 1; ``max_concurrency``: IDENTIFYs within 5 s, ≥ 1; ``remaining`` of
    ``total``: IDENTIFYs left today, which is over in ``reset_after_s``; ``application``: its id; ``name``: the bot's.
    """

    shards: int
    max_concurrency: int
    remaining: int
    total: int
    reset_after_s: float
    application: str
    name: str


class Preflight(msgspec.Struct, frozen=True, kw_only=True):
    """All findings, worst first. ``grant``: None exactly when one of them stops the bot.

    ``about``: None where the application could not be read; ``link``: the install link, "" where nobody knows whose.
    """

    findings: tuple[Finding, ...]
    grant: Grant | None
    about: About | None = None
    link: str = ""

    def stopping(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.stops)


UNKNOWN_SOCKET: Final = Socket(
    shards=1, session_start_limit=StartLimit(total=1_000, remaining=1_000, reset_after=0, max_concurrency=1)
)


async def ask_once(api_url: str, token: str, now_ms: Callable[[], int]) -> Preflight:
    """``check`` with a connection of its own."""
    async with Inquiry(api_url, token, now_ms) as ask:
        return await check(ask, api_url, token)


async def switch_intent_on(api_url: str, token: str, about: About, now_ms: Callable[[], int]) -> Finding:
    """Sets the application's limited flag, the only one the API takes, and reads it back."""
    async with Inquiry(api_url, token, now_ms) as ask:
        wanted = {"flags": (about.flags or 0) | MEMBERS_INTENT_LIMITED}
        answer = await ask.patch("/applications/@me", wanted, About)
        if not isinstance(answer, About):
            return f.intent_refused(reason(answer))
        now = await ask.get("/applications/@me", About)
    return f.intent_on() if isinstance(now, About) and now.hears_members() else f.intent_refused("it is still off")


async def check(ask: Inquiry, api_url: str, token: str) -> Preflight:
    """Asks everything once; at most four questions, each within its deadline."""
    me = await ask.get("/users/@me", Me)
    if not isinstance(me, Me):
        return Preflight(findings=(f.trouble(me, token, api_url), *_where(api_url)), grant=None)
    about, socket = await ask.get("/applications/@me", About), await ask.get("/gateway/bot", Socket)
    link = install_link(about.id if isinstance(about, About) else me.id)
    found = [
        *(() if me.bot else (f.token_of_a_person(),)),
        f.application_found(me.username, me.id),
        *_of_application(about, token, api_url),
        *_of_socket(socket, token, api_url),
        *(await _of_guilds(ask, link)),
        *_of_clock(ask.skew_s),
        *_where(api_url),
    ]
    stops = any(finding.stops for finding in found)
    known = about if isinstance(about, About) else None
    grant = None if stops else _grant(me, known, socket)
    return Preflight(findings=f.worst_first(found), grant=grant, about=known, link=link)


def _grant(me: Me, about: About | None, socket: Socket | Failure) -> Grant:
    known = socket if isinstance(socket, Socket) else UNKNOWN_SOCKET
    limit = known.session_start_limit
    return Grant(
        shards=max(1, known.shards),
        max_concurrency=max(1, limit.max_concurrency),
        remaining=limit.remaining,
        total=limit.total,
        reset_after_s=limit.reset_after / 1_000,
        application=about.id if about else me.id,
        name=me.username,
    )


def _of_application(about: About | Failure, token: str, api_url: str) -> Iterator[Finding]:
    if not isinstance(about, About):
        yield f.application_unread(about) if _is_only_unread(about) else f.trouble(about, token, api_url)
        return
    yield f.intent_on() if about.hears_members() else f.intent_off()
    reviewed = about.flags is None or about.flags & MEMBERS_INTENT
    if not reviewed and about.approximate_guild_count >= REVIEW_GUILDS:
        yield f.review_ahead(about.approximate_guild_count)
    if about.bot_require_code_grant:
        yield f.code_grant()
    if not about.bot_public:
        yield f.private_bot()
    if about.interactions_endpoint_url:
        yield f.commands_elsewhere()


def _of_socket(socket: Socket | Failure, token: str, api_url: str) -> Iterator[Finding]:
    if not isinstance(socket, Socket):
        yield f.budget_unread() if _is_only_unread(socket) else f.trouble(socket, token, api_url)
        return
    limit, shards = socket.session_start_limit, max(1, socket.shards)
    if limit.remaining < shards:
        yield f.budget_spent(limit.remaining, shards, limit.reset_after / 1_000)
    else:
        yield f.budget_left(limit.remaining, limit.total)


async def _of_guilds(ask: Inquiry, link: str) -> tuple[Finding, ...]:
    """Only an empty list says something; whoever cannot read it starts all the same."""
    guilds = await ask.get("/users/@me/guilds?limit=1", list[object])
    return (f.no_guild(link),) if guilds == [] else ()


def _of_clock(skew_s: float | None) -> Iterator[Finding]:
    if skew_s is not None and abs(skew_s) > MAX_SKEW_S:
        yield f.clock_off(skew_s)


def _where(api_url: str) -> Iterator[Finding]:
    if api_url.rstrip("/") != DISCORD_API_URL:
        yield f.elsewhere(api_url)


def _is_only_unread(failure: Failure) -> bool:
    """Who knows the token but not this page (404, 403, another form) is no reason not to start."""
    match failure:
        case Malformed():
            return True
        case Unavailable(status=status):
            return 0 < status < 500  # noqa: PLR2004 -- HTTP's words for "our fault"
        case Forbidden(reason=why):
            return why != f.UNAUTHORIZED
        case _:
            return False
