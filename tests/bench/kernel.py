"""The kernel alone: mailbox and turn of an actor that only echoes, with nothing to append."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from actors.asks import Deadlines
from actors.mailbox import Address, Lane
from actors.runtime import live
from tests.bench import peers
from tests.bench.figures import Row, Theme
from tests.bench.ground import Ground

TELLS: Final = 50_000
ASKS: Final = 10_000
ROUNDS: Final = 5


def theme(_ground: Ground) -> Theme:
    return Theme(title="Kernel", rows=(*_tells(), *_asks()))


def _tells() -> Sequence[Row]:
    return (
        Row(
            name="tell",
            what="messages told in bursts of 100, a whole turn each",
            unit="/s",
            ours=lambda: tells_per_s(TELLS),
            peer=lambda: peers.queue_tells(TELLS),
            beside="a task taking from an asyncio.Queue",
            wanted=1.2,
            rounds=ROUNDS,
        ),
    )


def _asks() -> Sequence[Row]:
    async def pykka() -> float:
        return peers.pykka_asks(ASKS // 2)

    return (
        Row(
            name="ask/pykka",
            what="asks, one after another, with a deadline each",
            unit="/s",
            ours=lambda: asks_per_s(ASKS),
            peer=pykka,
            beside="Pykka",
            wanted=5,
            rounds=ROUNDS,
        ),
        Row(
            name="ask/plain",
            what="asks, one after another, with a deadline each",
            unit="/s",
            ours=lambda: asks_per_s(ASKS),
            peer=lambda: peers.plain_asks(ASKS),
            beside="a task, a deque and a future, no deadline",
            wanted=0.6,
            rounds=ROUNDS,
        ),
    )


class Echoed(msgspec.Struct, frozen=True):
    """What the echo decides: the message is the answer, nothing is to be written."""

    answer: int
    drafts: tuple[object, ...] = ()


class Echo:
    """A behaviour that keeps nothing."""

    def __init__(self, last: int) -> None:
        self.done = asyncio.Event()
        self._last = last

    def decide(self, message: int) -> Echoed:
        return Echoed(message)

    async def append(self, decision: Echoed) -> tuple[Sequence[object], bool]:
        raise AssertionError(f"there is nothing to append: {decision}")

    def evolve(self, record: object) -> None:
        raise AssertionError(f"nothing was appended: {record}")

    def is_degraded(self) -> bool:
        return False

    def publish(self, decision: Echoed) -> int:
        return decision.answer

    def act(self, decision: Echoed) -> None:
        if decision.answer == self._last:
            self.done.set()


async def tells_per_s(messages: int) -> float:
    address: Address[int, int] = Address("echo", lambda: -1, lambda _: None, Deadlines())
    echo = Echo(messages - 1)
    task = asyncio.create_task(live(address, address.hand_over(), echo))
    began = time.perf_counter()
    await peers.in_bursts(messages, lambda number: address.tell(number, Lane.MEMBERS))
    await echo.done.wait()
    took_s = time.perf_counter() - began
    task.cancel()
    await asyncio.wait([task])
    return messages / took_s


async def asks_per_s(messages: int) -> float:
    address: Address[int, int] = Address("echo", lambda: -1, lambda _: None, Deadlines())
    task = asyncio.create_task(live(address, address.hand_over(), Echo(-1)))
    began = time.perf_counter()
    for number in range(messages):
        await address.ask(number, Lane.MEMBERS, 60.0)
    took_s = time.perf_counter() - began
    task.cancel()
    await asyncio.wait([task])
    return messages / took_s
