"""A sandbox in a process of its own: its stream of joins is numbered, packed and framed before it goes out.

    python -m tests.bench.stream GUILDS EVENTS

Prints a JSON line with ``api_url`` and ``token``. For each line on stdin so many people join, and when all of it is
bytes they are written to the connected client at once; the time of that is printed (seconds since 1970).
"""

import asyncio
import json
import struct
import sys
import time
from collections.abc import Sequence
from typing import Final

from sandbox import Sandbox
from sandbox.connection import Connection
from sandbox.event import Event
from sandbox.sessions import Session, dispatch

INVITES: Final = 2
PATIENCE_S: Final = 60.0
FINAL_BINARY: Final = 0x82
SHORT: Final = 126
"""A frame's length byte when the length follows in two bytes."""


async def serve(guilds: int, events: int) -> None:
    async with Sandbox(seed=3, identify_every_s=0.0) as sandbox:
        for number in range(guilds):
            guild = sandbox.world.add_guild(f"Harbour {number}")
            for _ in range(INVITES):
                sandbox.world.add_invite(guild, guild.owner)
        _say({"api_url": sandbox.api_url, "token": sandbox.token})
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            session = await sandbox.wait_ready(PATIENCE_S)
            _say(_send(session, sandbox.gateway.connections[-1], _people(sandbox, events)))


def _people(sandbox: Sandbox, events: int) -> Sequence[Event]:
    """Everybody joins, in one guild after the other, and nothing of it is told yet."""
    world = sandbox.world
    guilds = list(world.guilds.values())
    with world.feed.holding() as held:
        for number in range(events):
            guild = guilds[number % len(guilds)]
            world.join(guild, via=guild.invites[number % INVITES].code)
        told = tuple(held)
        held.clear()
    return told


def _send(session: Session, connection: Connection, events: Sequence[Event]) -> float:
    """Writes all events; gives when."""
    numbered = [dispatch(event.name, event.data, session.seq + n) for n, event in enumerate(events, start=1)]
    session.seq += len(events)
    packer, transport = connection._packer, connection._transport
    assert packer is not None, "a discord.py client asks for a packed stream"
    assert transport is not None, "the client is connected"
    stream = b"".join(_framed(packer.pack(frame)) for frame in numbered)
    began = time.time()
    transport.write(stream)
    return began


def _framed(payload: bytes) -> bytes:
    """A websocket message of a server; no dispatch here is longer than 64 KiB."""
    size = len(payload)
    if size < SHORT:
        return struct.pack("!BB", FINAL_BINARY, size) + payload
    return struct.pack("!BBH", FINAL_BINARY, SHORT, size) + payload


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
