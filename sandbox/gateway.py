"""The gateway, v10: HELLO, IDENTIFY, READY, heartbeats, RESUME, and the ways in which it says goodbye.

Payloads are made in `payloads`, events in `world`; numbering and buffering are in `sessions`, bytes in
`connection`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, assert_never

from aiohttp import web

from sandbox import payloads
from sandbox.application import KNOWN_INTENTS, Application
from sandbox.chunks import chunks
from sandbox.compression import packer_for
from sandbox.conduct import Conduct
from sandbox.connection import Connection
from sandbox.credentials import Caller, Credentials
from sandbox.event import Event
from sandbox.identifies import Identifies, Start
from sandbox.models import Guild
from sandbox.protocol import Close, Op
from sandbox.pulse import Pulse
from sandbox.sessions import Intent, Session, Sessions, dispatch
from sandbox.violations import Violations
from sandbox.wire import JsonObject, as_int, as_list, as_object
from sandbox.world import World

MAX_GUILDS_A_SHARD: Final = 2_500
HEARTBEAT_MS: Final = 41_250
ACK_AFTER_S: Final = 0.05
"""As over a network: discord.py notes in another thread when it has sent; an answer of before seems late to it."""


class Gateway:
    """All sockets and sessions.

    A test may set `heartbeat_ms`, `acks` (whether heartbeats are answered) and `max_guilds_a_shard`.
    """

    def __init__(
        self,
        *,
        world: World,
        application: Application,
        credentials: Credentials,
        identifies: Identifies,
        pulse: Pulse,
        violations: Violations,
    ) -> None:
        self.world = world
        self.application = application
        self.credentials = credentials
        self.identifies = identifies
        self.pulse = pulse
        self.violations = violations
        self.sessions = Sessions()
        self.connections: list[Connection] = []
        self.url = ""
        self.heartbeat_ms = HEARTBEAT_MS
        self.acks = True
        self.max_guilds_a_shard = MAX_GUILDS_A_SHARD
        world.feed.listen(self._tell)
        world.is_connected = self.sessions.hears

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(timeout=1.0, max_msg_size=0)
        await socket.prepare(request)
        conduct = Conduct(self.violations, time.monotonic, self.heartbeat_ms / 1000)
        packer = packer_for(request.query.get("compress"))
        connection = Connection(socket, request.transport, packer, conduct)
        self.connections.append(connection)
        try:
            await self._serve(connection)
        finally:
            self.connections.remove(connection)
            self.pulse.beat()
        return socket

    def drop_all(self) -> None:
        """Cut every wire; sessions stay resumable."""
        for connection in self.connections:
            connection.abort()

    def close_all(self, code: int = Close.UNKNOWN_ERROR) -> None:
        for connection in self.connections:
            connection.close(code)

    def ask_reconnect(self) -> None:
        """Op 7 to everybody: come back and RESUME."""
        for connection in self.connections:
            connection.send_op(Op.RECONNECT)

    def invalidate(self, *, resumable: bool = False) -> None:
        """Op 9 to everybody; unless resumable, their sessions are gone."""
        for connection in self.connections:
            connection.send_op(Op.INVALID, resumable)
        if not resumable:
            self.forget_sessions()

    def forget_sessions(self) -> None:
        """As after a long outage: the next RESUME is answered by op 9."""
        for session in self.sessions:
            self.sessions.drop(session.id)

    def end_everything(self) -> None:
        """What too many IDENTIFYs cost: every session ends and the token is reset."""
        self.close_all(Close.BAD_TOKEN)
        self.forget_sessions()
        self.credentials.reset()

    def guilds_of(self, shard: tuple[int, int]) -> list[Guild]:
        number, count = shard
        return [one for one in self.world.guilds.values() if one.has_bot and (one.id >> 22) % count == number]

    def _tell(self, event: Event) -> None:
        self.sessions.spread(event)
        self.pulse.beat()

    async def _serve(self, connection: Connection) -> None:
        conversation = Conversation(self, connection)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(connection.write_all())
            await conversation.run()
            if not connection.closing:
                writer.cancel()


class Conversation:
    """What one socket's client says, and what it is answered."""

    def __init__(self, gateway: Gateway, connection: Connection) -> None:
        self._gateway = gateway
        self._connection = connection
        self._session: Session | None = None
        self._handlers: dict[int, Callable[[object], None]] = {
            Op.HEARTBEAT: self._heartbeat,
            Op.IDENTIFY: self._identify,
            Op.PRESENCE: self._ignore,
            Op.VOICE: self._ignore,
            Op.RESUME: self._resume,
            Op.MEMBERS: self._request_members,
        }

    async def run(self) -> None:
        self._connection.send_op(Op.HELLO, {"heartbeat_interval": self._gateway.heartbeat_ms})
        conduct = self._connection.conduct
        while (message := await self._connection.receive(conduct.patience_s)) is not None:
            self._take(as_int(message.get("op"), -1), message.get("d"))
        if self._connection.silent and not self._connection.closing:
            conduct.fell_silent()
        self._leave()

    def _take(self, op: int, data: object) -> None:
        refusal = None if op == Op.HEARTBEAT else self._connection.conduct.event()
        if refusal is None:
            self._answer(op, data)
        else:
            self._connection.close(refusal)

    def _answer(self, op: int, data: object) -> None:
        handler = self._handlers.get(op)
        if handler is None:
            self._gateway.violations.add("gateway.unknown_op", f"op {op}")
            self._connection.close(Close.UNKNOWN_OP)
        elif self._session is None and op not in (Op.HEARTBEAT, Op.IDENTIFY, Op.RESUME):
            self._connection.close(self._scold("gateway.not_authenticated", Close.NOT_AUTHENTICATED))
        else:
            handler(data)
        self._gateway.pulse.beat()

    def _leave(self) -> None:
        if self._session is not None:
            self._session.detach(self._connection.send)
            if self._connection.ended_by_client:
                self._gateway.sessions.drop(self._session.id)
        if not self._connection.closing:
            self._connection.abort()

    def _heartbeat(self, _: object) -> None:
        self._connection.conduct.heartbeat()
        if self._gateway.acks:
            asyncio.get_running_loop().call_later(ACK_AFTER_S, self._connection.send_op, Op.ACK)

    def _ignore(self, _: object) -> None:
        """Accepted without an answer."""

    def _identify(self, data: object) -> None:
        wish = as_object(data)
        intents = Intent(as_int(wish.get("intents")))
        shard = _shard(wish.get("shard"))
        refusal = self._refusal(wish.get("token"), intents, shard)
        if refusal is not None:
            self._connection.close(refusal)
            return
        if not self._may_start(shard[0]):
            return
        session = Session(f"{self._gateway.world.ids.snowflake():032x}", intents, shard)
        self._enter(session)
        self._welcome(session, sharded="shard" in wish)

    def _may_start(self, shard: int) -> bool:
        start = self._gateway.identifies.start(shard)
        match start:
            case Start.ALLOWED:
                return True
            case Start.TOO_SOON:
                self._gateway.violations.add("gateway.identified_too_soon", f"shard {shard}")
                self._connection.send_op(Op.INVALID, data=False)
                return False
            case Start.SPENT:
                self._gateway.violations.add("gateway.identify_budget_exceeded", f"shard {shard}: token reset")
                self._gateway.end_everything()
                return False
        assert_never(start)

    def _refusal(self, token: object, intents: Intent, shard: tuple[int, int]) -> int | None:
        if self._session is not None:
            return self._scold("gateway.identified_twice", Close.ALREADY_AUTHENTICATED)
        if self._gateway.credentials.caller(f"Bot {token}") is not Caller.BOT:
            return Close.BAD_TOKEN
        if not 0 <= shard[0] < shard[1]:
            return self._scold("gateway.invalid_shard", Close.INVALID_SHARD)
        if len(self._gateway.guilds_of(shard)) > self._gateway.max_guilds_a_shard:
            return self._scold("gateway.sharding_required", Close.SHARDING_REQUIRED)
        if intents & ~KNOWN_INTENTS:
            return self._scold("gateway.invalid_intents", Close.INVALID_INTENTS)
        return None if self._gateway.application.allows(intents) else Close.DISALLOWED_INTENTS

    def _scold(self, kind: str, code: Close) -> Close:
        self._gateway.violations.add(kind, f"closed with {code}")
        return code

    def _enter(self, session: Session) -> None:
        self._session = session
        session.attach(self._connection.send)
        self._gateway.sessions.add(session)

    def _welcome(self, session: Session, *, sharded: bool) -> None:
        world = self._gateway.world
        mine = self._gateway.guilds_of(session.shard)
        ready = _ready(self._gateway, session, mine)
        session.push("READY", ready | ({"shard": list(session.shard)} if sharded else {}))
        if Intent.GUILDS in session.intents:
            for guild in mine:
                if guild.available:
                    session.push("GUILD_CREATE", payloads.guild_available(guild, world.bot))
        session.ready = True

    def _resume(self, data: object) -> None:
        wish = as_object(data)
        if wish.get("token") != self._gateway.credentials.token:
            self._connection.close(Close.BAD_TOKEN)
            return
        session = self._gateway.sessions.get(str(wish.get("session_id")))
        seq = as_int(wish.get("seq"), -1)
        if session is not None and seq > session.seq:
            self._gateway.violations.add("gateway.resumed_from_the_future", f"{seq}, {session.seq} were sent")
            self._connection.close(Close.INVALID_SEQ)
            return
        missed = session.missed(seq) if session else None
        if session is None or missed is None:
            self._connection.send_op(Op.INVALID, data=False)
            return
        for frame in missed:
            self._connection.send(frame)
        self._connection.send(dispatch("RESUMED", {"_trace": ["sandbox"]}, session.seq))
        self._enter(session)
        session.resumed += 1

    def _request_members(self, data: object) -> None:
        wish = as_object(data)
        guild = self._gateway.world.guilds.get(as_int(wish.get("guild_id")))
        if guild is None or self._session is None or not self._may_list(self._session, guild, wish):
            return
        for chunk in chunks(guild, wish):
            self._session.push("GUILD_MEMBERS_CHUNK", chunk)

    def _may_list(self, session: Session, guild: Guild, wish: JsonObject) -> bool:
        """All members need the intent, and 30 s since the last time; else RATE_LIMITED."""
        if "user_ids" in wish or wish.get("query") or wish.get("limit"):
            return True
        if Intent.GUILD_MEMBERS not in session.intents:
            self._gateway.violations.add("gateway.members_without_intent", f"guild {guild.id}")
            return False
        wait_s = session.wait_for_members_s(guild.id, time.monotonic())
        if not wait_s:
            return True
        self._gateway.violations.add("gateway.members_too_often", f"guild {guild.id}: {wait_s:.1f} s early")
        meta = {"guild_id": str(guild.id), "nonce": wish.get("nonce")}
        session.push("RATE_LIMITED", {"opcode": int(Op.MEMBERS), "retry_after": wait_s, "meta": meta})
        return False


def _shard(raw: object) -> tuple[int, int]:
    match as_list(raw):
        case [int(number), int(count)]:
            return number, count
        case _:
            return 0, 1


def _ready(gateway: Gateway, session: Session, mine: Iterable[Guild]) -> JsonObject:
    return {
        "v": 10,
        "user": payloads.own_user(gateway.world.bot),
        "application": {"id": str(gateway.world.bot.id), "flags": int(gateway.application.flags)},
        "guilds": [{"id": str(guild.id), "unavailable": True} for guild in mine],
        "session_id": session.id,
        "session_type": "normal",
        "resume_gateway_url": gateway.url,
        "private_channels": [],
        "relationships": [],
        "user_settings": {},
        "_trace": ["sandbox"],
    }
