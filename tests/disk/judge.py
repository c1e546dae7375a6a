"""What has to be on the disk: what was acknowledged, in its place; what may be there; what must not be.

Judged is only what a store gives back after it was started on a disk, or what can be read there without one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ledger.ids import GuildId, UserId
from ledger.records import Record
from persistence.layer import Checkpoint
from persistence.lists import JoinRow
from persistence.merging import NOT_MERGED
from persistence.renaming import read_today
from persistence.store import Append, Appended, Opened, StartReport
from tests.memory.database import join_rows
from tests.persistence.making import BLUE, RED

GUILDS = (RED, BLUE)
_HARMLESS = ("never whole", " and got ", NOT_MERGED)
"""What a report may say when nothing but power and errors went wrong: a torn tail, a layer that was fed."""


class Violation(AssertionError):
    """What came back is not what had to."""


class Judge:
    """By guild: ``acknowledged`` keys in order, seq by seq; ``held``: how many of them the layer holds.

    ``layer``: its name; ``rotten``: whether the world itself damaged it, and ``hurt``: and it is not yet whole again;
    ``names`` and ``nameless``: whose are kept, and forgotten; ``seen``: how often what was rare happened.
    """

    def __init__(self, layer: str = "log") -> None:
        self.layer = layer
        self.acknowledged: dict[GuildId, list[str]] = {guild: [] for guild in GUILDS}
        self.held = dict.fromkeys(GUILDS, 0)
        self.rotten = self.hurt = False
        self.names: dict[tuple[GuildId, UserId], str] = {}
        self.nameless: set[tuple[GuildId, UserId]] = set()
        self.seen: Counter[str] = Counter()
        self._saved = dict.fromkeys(GUILDS, 0)
        self._forgot = dict.fromkeys(GUILDS, 0)
        self._refused: set[str] = set()
        self._epoch = 0
        self._lineage = ""

    # What the process was told

    def acknowledge(self, result: Appended) -> None:
        for record in result.records:
            known = self.acknowledged[record.guild]
            if len(known) != record.seq - 1:
                raise Violation(f"seq {record.seq} was acknowledged behind {len(known)}")
            known.append(record.key)
            if self.layer in result.durable_in:
                self.held[record.guild] = record.seq

    def refuse(self, appends: Sequence[Append]) -> None:
        """Nothing of these has happened."""
        self._refused.update(draft.key for append in appends for draft in append.drafts)

    def power_was_cut(self) -> None:
        """What was taken back without a sync may be there again, as if its outcome had been unknown."""
        self._refused.clear()

    def save(self, guild: GuildId, seq: int, forgot_seq: int) -> None:
        """The layer has a checkpoint at ``seq``, and none of before ``forgot_seq``."""
        self._saved[guild] = max(self._saved[guild], seq)
        self._forgot[guild] = max(self._forgot[guild], forgot_seq)

    def is_whole(self) -> None:
        """The layer has caught up with all others."""
        self.hurt = False
        self.held = {guild: len(keys) for guild, keys in self.acknowledged.items()}

    def saw(self, guild: GuildId, keys: list[str]) -> None:
        """What came back has been seen by others from now on."""
        self.seen["came back unacknowledged"] += len(keys) > len(self.acknowledged[guild])
        self.acknowledged[guild] = keys

    # What came back

    def lists(self, guild: GuildId, rows: Sequence[JoinRow], records: Sequence[Record]) -> None:
        """The read model is what the records say."""
        if list(rows) != join_rows(read_today(records)):
            raise Violation(f"guild {guild}: the list of joins is not what the records say")

    def named(self, guild: GuildId, found: Mapping[UserId, str]) -> None:
        for (of, user), name in self.names.items():
            if of == guild and found.get(user) != name:
                raise Violation(f"the name of {user} in guild {guild} was kept as {name!r}, not {found.get(user)!r}")
        if back := [user for of, user in self.nameless if of == guild and user in found]:
            raise Violation(f"the names of {back} in guild {guild} were forgotten")

    def started(self, report: StartReport) -> None:
        """No damage is told where there is none; the epoch is above every other, the history the same."""
        self.no_corruption(report)
        if report.epoch <= self._epoch:
            raise Violation(f"epoch {report.epoch} was taken behind {self._epoch}")
        if self._lineage not in ("", report.lineage):
            raise Violation("another history was begun")
        self._epoch, self._lineage = report.epoch, report.lineage

    def no_corruption(self, report: StartReport) -> None:
        told = [note for note in report.notes if not any(word in note for word in _HARMLESS)]
        if not self.rotten and (told or report.missing):
            raise Violation(f"nothing was damaged: {told}")
        self.seen["torn tail"] += any("never whole" in note for note in report.notes)

    def opened(self, guild: GuildId, opened: Opened, replayed: Sequence[Record]) -> None:
        """Checkpoint and tail give what all records give: what was acknowledged, and whole appends behind it."""
        keys = [record.key for record in replayed]
        rehydrated = [*state_in(opened.checkpoint), *(record.key for record in opened.tail())]
        if rehydrated != keys:
            raise Violation(f"checkpoint and tail give {rehydrated}, all records {keys}")
        known = self.acknowledged[guild]
        if opened.layer == self.layer:
            known = known[: self.held[guild]]
        if keys[: len(known)] != known:
            raise Violation(f"guild {guild}: {known} was acknowledged, {keys} came back")
        if any(record.last > len(keys) for record in replayed):
            raise Violation("an append came back in part")
        if back := self._refused.intersection(keys):
            raise Violation(f"nothing had happened of {back}")

    def has_saved(self, guild: GuildId, checkpoints: Iterable[Checkpoint]) -> None:
        """The acknowledged checkpoint or a newer one; none of before what was forgotten."""
        seqs = [checkpoint.header.seq for checkpoint in checkpoints]
        if max(seqs, default=0) < self._saved[guild] and not self.rotten:
            raise Violation(f"guild {guild}: the checkpoint at {self._saved[guild]} is gone, there are {seqs}")
        if min(seqs, default=self._forgot[guild]) < self._forgot[guild]:
            raise Violation(f"guild {guild}: checkpoints of before {self._forgot[guild]} are back: {seqs}")


def state_of(keys: Sequence[str]) -> tuple[bytes, ...]:
    """The pages of a state that is the list of all keys."""
    return tuple(msgspec.json.encode(keys[at : at + 5]) for at in range(0, len(keys), 5))


def state_in(checkpoint: Checkpoint | None) -> list[str]:
    """The keys in a checkpoint's pages."""
    pages = () if checkpoint is None else checkpoint.pages
    return [key for page in pages for key in msgspec.json.decode(page, type=list[str])]
