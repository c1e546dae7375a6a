"""How long anything may take in a round, and waiting for it: a bound against hanging, no figure of speed."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from sandbox.interactions import ANSWER_S

LOOK_EVERY_S: Final = 0.4


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to be live and to have worked something out, to drain (Docker kills after 10), to answer an ask, and
    to take it (Discord waits 3).
    """

    live_s: float = 90.0
    drain_s: float = 10.0
    answer_s: float = 30.0
    take_s: float = ANSWER_S


async def patiently(holds: Callable[[], bool], patience_s: float) -> bool:
    """Whether it holds within so long; looked at now and then, since what is looked at are files."""
    for _ in range(round(patience_s / LOOK_EVERY_S)):
        if holds():
            return True
        await asyncio.sleep(LOOK_EVERY_S)
    return holds()
