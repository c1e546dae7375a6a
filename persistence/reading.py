"""Reading a log: its files, its frames in order, and which of them stand on their guild's chain. Changes nothing.

``Reading`` is what the log itself opens with; ``read_log`` is for tools (`export`, `verify`, `replay`), which need no
lock and may run beside the bot: what they see is a valid prefix of what the bot has written.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from ledger.ids import GuildId
from persistence.chains import Anchors, Chains, appends
from persistence.disk import Disk
from persistence.frames import Frame, unseal
from persistence.index import Index, Spot
from persistence.layer import LayerSummary
from persistence.scan import Scan, Spotted, frame_of, segment_path, survey

NEAR_BYTES: Final = 1_000
"""What lies between two frames of a guild is read with them if it is less: another read costs as much."""
AT_ONCE: Final = 4_000
"""So many frames of a guild are read together."""
STRETCH_BYTES: Final = 1024 * 1024
"""About so much is in memory at once, beside its frames."""


def nowhere(guild: GuildId) -> Mapping[int, bytes]:
    """No checkpoint tells a digest."""
    del guild
    return {}


class Reading:
    """One pass over a log. Iterate it to its end: the frames that stand, in order; then the attributes are whole.

    A frame with a seq that came before supersedes that one and all of its guild behind it (a branch that lost).
    ``aside``: how many frames stand on no chain, by guild; for the rest see ``Scan``.
    """

    def __init__(self, disk: Disk, folder: Path, anchors: Anchors = nowhere) -> None:
        self._disk = disk
        self._folder = folder
        self._anchors = anchors
        self.survey = survey(disk, folder)
        self.scan = Scan(disk, self.survey.files)
        self.index = Index()
        self.chains = Chains(self._standing, anchors)
        self.aside: dict[GuildId, int] = {}

    def __iter__(self) -> Iterator[Frame]:
        for append in appends(self.scan, frame_of):
            yield from self._take(append)

    def take(self, spotted: Sequence[Spotted]) -> None:
        """Follows a batch that was appended since."""
        for append in appends(spotted, frame_of):
            self._take(append)

    def each_guild_line(self, guild: GuildId, after_seq: int) -> Iterator[bytes]:
        """The bytes of a guild's frames behind a seq, in order, not verified, ``AT_ONCE`` of them in memory.

        Raises:
            StorageError: when a file cannot be read.
        """
        for number, spots in groupby(self.index.behind(guild, after_seq), key=_number_of):
            while some := list(islice(spots, AT_ONCE)):
                yield from self._read(number, some)

    def each_guild_frame(self, guild: GuildId, after_seq: int) -> Iterator[Frame]:
        """The frames themselves.

        Raises:
            Corrupt: when one of them is not what was written.
            StorageError: when a file cannot be read.
        """
        where = f"the log of guild {guild}"
        return (unseal(line, where) for line in self.each_guild_line(guild, after_seq))

    def digest_at(self, guild: GuildId, seq: int) -> bytes | None:
        """The digest at a seq: of the record that stands there, else of a checkpoint."""
        return self._standing(guild, seq) or self._anchors(guild).get(seq)

    def _standing(self, guild: GuildId, seq: int) -> bytes | None:
        spot = self.index.at(guild, seq)
        return None if spot is None else unseal(self._read(spot.number, [spot])[0], spot).digest

    def summary(self) -> LayerSummary:
        """What a layer says of itself when it was opened."""
        scan = self.scan
        headers = [file.header for file in self.survey.files if file.header is not None]
        return LayerSummary(
            epoch=max(
                [header.epoch for header in headers] + [head.epoch for head in self.chains.heads.values()] + [0]
            ),
            lineage=headers[-1].lineage if headers else "",
            gsn=scan.last,
            heads=dict(self.chains.heads),
            notes=self.notes(),
            missing=tuple(scan.missing),
            aside=dict(self.aside),
        )

    def _take(self, append: Sequence[Spotted]) -> Sequence[Frame]:
        frames = [spotted.frame for spotted in append]
        guild = frames[0].record.guild
        if not self.chains.take(frames):
            self.aside[guild] = self.aside.get(guild, 0) + len(frames)
            return ()
        for spotted in append:
            spot = Spot(spotted.number, spotted.offset, len(spotted.frame.data))
            self.index.put(guild, spotted.frame.record.seq, spot)
        return frames

    def _read(self, number: int, spots: Sequence[Spot]) -> list[bytes]:
        path = segment_path(self._folder, number)
        stretches = _stretches(spots)
        wanted = [(each[0].offset, each[-1].offset + each[-1].length - each[0].offset) for each in stretches]
        found: list[bytes] = []
        for data, each in zip(self._disk.read_parts(path, wanted), stretches, strict=True):
            begin = each[0].offset
            found += [data[spot.offset - begin : spot.offset - begin + spot.length] for spot in each]
        return found

    def notes(self) -> tuple[str, ...]:
        """What could not be believed, one sentence each."""
        scan = self.scan
        said = [f"{path.name}: no line can be read" for path in self.survey.unreadable]
        said += [f"{file.path.name}: lines are damaged where all was durable" for file in scan.damaged]
        said += [f"gsn {first} to {last} cannot be read" for first, last in scan.missing]
        said += [f"{count} records of guild {guild} stand on no chain" for guild, count in self.aside.items()]
        if scan.torn:
            said.append(f"{scan.torn} bytes at the end were a batch that was never whole")
        return tuple(said)


def read_log(disk: Disk, folder: Path) -> Reading:
    """Opens a log for reading, beside whoever writes it.

    Raises:
        NewerFormat: when a later release wrote it.
        StorageError: when it cannot be read.
    """
    return Reading(disk, folder)


def _stretches(spots: Sequence[Spot]) -> list[list[Spot]]:
    """Spots of one file in order, those that are read together in a list each."""
    found: list[list[Spot]] = []
    end = start = -NEAR_BYTES - 1
    for spot in spots:
        if spot.offset - end > NEAR_BYTES or spot.offset - start > STRETCH_BYTES:
            found.append([])
            start = spot.offset
        found[-1].append(spot)
        end = spot.offset + spot.length
    return found


def _number_of(spot: Spot) -> int:
    return spot.number
