"""Checkpoints as files: a sealed header, then the pages, each with its length and checksum.

    {"guild":…,"seq":…,…,"crc":"…"}
    1c2d3e4f 4711          CRC32C and length in bytes of the page that follows
    …4711 bytes…
    …

In ``checkpoints/{guild}/{epoch}-{seq}.ckpt``, so that the newest has the last name. A file is replaced at once and
read back; the two newest stay; one that cannot be read goes to quarantine. Blocking.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from persistence.disk import Disk
from persistence.formats import RELEASE, Format
from persistence.frames import crc32c
from persistence.layer import CHECKPOINT_FORMAT, Checkpoint, CheckpointHeader, Head, Place
from persistence.quarantine import Quarantine
from persistence.sealed import seal_line, unseal_line
from persistence.writing import replace

KEPT: Final = 2
"""How many checkpoints of a guild stay."""
CHECKPOINT_SUFFIX: Final = ".ckpt"
_NAME: Final = re.compile(rf"[0-9]{{10}}-[0-9]{{20}}{re.escape(CHECKPOINT_SUFFIX)}")
"""What else lies there, such as a conflicted copy, is nobody's."""
_HEAD_BYTES: Final = 4096
_LENGTH_DIGITS: Final = 12
"""A page's length has fewer: no flipped bit makes us count for ever."""
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(CheckpointHeader)


_formats: Final = msgspec.json.Decoder(Format)


def make_checkpoint(
    guild: GuildId, head: Head, lineage: str, pages: tuple[bytes, ...], forgot_seq: int = 0
) -> Checkpoint:
    """A checkpoint of the state right after ``head``."""
    return checkpoint_of(guild, head, lineage, pages, forgot_seq=forgot_seq, digest=pages_digest(pages))


def checkpoint_of(
    guild: GuildId, head: Head, lineage: str, pages: tuple[bytes, ...], *, forgot_seq: int, digest: str
) -> Checkpoint:
    """The same where the pages' digest is known: for many pages it takes longer than an event loop may be held."""
    header = CheckpointHeader(
        guild=guild,
        seq=head.seq,
        gsn=head.gsn,
        epoch=head.epoch,
        digest=head.digest.hex(),
        lineage=lineage,
        pages=len(pages),
        pages_digest=digest,
        forgot_seq=forgot_seq,
        release=RELEASE,
    )
    return Checkpoint(header=header, pages=pages)


def pages_digest(pages: tuple[bytes, ...]) -> str:
    """SHA-256 (hex) over all pages in order."""
    digest = hashlib.sha256()
    for page in pages:
        digest.update(page)
    return digest.hexdigest()


def pack(checkpoint: Checkpoint) -> bytes:
    """The bytes of a checkpoint's file."""
    parts = [seal_line(_encoder.encode(checkpoint.header))]
    for page in checkpoint.pages:
        parts += (b"%b %d\n" % (crc32c(page), len(page)), page, b"\n")
    return b"".join(parts)


def unpack(data: bytes, where: str) -> Checkpoint:
    """The checkpoint in a file's bytes, verified whole.

    Raises:
        Corrupt: when anything differs from what was written. ``where`` names the place.
        NewerFormat: when a later release wrote it.
    """
    line = _line_at(data, 0)
    header = read_header(line, where)
    pages = tuple(_pages(data, len(line) + 1, where))
    if len(pages) != header.pages or pages_digest(pages) != header.pages_digest:
        raise Corrupt(where, "pages are missing, added or exchanged")
    return Checkpoint(header=header, pages=pages)


def read_header(line: bytes, where: str) -> CheckpointHeader:
    """The header in a file's first line (``unpack`` says what is raised)."""
    body = unseal_line(line, where)
    try:
        _formats.decode(body).refuse_above(CHECKPOINT_FORMAT, where)
        return _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise Corrupt(where, f"unreadable: {error}") from error


def refuse_stray(header: CheckpointHeader, guild: GuildId, place: Place, where: str) -> None:
    """A checkpoint is what its name says.

    Raises:
        Corrupt: when it is not.
    """
    if (header.guild, (header.epoch, header.seq)) != (guild, place):
        raise Corrupt(where, f"it is that of guild {header.guild} at seq {header.seq}, epoch {header.epoch}")


def _pages(data: bytes, at: int, where: str) -> Iterator[bytes]:
    while at < len(data):
        line = _line_at(data, at)
        crc, _, length = line.partition(b" ")
        start = at + len(line) + 1
        at = start + (int(length) if length.isdigit() and len(length) < _LENGTH_DIGITS else 0)
        page = data[start:at]
        if data[at : at + 1] != b"\n" or crc != crc32c(page) or length != b"%d" % len(page):
            raise Corrupt(where, "a page differs from its checksum")
        yield page
        at += 1


