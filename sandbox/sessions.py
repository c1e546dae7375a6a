"""Gateway sessions: who listens, with which intents, and what they have been sent.

A session outlives its socket: it keeps numbering and buffering, so that a RESUME (by the same process or by
another) gets all it missed, in order. What goes over the socket is `gateway`'s business.
"""

from collections import deque
from collections.abc import Callable, Iterator
from enum import IntFlag
from typing import Final

from sandbox.event import Event
from sandbox.wire import encode

BUFFER_EVENTS: Final = 10_000
MAX_SESSIONS: Final = 64
MEMBERS_EVERY_S: Final = 30.0


class Intent(IntFlag):
    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_MODERATION = 1 << 2
    GUILD_INVITES = 1 << 6
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    MESSAGE_CONTENT = 1 << 15


INTENT_OF: Final = {
    "GUILD_CREATE": Intent.GUILDS,
    "GUILD_UPDATE": Intent.GUILDS,
    "GUILD_DELETE": Intent.GUILDS,
    "GUILD_ROLE_CREATE": Intent.GUILDS,
    "GUILD_ROLE_UPDATE": Intent.GUILDS,
    "GUILD_ROLE_DELETE": Intent.GUILDS,
    "CHANNEL_CREATE": Intent.GUILDS,
    "CHANNEL_UPDATE": Intent.GUILDS,
    "CHANNEL_DELETE": Intent.GUILDS,
    "GUILD_MEMBER_ADD": Intent.GUILD_MEMBERS,
    "GUILD_MEMBER_UPDATE": Intent.GUILD_MEMBERS,
    "GUILD_MEMBER_REMOVE": Intent.GUILD_MEMBERS,
    "GUILD_AUDIT_LOG_ENTRY_CREATE": Intent.GUILD_MODERATION,
    "INVITE_CREATE": Intent.GUILD_INVITES,
    "INVITE_DELETE": Intent.GUILD_INVITES,
    "MESSAGE_CREATE": Intent.GUILD_MESSAGES,
    "MESSAGE_UPDATE": Intent.GUILD_MESSAGES,
    "MESSAGE_DELETE": Intent.GUILD_MESSAGES,
}
"""Events not named here (INTERACTION_CREATE, chunks, injected ones) need no intent."""

Send = Callable[[bytes], None]


class Session:
    def __init__(self, session_id: str, intents: Intent, shard: tuple[int, int]) -> None:
        self.id = session_id
        self.intents = intents
        self.shard = shard
        self.seq = 0
        self.resumed = 0
        self.ready = False
        self._buffer: deque[tuple[int, bytes]] = deque(maxlen=BUFFER_EVENTS)
        self._send: Send | None = None
        self._listed_s: dict[int, float] = {}

    @property
    def connected(self) -> bool:
        return self._send is not None

    def attach(self, send: Send) -> None:
        self._send = send

    def detach(self, send: Send) -> None:
        """Forget the socket, unless another has taken its place."""
        if self._send == send:
            self._send = None

    def owns(self, guild_id: int) -> bool:
        number, count = self.shard
        return (guild_id >> 22) % count == number

    def wants(self, event: Event) -> bool:
        needed = INTENT_OF.get(event.name)
        if needed is not None and needed not in self.intents:
            return False
        return self.owns(event.guild_id) if event.guild_id is not None else True

    def push(self, name: str, data: object) -> None:
        """Number the event, keep it, send it if a socket is there."""
        self.seq += 1
        frame = dispatch(name, data, self.seq)
        self._buffer.append((self.seq, frame))
        if self._send is not None:
            self._send(frame)

    def wait_for_members_s(self, guild_id: int, now_s: float) -> float:
        """How long a request for all members of the guild comes too early; 0: it counts as made now."""
        wait_s = self._listed_s.get(guild_id, now_s - MEMBERS_EVERY_S) + MEMBERS_EVERY_S - now_s
        if wait_s > 0:
            return wait_s
        self._listed_s[guild_id] = now_s
        return 0.0

    def missed(self, seq: int) -> list[bytes] | None:
        """All after `seq`; None where that cannot be told any more (too old, or from the future)."""
        oldest = self._buffer[0][0] if self._buffer else self.seq + 1
        if not oldest - 1 <= seq <= self.seq:
            return None
        return [frame for number, frame in self._buffer if number > seq]


class Sessions:
    """The sessions of all clients; the oldest without a socket goes when there are too many."""

    def __init__(self) -> None:
        self._all: dict[str, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    def add(self, session: Session) -> None:
        self._all[session.id] = session
        idle = [known.id for known in self._all.values() if not known.connected and known is not session]
        for session_id in idle[: max(0, len(self._all) - MAX_SESSIONS)]:
            self.drop(session_id)

    def get(self, session_id: str) -> Session | None:
        return self._all.get(session_id)

    def drop(self, session_id: str) -> None:
        self._all.pop(session_id, None)

    def spread(self, event: Event) -> None:
        for session in self:
            if session.wants(event):
                session.push(event.name, event.data)

    def hears(self, guild_id: int) -> bool:
        """Whether somebody with a socket gets this guild's events."""
        return any(session.connected and session.ready and session.owns(guild_id) for session in self)


def dispatch(name: str, data: object, seq: int) -> bytes:
    return encode({"op": 0, "t": name, "s": seq, "d": data})
