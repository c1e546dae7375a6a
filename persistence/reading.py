"""Reading a log: its files, its frames in order, and which of them stand on their guild's chain. Changes nothing.

``Reading`` is what the log itself opens with; ``read_log`` is for tools (`export`, `verify`, `replay`), which need no
lock and may run beside the bot: what they see is a valid prefix of what the bot has written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ledger.ids import GuildId
from persistence.chains import Anchors, Chains, appends
from persistence.disk import Disk
from persistence.frames import Frame, unseal
from persistence.index import STRETCH_BYTES, Index, LogStretch, Spot
from persistence.layer import LayerSummary
from persistence.log_files import parts_of, plain_path
from persistence.scan import Scan, Spotted, frame_of, survey


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
        self._paths = {file.number: file.path for file in self.survey.files}
        self.scan = Scan(disk, self.survey.files)
        self.index = Index()
        self.chains = Chains(self._standing, anchors)

    def __iter__(self) -> Iterator[Frame]:
        for append in appends(self.scan, frame_of):
            yield from self._take(append)

    def take(self, spotted: Sequence[Spotted]) -> None:
        """Follows a batch that was appended since."""
        for append in appends(spotted, frame_of):
            self._take(append)

    def each_guild_line(self, guild: GuildId, after_seq: int) -> Iterator[bytes]:
        """The bytes of a guild's frames behind a seq, in order, not verified.

        Raises:
            StorageError: when a file cannot be read.
        """
        for some in _together(self.index.behind(guild, after_seq)):
            path = self._path(some[0].number)
            data = parts_of(self._disk, path, [(each.offset, each.length) for each in some])
            for read, each in zip(data, some, strict=True):
                yield from map(read.__getitem__, each.parts)

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
        if spot is None:
            return None
        (data,) = parts_of(self._disk, self._path(spot.number), [(spot.offset, spot.length)])
        return unseal(data, spot).digest

    def _path(self, number: int) -> Path:
        """Of two files with a number the later one holds what both do; one that was begun since is plain."""
        return self._paths.get(number) or plain_path(self._folder, number)

    def summary(self) -> LayerSummary:
        """What a layer says of itself when it was opened."""
        scan = self.scan
        headers = self.survey.headers()
        return LayerSummary(
            epoch=max(
                [header.epoch for header in headers] + [head.epoch for head in self.chains.heads.values()] + [0]
            ),
            lineage=headers[-1].lineage if headers else "",
            gsn=scan.last,
            heads=dict(self.chains.heads),
            notes=self.notes(),
            missing=tuple(scan.missing),
            aside=self.chains.aside(),
        )

    def _take(self, append: Sequence[Spotted]) -> Sequence[Frame]:
        frames = [spotted.frame for spotted in append]
        guild = frames[0].record.guild
        if not self.chains.take(frames):
            return ()
        for spotted in append:
            spot = Spot(spotted.number, spotted.offset, len(spotted.frame.data))
            self.index.put(guild, spotted.frame.record.seq, spot)
        return frames

    def notes(self) -> tuple[str, ...]:
        """What could not be believed, one sentence each."""
        scan = self.scan
        said = [f"{path.name}: no line can be read" for path in self.survey.unreadable]
        said += [f"{file.path.name}: lines are damaged where all was durable" for file in scan.damaged]
        said += [f"gsn {first} to {last} cannot be read" for first, last in scan.missing]
        said += [
            f"{count} records of guild {guild} stand on no chain" for guild, count in self.chains.aside().items()
        ]
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


def _together(stretches: Iterable[LogStretch]) -> Iterator[list[LogStretch]]:
    """Those of one file that are read while it is open once, about ``STRETCH_BYTES``."""
    some: list[LogStretch] = []
    size = 0
    for each in stretches:
        if some and (each.number != some[0].number or size > STRETCH_BYTES):
            yield some
            some, size = [], 0
        some.append(each)
        size += each.length
    if some:
        yield some