def _line_at(data: bytes, at: int) -> bytes:
    """What stands before the next newline; no line of a checkpoint is longer than a header may be."""
    return data[at : at + _HEAD_BYTES].partition(b"\n")[0]


class Checkpoints:
    """The checkpoints of all guilds in a folder."""

    def __init__(self, disk: Disk, folder: Path, quarantine: Quarantine) -> None:
        self._disk = disk
        self._folder = folder
        self._quarantine = quarantine
        self._places: dict[GuildId, tuple[Place, ...]] = {}

    def look(self) -> None:
        """Notes where there are any, and looks at every header.

        Raises:
            NewerFormat: when a later release wrote one.
        """
        self._places = {}
        for guild in self._guilds():
            for path in self._note(guild):
                line, _, _ = self._disk.read_parts(path, [(0, _HEAD_BYTES)])[0].partition(b"\n")
                try:
                    read_header(line, path.name)
                except Corrupt:
                    continue  # found again, and set aside, when it is read

    def save(self, checkpoint: Checkpoint) -> None:
        """Keeps it durably, reads it back, and removes what is older than the two newest, or than its forgetting.

        Raises:
            StorageError: when it could not be written or is not what was written; the older ones stay.
        """
        header = checkpoint.header
        path = self._path(header.guild, (header.epoch, header.seq))
        replace(self._disk, path, pack(checkpoint))
        try:
            unpack(self._disk.read(path), path.name)
        except Corrupt as error:
            self._quarantine.move(path, str(error))
            raise StorageError(f"read back: {error}") from error
        paths = self._paths(header.guild)
        for old in paths:
            if old not in paths[-KEPT:] or _place_of(old)[1] < header.forgot_seq:
                self._disk.remove(old)
        self._note(header.guild)
        if header.forgot_seq:
            self._disk.sync_folder(path.parent)

    def guilds(self) -> Collection[GuildId]:
        """Those that there are any of, as far as this process knows."""
        return self._places

    def places(self, guild: GuildId) -> Sequence[Place]:
        """Where a guild's checkpoints stand, by their names, newest first, as far as this process knows."""
        return self._places.get(guild, ())

    def load(self, guild: GuildId, place: Place) -> Checkpoint | None:
        """One of a guild's checkpoints; None = it is not there, or cannot be read and went to quarantine."""
        path = self._path(guild, place)
        try:
            if self._disk.identity(path) is not None:
                return self._load(path, guild, place)
        except Corrupt as error:
            self._quarantine.move(path, str(error))
        self._note(guild)
        return None

    def drop(self, guild: GuildId, place: Place) -> None:
        """Moves one to quarantine: it is of a branch that lost."""
        path = self._path(guild, place)
        if self._disk.identity(path) is not None:
            self._quarantine.move(path, "of a branch that lost")
        self._note(guild)

    def set_aside(self, after_gsn: int) -> None:
        """Moves those of behind a gsn to quarantine: they are of a branch that lost."""
        for guild in self._guilds():
            for path in self._paths(guild):
                line, _, _ = self._disk.read_parts(path, [(0, _HEAD_BYTES)])[0].partition(b"\n")
                with suppress(Corrupt):  # found again, and set aside, when it is read
                    if read_header(line, path.name).gsn > after_gsn:
                        self._quarantine.move(path, f"of a branch behind gsn {after_gsn} that lost")
            self._note(guild)

    def anchors(self, guild: GuildId) -> Mapping[int, bytes]:
        """The chain's digests that checkpoints which can be read tell, by seq (``chains.Anchors``): of two of one seq
        that of the higher epoch.
        """
        found = [self.load(guild, place) for place in reversed(self.places(guild))]
        headers = [checkpoint.header for checkpoint in found if checkpoint is not None]
        return {header.seq: bytes.fromhex(header.digest) for header in headers}

    def _load(self, path: Path, guild: GuildId, place: Place) -> Checkpoint:
        checkpoint = unpack(self._disk.read(path), path.name)
        refuse_stray(checkpoint.header, guild, place, path.name)
        return checkpoint

    def _path(self, guild: GuildId, place: Place) -> Path:
        epoch, seq = place
        return self._folder / guild / f"{epoch:010d}-{seq:020d}{CHECKPOINT_SUFFIX}"

    def _guilds(self) -> list[GuildId]:
        """Those that have a folder; a file that lies beside them is nobody's."""
        return [GuildId(name) for name in sorted(self._disk.folders(self._folder))]

    def _note(self, guild: GuildId) -> Sequence[Path]:
        """Where those of a guild are now."""
        paths = self._paths(guild)
        self._places[guild] = tuple(_place_of(path) for path in reversed(paths))
        return paths

    def _paths(self, guild: GuildId) -> list[Path]:
        folder = self._folder / guild
        return [folder / name for name in self._disk.names(folder) if _NAME.fullmatch(name)]


def _place_of(path: Path) -> Place:
    epoch, _, seq = path.stem.partition("-")
    return int(epoch), int(seq)
