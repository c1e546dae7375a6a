"""The program's parts, watched: each does what its base does, tells the oracle, and lets the faults cut in.

They hook the public surface only (what a part is asked, and what it answers), so that the parts can change inside.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import supervisor
from actors import guild as guild_module
from actors.guild import GuildActor, Outside
from actors.journal import Journal
from actors.requests import Committed
from ledger import messages as m
from ledger.answers import Answer
from ledger.decision import Decision
from ledger.effects import FetchSample, ListMembers, Request, Welcome
from ledger.errors import Fenced, LedgerError
from ledger.evolve import evolve
from ledger.ids import GuildId
from ledger.records import Draft, Record
from ledger.state import GuildState
from persistence.frames import Frame
from persistence.layer import Head, Layer
from persistence.store import Append, Appended, Opened, StartReport, Store
from tests.simulation.faults import LINGERING_S, Faults
from tests.simulation.oracle import Oracle


class WatchedLayer:
    """A ``Layer`` whose frames the oracle sees on their way in."""

    def __init__(self, layer: Layer, oracle: Oracle, faults: Faults) -> None:
        self._layer = layer
        self._oracle = oracle
        self._faults = faults

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the layer has
        return getattr(self._layer, name)

    async def append(self, frames: Sequence[Frame]) -> None:
        self._oracle.given(self._layer.name, frames)
        writing = asyncio.ensure_future(self._layer.append(frames))
        try:
            await asyncio.wait({writing})
        except asyncio.CancelledError:
            if not self._faults.journal_lingers():
                raise
            await asyncio.sleep(LINGERING_S)
        await writing  # long done; it raises what the write raised while nobody listened


class WatchedStore(Store):
    """The store; what it was asked for is durable when these return."""

    oracle: Oracle

    async def start(self) -> StartReport:
        report = await super().start()
        self.oracle.started(self, report)
        return report

    async def append(self, appends: Sequence[Append]) -> Sequence[Appended | Fenced]:
        results = await super().append(appends)
        self.oracle.appended(appends, results)
        self.oracle.queued(self.following)
        return results

    async def open_guild(self, guild: GuildId) -> Opened:
        try:
            opened = await super().open_guild(guild)
        except LedgerError:
            self.oracle.failed_to_open(guild)
            raise
        self.oracle.opened(guild, opened)
        return opened

    async def save_checkpoint(
        self,
        guild: GuildId,
        head: Head,
        pages: tuple[bytes, ...],
        *,
        forgot_seq: int = 0,
        read_back: bool = False,
    ) -> Mapping[str, str]:
        self.oracle.checkpointed(guild, head, pages)
        return await super().save_checkpoint(guild, head, pages, forgot_seq=forgot_seq, read_back=read_back)


class WatchedJournal(Journal):
    """The journal, as its callers see it."""

    oracle: Oracle

    async def open(self, guild: GuildId, incarnation: int) -> Opened:
        self.oracle.wants_open(guild, incarnation)
        return await super().open(guild, incarnation)

    async def append(self, guild: GuildId, incarnation: int, base_seq: int, drafts: Sequence[Draft]) -> Committed:
        taken = tuple(drafts)
        self.oracle.wants_append(guild, incarnation, taken)
        try:
            committed = await super().append(guild, incarnation, base_seq, taken)
        except LedgerError as error:
            self.oracle.gave_up_append(guild, taken)
            self.oracle.seen["fenced append refused"] += isinstance(error, Fenced)
            raise
        self.oracle.committed(guild, committed)
        return committed

    async def checkpoint(
        self,
        guild: GuildId,
        incarnation: int,
        head: Head,
        pages: tuple[bytes, ...],
        *,
        forgot_seq: int,
        read_back: bool,
    ) -> Mapping[str, str]:
        self.oracle.wants_checkpoint(incarnation, pages)
        try:
            return await super().checkpoint(
                guild, incarnation, head, pages, forgot_seq=forgot_seq, read_back=read_back
            )
        except Fenced:
            self.oracle.seen["stale checkpoint refused"] += 1
            raise

    async def frames_after(self, gsn: int, limit: int) -> Sequence[Frame]:
        self.oracle.seen["read again for the cloud"] += 1
        return await super().frames_after(gsn, limit)

    def void(self, error: LedgerError) -> None:
        super().void(error)
        self.oracle.voided()


class WatchedActor(GuildActor):
    """A guild actor's life."""

    def __init__(self, oracle: Oracle, faults: Faults, **parts: Any) -> None:  # noqa: ANN401 -- the base's
        super().__init__(**parts)
        self._oracle = oracle
        self._faults = faults

    async def rehydrate(self) -> None:
        await super().rehydrate()
        self._oracle.restored(self)

    def decide(self, message: m.Message) -> Decision:
        self._oracle.deciding(self, message)
        self._faults.deciding(self, message)
        return super().decide(message)

    async def append(self, decision: Decision) -> tuple[Sequence[Record], bool]:
        self._oracle.appending(self)
        if self._faults.hangs(self.guild):
            await asyncio.get_running_loop().create_future()
        try:
            return await super().append(decision)
        except asyncio.CancelledError:
            if not self._faults.is_stubborn(self):
                raise
            await asyncio.sleep(LINGERING_S)
        await self.keep_checkpoint()  # long after its successor has come back
        if self.incarnation % 2:
            return (), False  # it had been told to end in the very tick in which its append returned
        return await super().append(decision)

    def evolve(self, record: Record) -> None:
        self._oracle.evolving(self, record)
        super().evolve(record)

    def publish(self, decision: Decision) -> Answer:
        before = self.presence.phase
        answer = super().publish(decision)
        self._oracle.published(self, before, decision)
        return answer

    def act(self, decision: Decision) -> None:
        self._oracle.acting(self, decision)
        super().act(decision)


class WatchedOutside(Outside):
    """Effects on their way out."""

    def __init__(self, outside: Outside, oracle: Oracle) -> None:
        self._outside = outside
        self._oracle = oracle

    def fetch_sample(self, guild: GuildId, effect: FetchSample) -> None:
        self._oracle.effect(guild, effect)
        self._outside.fetch_sample(guild, effect)

    def list_members(self, guild: GuildId, effect: ListMembers) -> None:
        self._oracle.effect(guild, effect)
        self._outside.list_members(guild, effect)

    def welcome(self, guild: GuildId, effect: Welcome) -> None:
        self._oracle.effect(guild, effect)
        self._outside.welcome(guild, effect)

    def run_errand(self, guild: GuildId, effect: Request) -> None:
        self._oracle.errand(guild, effect)
        self._outside.run_errand(guild, effect)


@contextmanager
def watching(oracle: Oracle, faults: Faults) -> Iterator[None]:
    """Lets the supervisor make watched actors; ``evolve`` fails in them where the faults say so."""

    def evolve_or_fail(state: GuildState, record: Record) -> GuildState:
        faults.evolving(record.guild)
        return evolve(state, record)

    def make(**parts: Any) -> GuildActor:  # noqa: ANN401 -- the base's
        watched = isinstance(parts["journal"], WatchedJournal)  # the rival's are not
        return WatchedActor(oracle, faults, **parts) if watched else GuildActor(**parts)

    makers: tuple[Any, Any] = supervisor.GuildActor, guild_module.evolve
    supervisor.GuildActor = make  # type: ignore[misc, assignment]
    guild_module.evolve = evolve_or_fail
    try:
        yield
    finally:
        supervisor.GuildActor, guild_module.evolve = makers  # type: ignore[misc]
