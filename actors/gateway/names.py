"""What we rely on in discord.py beyond its public interface, and the start-up test that it is still there.

The member events are taken below the library's cache and REST answers as raw JSON (docs/adr/0003), which needs names
that a later release may change. So the release is pinned, and a start without these names is refused with a sentence.
"""

import inspect
from collections.abc import Iterator
from typing import Final

import discord
from discord.gateway import DiscordWebSocket, KeepAliveHandler
from discord.http import HTTPClient, Route

from ledger.errors import LedgerError

DISCORD_PY: Final = "2.7.1"

DISPATCHES: Final = (
    "READY",
    "RESUMED",
    "GUILD_CREATE",
    "GUILD_UPDATE",
    "GUILD_DELETE",
    "GUILD_ROLE_UPDATE",
    "GUILD_ROLE_DELETE",
    "GUILD_MEMBER_ADD",
    "GUILD_MEMBER_UPDATE",
    "GUILD_MEMBER_REMOVE",
    "INVITE_CREATE",
    "INVITE_DELETE",
    "CHANNEL_DELETE",
)
"""The dispatches that are taken from the parser table."""
REQUESTS: Final = (
    "request",
    "invites_from",
    "get_vanity_code",
    "get_members",
    "get_member",
    "get_user",
)
"""Methods of the library's HTTP client that answer raw JSON."""
SOCKET_STATE: Final = ("session_id", "sequence", "_discord_parsers", "_keep_alive")
"""What a socket keeps of its session; ``sequence`` is set before the dispatch of that number is parsed."""
BEATS: Final = "_last_recv"
"""When a socket last heard of Discord, as its heart keeps it: ``time.perf_counter``'s seconds."""


class LibraryMismatch(LedgerError):
    """The installed discord.py is not the release this program was written for."""

    hint = f"install discord.py=={DISCORD_PY} (pip install --require-hashes -r requirements.lock)"


def check_library() -> None:
    """Checks release and private names.

    Raises:
        LibraryMismatch: when the release is another one or a name is missing; the text names all of them.
    """
    if discord.__version__ != DISCORD_PY:
        raise LibraryMismatch(f"discord.py {discord.__version__} is installed, this release needs {DISCORD_PY}")
    missing = tuple(missing_names(discord.Client(intents=discord.Intents(guilds=True))))
    if missing:
        raise LibraryMismatch(f"discord.py lacks names we rely on: {', '.join(missing)}")


def missing_names(client: discord.Client) -> Iterator[str]:
    """The names that are not where they should be; ``client`` need not be connected."""
    state = getattr(client, "_connection", None)
    parsers = getattr(state, "parsers", {})
    yield from (f"parsers[{name}]" for name in DISPATCHES if name not in parsers)
    yield from (f"HTTPClient.{name}" for name in REQUESTS if not hasattr(HTTPClient, name))
    if not hasattr(client.http, "_global_over"):
        yield "HTTPClient._global_over"
    used = _names_in(DiscordWebSocket.from_client) | _names_in(DiscordWebSocket.received_message)
    yield from (f"DiscordWebSocket.{name}" for name in SOCKET_STATE if name not in used)
    if BEATS not in _names_in(KeepAliveHandler.__init__):
        yield f"KeepAliveHandler.{BEATS}"
    if "_from_json" not in used or not hasattr(discord.utils, "_from_json"):
        yield "utils._from_json"
    if not hasattr(DiscordWebSocket, "DEFAULT_GATEWAY"):
        yield "DiscordWebSocket.DEFAULT_GATEWAY"
    if "_update_references" not in used or not hasattr(state, "_update_references"):
        yield "ConnectionState._update_references"
    if not hasattr(Route, "BASE"):
        yield "Route.BASE"


def _names_in(function: object) -> frozenset[str]:
    code = inspect.unwrap(function).__code__ if inspect.isfunction(function) else None
    code = function.__func__.__code__ if inspect.ismethod(function) else code
    return frozenset(code.co_names) if code else frozenset()
