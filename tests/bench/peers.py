"""What our figures are held against: the plainest correct code that does the same, and a sink that does nothing.

Nothing here is tuned up or down. Each peer is what somebody would write who needed just that.
"""

import asyncio
import os
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import pykka

from ledger.ids import GuildId
from ledger.records import Record
from persistence.frames import GENESIS, Frame, seal
from persistence.layer import Checkpoint, Layer, LayerSummary, Place
from tests.bench.ground import SECONDS, draft_of

FRAME: Final = b"x" * 400
BURST: Final = 100
"""So many messages are told before others get their turn."""


# Durability


def raw_appends(folder: Path) -> float:
    """One small append and fdatasync after another: how many a second."""
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        os.write(descriptor, FRAME)
        os.fdatasync(descriptor)
        count += 1
    os.close(descriptor)
    return count / (time.perf_counter() - began)


def commits(folder: Path) -> float:
    """The row of a join as our database keeps it, one SQLite commit (WAL, FULL) each: how many a second."""
    with closing(sqlite3.connect(folder / "commits.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(
            "CREATE TABLE joins (gsn INTEGER PRIMARY KEY, guild TEXT, key TEXT, data BLOB, UNIQUE (guild, key))"
        )
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS:
            frame = join_frame(count)
            row = (frame.record.gsn, frame.record.guild, frame.record.key, frame.data)
            db.execute("INSERT INTO joins VALUES (?, ?, ?, ?)", row)
            db.commit()
            count += 1
        return count / (time.perf_counter() - began)


def join_frame(n: int) -> Frame:
    """A join as every layer keeps it."""
    draft = draft_of(n)
    record = Record(
        gsn=n + 1,
        guild=GuildId("1000"),
        seq=n + 1,
        epoch=1,
        at_ms=1,
        cause=draft.cause,
        key=draft.key,
        event=draft.event,
        last=n + 1,
    )
    return seal(record, GENESIS)


class Sink(Layer):
    """A layer that keeps nothing and takes no time."""

    @property
    def name(self) -> str:
        return "log"

    @property
    def lists(self) -> None:
        return None

    async def open(self) -> LayerSummary:
        return LayerSummary(epoch=0, lineage="", gsn=0, heads={})

    async def begin(self, epoch: int, lineage: str) -> None:
        pass

    async def append(self, frames: Sequence[Frame]) -> None:
        pass

    async def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        del frames
        return await self.open()

    async def set_aside(self, after_gsn: int) -> LayerSummary:
        del after_gsn
        return await self.open()

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        del gsn
        for frame in ():
            yield frame

    async def reread(self, gsn: int) -> AsyncIterator[Sequence[Frame]]:
        del gsn
        for piece in ():
            yield piece

    async def guild_lines(self, guild: GuildId, after_seq: int) -> Sequence[bytes]:
        del guild, after_seq
        return ()

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        pass

    def checkpoint_guilds(self) -> Collection[GuildId]:
        return ()

    def checkpoint_places(self, guild: GuildId) -> Sequence[Place]:
        del guild
        return ()

    async def checkpoint(self, guild: GuildId, place: Place) -> None:
        del guild, place

    async def drop_checkpoint(self, guild: GuildId, place: Place) -> None:
        del guild, place

    def take_notes(self) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        pass


def rewrite_all(folder: Path, everything: object) -> None:
    """A change, the way many bots keep theirs: one JSON of all guilds, written anew and put in place durably."""
    temporary, final = folder / "guilds.json.new", folder / "guilds.json"
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(everything))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(final)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


# Mailboxes


async def queue_tells(messages: int) -> float:
    """A task that takes from an ``asyncio.Queue``: messages a second."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    done = asyncio.Event()

    async def consume() -> None:
        for _ in range(messages):
            await queue.get()
        done.set()

    consumer = asyncio.create_task(consume())
    began = time.perf_counter()
    await in_bursts(messages, queue.put_nowait)
    await done.wait()
    took_s = time.perf_counter() - began
    await consumer
    return messages / took_s


async def in_bursts(messages: int, tell: Callable[[int], object]) -> None:
    """A gateway's way of telling: some at a time, then others have their turn."""
    for start in range(0, messages, BURST):
        for number in range(start, start + BURST):
            tell(number)
        await asyncio.sleep(0)


class Plain:
    """A task, a deque, one future to wake it, one future a reply."""

    def __init__(self) -> None:
        self._box: deque[tuple[int, asyncio.Future[int]]] = deque()
        self._wake: asyncio.Future[None] | None = None

    async def ask(self, message: int) -> int:
        reply: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._box.append((message, reply))
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        return await reply

    async def run(self) -> None:
        while True:
            while self._box:
                message, reply = self._box.popleft()
                if not reply.done():
                    reply.set_result(message)
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake


async def plain_asks(messages: int) -> float:
    """One ask after another: how many a second."""
    actor = Plain()
    task = asyncio.create_task(actor.run())
    began = time.perf_counter()
    for number in range(messages):
        await actor.ask(number)
    took_s = time.perf_counter() - began
    task.cancel()
    await asyncio.wait([task])
    return messages / took_s


class _Echo(pykka.ThreadingActor):
    def on_receive(self, message: object) -> object:
        return message


def pykka_asks(messages: int) -> float:
    """One ask of a Pykka actor after another: how many a second."""
    actor = _Echo.start()
    began = time.perf_counter()
    for number in range(messages):
        actor.ask(number)
    took_s = time.perf_counter() - began
    actor.stop()
    return messages / took_s
