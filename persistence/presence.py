"""Who is there: marks in the cloud by which two processes let each other pass. Politeness, never safety.

    pulse/{epoch}               the holder's: a number that it raises every few seconds, and whether it records
    goodbye/{epoch}             the holder's last word: all it had is in the cloud
    standby/{epoch}/{writer}    a newcomer's: it hears Discord, and waits for the holder of this epoch

What makes two writers safe is the fence (``persistence/cloud.py``): whoever reads these marks wrongly, or never,
loses time and nothing else.
"""

from typing import Final

import msgspec

from persistence.cloud_bytes import numbers
from persistence.cloud_epochs import EPOCHS, epoch_key, writer_of
from persistence.objects import Objects

_IDLE: Final = b" idle"
"""Behind the number of a holder that takes no records: it is just starting, or nothing can be written there."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever took the newest epoch: its ``writer`` (the id of its data folder), and whether it said goodbye.

    ``pulse``: what it last wrote of itself, "" = nothing; only whether it changes means anything. ``records``: that
    says that it takes records; earlier releases said so from their first pulse on.
    """

    epoch: int
    writer: str
    pulse: str
    records: bool
    gone: bool


class Presence:
    """The marks of one process, ``writer``, and those of the others. Errors are those of ``Objects``."""

    def __init__(self, objects: Objects, writer: str) -> None:
        self._objects = objects
        self._writer = writer

    async def holder(self) -> Holder | None:
        """Who holds the newest epoch; None where there is none yet."""
        epoch = max([number async for number in numbers(self._objects, EPOCHS)], default=0)
        body = await self._objects.get(epoch_key(epoch)) if epoch else None
        if body is None:
            return None
        pulse = await self._objects.get(_pulse(epoch)) or b""
        return Holder(
            epoch=epoch,
            writer=writer_of(body),  # damaged, it is nobody known, who is waited for while there is a pulse
            pulse=pulse.decode(errors="replace"),
            records=pulse != b"" and not pulse.endswith(_IDLE),
            gone=await self._objects.get(_goodbye(epoch)) is not None,
        )

    def is_ours(self, holder: Holder) -> bool:
        """Whether it was an earlier life on this folder: two at once are kept apart by the folder's lock."""
        return holder.writer == self._writer

    async def beat(self, epoch: int, number: int, *, records: bool) -> bool:
        """Shows that this process, which holds the epoch, is alive, and whether it takes records; False when somebody
        has a higher one.
        """
        await self._objects.put(_pulse(epoch), b"%d%b" % (number, b"" if records else _IDLE))
        async for _ in numbers(self._objects, EPOCHS, after=epoch):
            return False
        return True

    async def say_goodbye(self, epoch: int) -> None:
        """This process held the epoch; all it had is in the cloud, and it writes nothing more."""
        await self._objects.put(_goodbye(epoch), self._writer.encode())

    async def stand_by(self, epoch: int) -> None:
        """This process hears Discord and waits for the holder of the epoch."""
        await self._objects.put(_standby(epoch) + self._writer, b"")

    async def is_awaited(self, epoch: int) -> bool:
        """Whether a newcomer waits for the holder of the epoch."""
        async for _ in self._objects.keys(_standby(epoch)):
            return True
        return False


def _pulse(epoch: int) -> str:
    return f"pulse/{epoch:010d}"


def _goodbye(epoch: int) -> str:
    return f"goodbye/{epoch:010d}"


def _standby(epoch: int) -> str:
    return f"standby/{epoch:010d}/"
