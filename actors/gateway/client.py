"""The library's client, tapped: each dispatch is taken before the library's own parser sees it.

The library drops what its cache makes it think impossible (the join of a member it has cached), so the table of its
parsers is wrapped before the first connect. Rules: the library's parser still runs, but for the members of others, of
whom it would make objects that nobody asks for; nothing here raises into the library, whose reader would die of it;
what the library's parser raises over a payload ends here as well.
One client is one shard (``shard``); its first IDENTIFY waits there, a later one here.
Whatever ends a client, its socket ends with it. The library's own close does not see to that: it knows no socket
before its IDENTIFY, and it is a single task, which ends for everybody when one who waits for it is cancelled.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Final, TypeAlias, cast

import discord
import yarl
from discord.gateway import DiscordWebSocket, KeepAliveHandler
from structlog.typing import FilteringBoundLogger

from actors.gateway.commands import Tree
from actors.gateway.identify import IdentifyGate
from actors.gateway.intake import Intake, Slot
from actors.gateway.permissions import PermissionWatch
from actors.gateway.rest import url_of_gateway
from actors.gateway.restraint import Restraint
from actors.gateway.trouble import FAULTS
from ledger.ids import SessionId

Parser: TypeAlias = Callable[[dict[str, object]], None]
Step: TypeAlias = Callable[[str, dict[str, object]], None]
"""What is done with a dispatch: its name, its payload."""

PERMISSION_EVENTS: Final = frozenset(
    {"GUILD_CREATE", "GUILD_UPDATE", "GUILD_ROLE_UPDATE", "GUILD_ROLE_DELETE", "GUILD_MEMBER_UPDATE"}
)
MEMBER_EVENTS: Final = frozenset({"GUILD_MEMBER_ADD", "GUILD_MEMBER_UPDATE", "GUILD_MEMBER_REMOVE"})
EACH_PAYLOADS_NAME: Final = "socket_event_type"
"""The library's event that there is one of for each payload; nobody listens to it."""
SILENCE_S: Final = 60.0
"""A socket that has said nothing for so long, no answer to a heartbeat either (41 s apart), is dead."""
MAX_RATE_LIMIT_WAIT_S: Final = 30.0
"""The library waits for a rate limit at most so long (its own minimum); a longer one is a failure."""


def intents() -> discord.Intents:
    """What we listen to; ``members`` is privileged and has to be switched on in Discord's portal.

    ``moderation``: entries of the audit log, to whoever may view it.
    """
    wanted = discord.Intents.none()
    wanted.guilds = wanted.members = wanted.invites = wanted.moderation = True
    return wanted


def expect_no_voice() -> None:
    """Keeps the library from warning that it could not speak: we never do."""
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False


class Client(discord.Client):
    """One shard's connection.

    Args:
        intake: takes the dispatches.
        watch: told when the bot's permissions may have changed.
        slot: which shard of how many.
        gate: asked before each IDENTIFY but the first of a connection, which whoever connects has asked for.
        restraint: hears of the limits that requests meet.
        log: for payloads that were too much for a parser.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        watch: PermissionWatch,
        slot: Slot,
        gate: IdentifyGate,
        restraint: Restraint,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(
            intents=intents(),
            shard_id=slot[0],
            shard_count=slot[1],
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            allowed_mentions=discord.AllowedMentions.none(),
            max_ratelimit_timeout=MAX_RATE_LIMIT_WAIT_S,
            heartbeat_timeout=SILENCE_S,
            http_trace=restraint.trace(),
        )
        self.tree = Tree(self, log)
        self._intake = intake
        self._watch = watch
        self._gate = gate
        self._log = log
        parsers = self._connection.parsers
        for name, parse in parsers.items():
            parsers[name] = self._tapped(name, parse)
        self._socket: DiscordWebSocket | None = None
        self._beating: KeepAliveHandler | None = None
        self._connection._update_references = self._note_socket  # type: ignore[method-assign] # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- see check_library

    async def setup_hook(self) -> None:
        """After the login, before the socket: where the socket is (the library would take Discord's own)."""
        address = await url_of_gateway(self.http)
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(address["url"])

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """The library asks with the socket open and gives up after 60 s, so a first turn is taken before that."""
        async with AsyncExitStack() as on_failure:
            on_failure.push_async_callback(self._hang_up)
            if not initial:
                await self._gate.turn(shard_id or 0)
            await self._gate.identify(shard_id or 0)
            on_failure.pop_all()

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            await self._hang_up()
            await self.http.close()

    async def on_disconnect(self) -> None:
        self.note_loss()
        self._log.info("gateway.disconnected", session=self._intake.session)

    def note_loss(self) -> None:
        """A heartbeat that was answered shows that what was sent before it has come, or never will."""
        heard_s = self._beating._last_recv if self._beating else perf_counter()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- see check_library
        self._intake.expect_replay(silent_s=perf_counter() - heard_s)

    async def on_resumed(self) -> None:
        self._log.info("gateway.resumed", session=self._intake.session)

    def is_connected(self) -> bool:
        """Whether a socket is open now."""
        return self.has_had_socket() and self.ws.open

    def has_had_socket(self) -> bool:
        """Whether a first connect has succeeded."""
        return self.ws is not None  # pyright: ignore[reportUnnecessaryComparison] -- the library sets it late

    def dispatch(self, event: str, /, *args: object, **kwargs: object) -> None:
        if event != EACH_PAYLOADS_NAME:
            super().dispatch(event, *args, **kwargs)

    def _note_socket(self, ws: DiscordWebSocket) -> None:
        """A socket as soon as there is one. The library tells its voice of it here; we have none."""
        self._socket = ws

    async def _hang_up(self) -> None:
        """Closes the socket if it is open, and ends the thread that beats for it."""
        if self._socket is not None:
            await self._socket.close(1000)

    def _tapped(self, name: str, parse: Parser) -> Parser:
        of_a_member, of_permissions = name in MEMBER_EVENTS, name in PERMISSION_EVENTS

        def receive(payload: dict[str, object]) -> None:
            self._guarded(name, self._hear, payload)
            if of_a_member and not self._is_about_me(payload):
                return
            self._guarded(name, lambda _, payload: parse(payload), payload)
            if of_permissions:
                self._guarded(name, self._look, payload)

        return receive

    def _guarded(self, name: str, step: Step, payload: dict[str, object]) -> None:
        try:
            step(name, payload)
        except FAULTS as error:
            self._log.exception("dispatch.failed", name=name, error=repr(error))

    def _hear(self, name: str, payload: object) -> None:
        """The socket's number is this very dispatch's: it is set just before the parser is called."""
        self._beating = self.ws._keep_alive  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- see check_library
        self._intake.hear(name, payload, SessionId(self.ws.session_id or ""), self.ws.sequence or 0)

    def _look(self, name: str, payload: dict[str, object]) -> None:
        guild = self.get_guild(int(str(payload.get("guild_id") or payload["id"])))
        if guild is not None:
            self._watch.look(guild, arriving=name == "GUILD_CREATE")

    def _is_about_me(self, payload: object) -> bool:
        user = cast("dict[str, object]", payload).get("user") if isinstance(payload, dict) else None
        mine = str(self.user.id) if self.user is not None else None
        return isinstance(user, dict) and cast("dict[str, object]", user).get("id") == mine
