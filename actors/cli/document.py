"""Everything that a layer holds as one JSON document: what a vault answers to ``/get_discord_data_backup``.

    {"format":1,"made_at_ms":…,"gsn":…,"missing":[[first,last],…],"notes":["…"],
     "guilds":[{"guild":"…","records":N,"counting_since_ms":…,"assignments":[…],"staff":[…],"joins":[…]},…],
     "records":[{…},…],
     "complete":true}

Assignments and joins are those of ``actors/cli/history.py``, ``staff`` who holds how many credits; ``records`` are
the frames as every layer keeps them, in the order of the log, up to ``gsn``; ``missing`` cannot be read any more.
``complete`` comes last: a document without it broke off. It is false where records are missing or may be, or stand on
no chain.

Memory does not grow with the history: it is read once to count (whatever cannot be read is found before anything is
sent), once for every ``FOLDED_RECORDS`` records to fold their guilds, and once more for the records. Only a guild
that is larger alone takes more.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from typing import Final, TypeVar

import msgspec

from actors.cli.history import AssignmentLine, GuildHistory, JoinLine
from ledger.errors import StorageError
from ledger.ids import GuildId, UserId
from ledger.ports import Clock
from persistence.copying import Tally
from persistence.frames import Frame
from persistence.layer import Layer, LayerSummary
from persistence.scan import Gap

FORMAT: Final = 1
FOLDED_RECORDS: Final = 200_000
"""Records whose joins are in memory at once: about 60 MB."""
PIECE_BYTES: Final = 64 * 1024
BREATH: Final = 500
"""After so many records or joins others have their turn."""

T = TypeVar("T")
_encode: Final = msgspec.json.Encoder().encode


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of the layer. ``notes``: what it has to say of its state, a sentence each."""

    format: int
    made_at_ms: int
    gsn: int
    missing: tuple[Gap, ...]
    notes: tuple[str, ...]


class StaffLine(msgspec.Struct, frozen=True):
    """A staff member and how many credits they hold."""

    staff: UserId
    credits: int


class GuildPart(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a guild, but for its joins."""

    guild: GuildId
    records: int
    counting_since_ms: int
    assignments: tuple[AssignmentLine, ...]
    staff: tuple[StaffLine, ...]


async def document(layer: Layer, clock: Clock) -> AsyncGenerator[bytes, None]:
    """The document in pieces of about ``PIECE_BYTES``, none of them empty. The layer is opened, read and closed.

    Raises:
        NewerFormat: when a later release wrote it.
        Corrupt: when a record cannot be read.
        StorageError: when the layer cannot be read, or what it held went away meanwhile.
    """
    try:
        async for piece in _gathered(_parts(layer, await layer.open(), clock)):
            yield piece
    finally:
        await layer.close()


async def _parts(layer: Layer, summary: LayerSummary, clock: Clock) -> AsyncGenerator[bytes, None]:
    def frames() -> AsyncIterator[Frame]:
        return _gently(_up_to(summary.gsn, layer.frames_after(0)))

    tally = Tally()
    async for frame in frames():
        tally.take((frame,))
    tally.skip_to(summary.gsn + 1)
    sizes, missing = tally.guilds, tally.contents().missing
    found = await layer.open()  # what reading has found out; what came meanwhile lies behind
    notes = tuple(dict.fromkeys(summary.notes + found.notes)) + (() if sizes else ("no record is there",))
    head = Head(format=FORMAT, made_at_ms=clock.now_ms(), gsn=summary.gsn, missing=missing, notes=notes)
    yield _encode(head)[:-1] + b',\n"guilds":['
    between = b"\n"
    for group in _groups(sizes):
        histories = {guild: GuildHistory(guild) for guild in group}
        async for frame in frames():
            if frame.record.guild in histories:
                histories[frame.record.guild].take(frame.record)
        for guild, history in histories.items():
            yield between
            async for part in _guild(history, sizes[guild]):
                yield part
            between = b",\n"
    yield b'],\n"records":['
    between, told = b"\n", 0
    async for frame in frames():
        yield between + frame.data
        between, told = b",\n", told + 1
    if told != sizes.total():
        raise StorageError(f"the layer changed meanwhile: {sizes.total()} records were {told} at last")
    is_complete = bool(told) and not (missing or summary.aside or summary.notes or found.notes)
    yield b'],\n"complete":' + _encode(is_complete) + b"}\n"


def _groups(sizes: Mapping[GuildId, int]) -> Iterator[list[GuildId]]:
    """The guilds in the order of their ids, so many at a time as may be folded together."""
    group: list[GuildId] = []
    records = 0
    for guild in sorted(sizes, key=int):
        if group and records + sizes[guild] > FOLDED_RECORDS:
            yield group
            group, records = [], 0
        group.append(guild)
        records += sizes[guild]
    if group:
        yield group


async def _guild(history: GuildHistory, records: int) -> AsyncIterator[bytes]:
    joins = [line for _, line in history.joins()]
    part = GuildPart(
        guild=history.guild,
        records=records,
        counting_since_ms=history.counting_since_ms(),
        assignments=tuple(history.assignments()),
        staff=_staff(joins),
    )
    yield _encode(part)[:-1] + b',"joins":['
    between = b"\n"
    async for line in _gently(_each(joins)):
        yield between + _encode(line)
        between = b",\n"
    yield b"]}"


def _staff(joins: Iterable[JoinLine]) -> tuple[StaffLine, ...]:
    """Whoever holds a credit, most credits first."""
    held = Counter(join.credited for join in joins if join.credited)
    return tuple(StaffLine(staff, number) for staff, number in sorted(held.items(), key=_rank))


def _rank(held: tuple[UserId, int]) -> tuple[int, UserId]:
    return -held[1], held[0]


async def _up_to(gsn: int, frames: AsyncIterator[Frame]) -> AsyncIterator[Frame]:
    async for frame in frames:
        if frame.record.gsn > gsn:
            return
        yield frame


async def _each(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item


async def _gently(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same items; others have their turn now and then."""
    left = BREATH
    async for item in items:
        yield item
        left -= 1
        if not left:
            left = BREATH
            await asyncio.sleep(0)


async def _gathered(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    piece = bytearray()
    async for part in parts:
        piece += part
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)
