"""The protocol that every layer keeps, and the values that pass through it.

A layer stores frames and checkpoints; it numbers nothing and decides nothing. Real and in-memory layers pass one
contract suite (``tests/persistence/test_layer_contract.py``). What orders the layers is ``persistence/store.py``.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from ledger.ids import GuildId
from persistence.frames import Frame, unseal
from persistence.lists import Lists

CHECKPOINT_FORMAT = 1

Place: TypeAlias = tuple[int, int]
"""Epoch and seq of a guild's checkpoint: their order is that of checkpoints."""


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The newest record of a guild: ``(epoch, seq)`` orders heads, ``digest`` (32 bytes) names the chain."""

    seq: int
    epoch: int
    gsn: int
    digest: bytes


class CheckpointHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint is of: the guild's state right after the record ``seq``.

    ``digest``: 64 hex digits, the chain's digest at ``seq``; ``pages``: how many pages follow; ``pages_digest``:
    SHA-256 (hex) over all pages in order; ``forgot_seq``: the newest record up to ``seq`` that forgot anything, 0 =
    none: what older checkpoints hold is not to be known any more.
    """

    guild: GuildId
    seq: int
    gsn: int
    epoch: int
    digest: str
    lineage: str
    pages: int
    pages_digest: str
    forgot_seq: int = 0
    format: int = CHECKPOINT_FORMAT
    release: str = ""

    def head(self) -> Head:
        """The guild's newest record then."""
        return Head(seq=self.seq, epoch=self.epoch, gsn=self.gsn, digest=bytes.fromhex(self.digest))


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A guild's state as pages of JSON (``ledger/state.py`` makes and reads them)."""

    header: CheckpointHeader
    pages: tuple[bytes, ...]


class LayerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a layer found when it was opened.

    ``epoch``: the highest epoch it has seen (0 = none); ``lineage``: "" when it is empty; ``gsn``: its last record
    (0 = none); ``heads``: by guild, each verified along its chain and at the end of a whole append; ``notes``: what
    was cut, set aside or is missing, one sentence each, for the log and the operator; ``remarks``: likewise, what is
    damaged or came too late and does no harm; ``missing``: ranges of gsn (first, last; both at most ``gsn``) that
    were there once and cannot be read: ``fill`` puts them back; ``aside``: how many records of each guild are there
    and stood on no chain when they came.
    """

    epoch: int
    lineage: str
    gsn: int
    heads: Mapping[GuildId, Head]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    missing: tuple[tuple[int, int], ...] = ()
    aside: Mapping[GuildId, int] = {}


class Layer(Protocol):
    """One place where records and checkpoints are kept. Not safe for two callers at once: the journal is the one.

    Errors of every method: ``StorageError`` (nothing happened), ``NotConfirmed`` (unknown), ``Corrupt`` only where
    named. A layer that raised anything is closed and opened again before it is used.
    """

    @property
    def name(self) -> str:
        """As logs and metrics name it: "log", "database" or "cloud"."""
        ...

    @property
    def lists(self) -> Lists | None:
        """What lists and names are asked of, like the layer itself between ``open`` and its first error; or None.

        Their errors are the layer's.
        """
        ...

    async def open(self) -> LayerSummary:
        """Opens or creates the layer and verifies it whole: checksums, chains, gsn without gaps.

        What is broken at the end (a torn tail) is cut; what is broken within is moved to quarantine and left out;
        both are said in ``notes``. The summary covers only what was verified. What was read is fsynced.

        Raises:
            NewerFormat: when a later release wrote it; nothing was touched.
            StorageError: when it cannot be opened.
        """
        ...

    async def begin(self, epoch: int, lineage: str) -> None:
        """Makes the writer's term durable, before its first append."""
        ...

    async def append(self, frames: Sequence[Frame]) -> None:
        """Appends a batch: contiguous gsns, right behind the layer's last one. Returns when it is durable.

        One write and one fsync, or one transaction. All or nothing for each append (``Record.last``). A jump of the
        gsn is taken as it is: a hole that no layer could fill is carried over to a follower as a hole.
        """
        ...

    async def fill(self, frames: Sequence[Frame]) -> LayerSummary:
        """Puts frames back into the ranges reported as ``missing``; others among them are left out.

        Durable on return. Verifies anew, as ``open`` does, and gives the new summary.
        """
        ...

    async def set_aside(self, after_gsn: int) -> LayerSummary:
        """Moves all frames behind ``after_gsn`` to quarantine: they are a branch that lost against another layer's.

        Durable on return; the layer's last record is then at most ``after_gsn``. Checkpoints of behind it go first,
        likewise: without their records they would stand for a hole.
        """
        ...

    def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        """All frames with a higher gsn, in order, checksums verified. Feeds another layer."""
        ...

    def reread(self, gsn: int) -> AsyncIterator[Sequence[Frame]]:
        """The same a piece at a time, each read anew from where it is kept, past whatever the layer has in memory.

        A piece takes about 5 ms at most, may be empty, and the layer may append between two of them (not be opened,
        filled or cut: then the stream has to be begun again). For whoever verifies what lies there.

        Raises:
            Corrupt: where one is not what was written; or it is left out, if the layer can go on behind it.
        """
        ...

    async def guild_lines(self, guild: GuildId, after_seq: int) -> Sequence[bytes]:
        """The bytes of a guild's frames behind ``after_seq``, in order, as they lie there.

        Nothing is verified: who knows the digests around them follows the chain (``frames.digest_behind``),
        others ask for ``guild_frames``. Where the chain goes on behind a hole, those before that may be left out.

        Raises:
            Corrupt: when one of them is not there any more.
        """
        ...

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keeps it durably beside the one before; older ones go (two newest verified ones stay).

        Those of before its ``forgot_seq`` go in any case.
        """
        ...

    def checkpoint_guilds(self) -> Collection[GuildId]:
        """The guilds that there are checkpoints of, as far as this process knows."""
        ...

    def checkpoint_places(self, guild: GuildId) -> Sequence[Place]:
        """Where there are checkpoints of the guild, newest first, as far as this process knows.

        Whether one is still there and can be read shows when it is.
        """
        ...

    async def checkpoint(self, guild: GuildId, place: Place) -> Checkpoint | None:
        """One of them, verified whole; None = it is not there any more, or cannot be read, which is a note."""
        ...

    async def drop_checkpoint(self, guild: GuildId, place: Place) -> None:
        """Takes one away, which is of a branch that lost; nothing happens where it is not there."""
        ...

    def take_notes(self) -> tuple[str, ...]:
        """What went to quarantine since this was last asked, a sentence each (a summary has its own notes)."""
        ...

    async def close(self) -> None:
        """Releases files and connections. Safe to call twice and after an error."""
        ...


async def guild_frames(layer: Layer, guild: GuildId, after_seq: int) -> list[Frame]:
    """A guild's frames behind ``after_seq``, in order, each with its checksum verified.

    Raises:
        Corrupt: when one of them is not what was written.
    """
    where = f"{layer.name}, guild {guild}"
    return [unseal(line, where) for line in await layer.guild_lines(guild, after_seq)]


async def all_checkpoints(layer: Layer, guild: GuildId) -> list[Checkpoint]:
    """All checkpoints of a guild that can be read, newest first."""
    read = [await layer.checkpoint(guild, place) for place in layer.checkpoint_places(guild)]
    return [checkpoint for checkpoint in read if checkpoint is not None]


class FencedLayer(Layer, Protocol):
    """A layer that several processes can reach, each with a folder of its own: the cloud.

    Between ``open`` and ``fence`` it is only read. After it, its appends are refused as soon as another process has a
    higher epoch; ``begin`` is not called.

    Raises:
        Stale: from ``claim``, ``fence``, ``append``, ``set_aside``, when another process has a higher epoch.
    """

    async def claim(self, epoch: int) -> bool:
        """Makes an epoch this process's own; False when another one has it. Again for the same epoch: True."""
        ...

    async def pack(self) -> bool:
        """Makes long histories cheap to read, beside whoever appends. False when there is nothing to do."""
        ...

    async def is_as_left(self) -> bool:
        """Whether it still has what was written since this was last asked; where not, ``open`` reads all anew."""
        ...

    async def has_claimed(self, epoch: int) -> bool:
        """Whether this folder has claimed an epoch there: one that it took while the layer was away it has not."""
        ...

    async def scrub(self, begin: float, share: float) -> None:
        """Reads once more what ``reread`` passes over: what was written, where copies of it are read since.

        Each call goes on where the last one stopped, from the end to the beginning again, and reads about ``share``
        of all (0 to 1), something at least; ``begin``: at which part of all (0 to 1) the first one begins. What is
        damaged is in ``take_notes``; what nothing stands in for is ``missing`` after the next ``fill``.
        """
        ...

    def checkpoint_seq(self, guild: GuildId) -> int:
        """The seq of the guild's newest checkpoint there, as far as this process knows; 0 = none."""
        ...

    async def fence(self, epoch: int, lineage: str) -> LayerSummary:
        """Shuts every older epoch out, then reads what was written until then: the summary is that of now.

        Raises:
            StorageError: also when what was written since ``open`` is of another lineage: to be opened again.
        """
        ...
