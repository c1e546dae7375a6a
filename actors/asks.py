"""Asks: what an answer is, and until when it is waited for.

Each ask is answered once: by whoever handles its message, or here when its time is over. All asks share one timer: a
timeout object each would halve their rate. What is asked, and of whom, is the mailbox's business.
"""

import asyncio
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

import msgspec

A = TypeVar("A")

DEADLINES_EVERY_S: Final = 0.1


class Answered(StrEnum):
    """How an ask was answered. Each is answered once."""

    OK = "ok"
    REJECTED = "rejected"  # too much waits already; the text says so
    CRASHED = "crashed"  # it became a dead letter, or its guild is parked or stopped
    DEGRADED = "degraded"  # done, but not yet durable in every layer that LEDGER_ACK names
    DEADLINE = "deadline"  # no answer in time; it may still be handled


class Outcome(msgspec.Struct, Generic[A], frozen=True, kw_only=True, gc=False):
    """The answer to an ask. ``answer`` is there with ok and degraded, ``text`` with the others."""

    kind: Answered
    answer: A | None = None
    text: str = ""


class Ask(Generic[A]):
    """Somebody who waits for an answer, until ``deadline_s`` of the loop's time."""

    __slots__ = ("deadline_s", "reply", "timeout_s")

    def __init__(self, reply: asyncio.Future[Outcome[A]], deadline_s: float, timeout_s: float) -> None:
        self.reply = reply
        self.deadline_s = deadline_s
        self.timeout_s = timeout_s

    def answer(self, outcome: Outcome[A]) -> None:
        """Answers, if that was not done yet."""
        if not self.reply.done():
            self.reply.set_result(outcome)

    def is_over(self, now_s: float) -> bool:
        """Whether it was answered; where its time is over, it is answered so now."""
        if not self.reply.done() and now_s >= self.deadline_s:
            text = f"no answer within {self.timeout_s:g} s"
            self.reply.set_result(Outcome(kind=Answered.DEADLINE, text=text))
        return self.reply.done()


class Expiring(Protocol):
    """What a deadline is kept of."""

    def is_over(self, now_s: float) -> bool:
        """Whether it needs no deadline any more; it ends now where its own has passed."""
        ...


class Deadlines:
    """The deadlines of all asks of a process: one timer, which runs while anybody waits.

    An ask is answered at most ``DEADLINES_EVERY_S`` after its time.
    """

    def __init__(self) -> None:
        self._waiting: list[Expiring] = []
        self._runs = False

    def watch(self, expiring: Expiring) -> None:
        self._waiting.append(expiring)
        if not self._runs:
            self._runs = True
            self._look_again_soon()

    def _look_again_soon(self) -> None:
        asyncio.get_running_loop().call_later(DEADLINES_EVERY_S, self._look)

    def _look(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._waiting = [each for each in self._waiting if not each.is_over(now_s)]
        self._runs = bool(self._waiting)
        if self._runs:
            self._look_again_soon()
