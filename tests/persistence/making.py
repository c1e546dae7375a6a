"""Records, frames and clocks for the tests of this package."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from ledger.ids import GuildId, SessionId, UserId
from ledger.records import Draft, GatewayCause, JoinRecorded, Record, join_key
from persistence.chains import head_of
from persistence.copying import Advance
from persistence.frames import GENESIS, Frame, crc32c, seal
from persistence.layer import Head
from persistence.numbering import Append

SESSION = SessionId("session")
RED, BLUE = GuildId("1001"), GuildId("1002")


class TestClock:
    """A clock that moves a millisecond at each look."""

    __test__ = False

    def __init__(self) -> None:
        self._ticks: Iterator[int] = count(1_700_000_000_000)

    def now_ms(self) -> int:
        return next(self._ticks)

    def stamp_us(self) -> int:
        return next(self._ticks) * 1_000

    def monotonic_s(self) -> float:
        return next(self._ticks) / 1_000


class TestRandomness:
    """Tokens that count, from ``first`` on."""

    __test__ = False

    def __init__(self, first: int = 1) -> None:
        self._numbers = count(first)

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2

    def token(self) -> str:
        return f"{next(self._numbers):032x}"


def join(number: int) -> Draft:
    """The draft of the join with this number; its key is made of it."""
    user = UserId(str(number))
    event = JoinRecorded(user=user, joined_at_us=number, arrived_us=number, session=SESSION)
    cause = GatewayCause(session=SESSION, number=number, lane="members")
    return Draft(event=event, cause=cause, key=join_key(user, number))


def joins(guild: GuildId, base_seq: int, *numbers: int) -> Append:
    return Append(guild=guild, base_seq=base_seq, drafts=tuple(join(number) for number in numbers))


class Chain:
    """Seals frames behind one another, as the store does, for tests of what lies below it."""

    def __init__(self, epoch: int = 1) -> None:
        self.epoch = epoch
        self.gsn = 0
        self.heads: dict[GuildId, Head] = {}

    def append(self, guild: GuildId, size: int = 1) -> list[Frame]:
        """An append of ``size`` records."""
        head = self.heads.get(guild, Head(seq=0, epoch=0, gsn=0, digest=GENESIS))
        last = head.seq + size
        return [self._next(guild, last) for _ in range(size)]

    def batch(self, *guilds: GuildId) -> list[Frame]:
        """An append of one record for each of these guilds."""
        return [frame for guild in guilds for frame in self.append(guild)]

    def _next(self, guild: GuildId, last: int) -> Frame:
        head = self.heads.get(guild, Head(seq=0, epoch=0, gsn=0, digest=GENESIS))
        self.gsn += 1
        draft = join(self.gsn)
        record = Record(
            gsn=self.gsn,
            guild=guild,
            seq=head.seq + 1,
            epoch=self.epoch,
            at_ms=self.gsn,
            cause=draft.cause,
            key=draft.key,
            event=draft.event,
            last=last,
        )
        frame = seal(record, head.digest)
        self.heads[guild] = head_of(frame)
        return frame


def of_a_later_release(frame: Frame) -> Frame:
    """The same frame with an event of a kind that this release does not know, whole and well sealed."""
    body, _, _ = frame.data.replace(b'"type":"join_recorded"', b'"type":"join_imagined"').partition(b',"digest"')
    digest = hashlib.sha256(GENESIS + body).digest()
    checked = body + b',"digest":"' + digest.hex().encode() + b'"'
    data = checked + b',"crc":"' + crc32c(checked) + b'"}'
    return Frame(record=frame.record, data=data, digest=digest)


def bytes_of(frames: Sequence[Frame]) -> list[bytes]:
    return [frame.data for frame in frames]


@contextmanager
def unseen(_what: str) -> Iterator[Advance]:
    """Nobody sees how far it is."""
    yield lambda _done, _of: None
