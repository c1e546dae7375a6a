"""The persistence actor: one queue through which every read and write of durable state passes.

Rules. First come, first served; ``open`` is a barrier: what was asked before it is durable before it reads. An append
carries its life's incarnation and the seq it stands on, and is refused when either is stale. Whatever appends are
queued together become one batch: one write and one fsync of the log, one transaction of the database. Nobody is
answered before the batch is durable in every layer that ``LEDGER_ACK`` names, or ``WAIT_FOR_LAYER_S`` after such a
layer's first failure; the cloud, where it is named, is waited for likewise while the uploader gives it the batch.
When no layer took a batch, its outcome is unknown: the store takes a new epoch and every guild
has to open again. A read of lists is served between two batches, or while a layer is waited for.

The queue outlives a life of the actor; ``run`` is one life. How layers store is ``persistence/store.py``'s business.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Final, TypeVar, assert_never

import msgspec
from structlog.typing import FilteringBoundLogger

from actors import requests
from actors.acknowledging import Acknowledging
from actors.clock import Sleep
from actors.histogram import Distribution
from actors.reads import Reads, in_time
from actors.recovered import tell_recovery, telling_how_far
from actors.requests import Committed
from actors.standing import UNKNOWN_SEQ, LayerStanding
from actors.tally import Tally
from ledger.errors import Corrupt, Fenced, LedgerError, StorageError
from ledger.ids import GuildId
from ledger.ports import Clock
from ledger.records import Draft, Status
from persistence.frames import Frame
from persistence.layer import Head
from persistence.lists import Lists
from persistence.seats import Seat
from persistence.store import Append, Appended, LayerHealth, Opened, Store

T = TypeVar("T")

WAIT_FOR_LAYER_S: Final = 30.0
RETRY_S: Final = (0.05, 0.2, 1.0, 5.0)
"""Between tries to bring a broken layer back, and to take a new epoch."""


class JournalStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The journal in numbers since the process began; ``waiting``: requests queued now.

    ``recorded``: joins that are durable in any layer, ``joins``: those acknowledged; ``verdicts``: the first ones of
    their joins, ``superseding``: those that took an earlier one's place.
    """

    waiting: int
    batches: int
    records: int
    recorded: int
    joins: int
    verdicts: Mapping[Status, int]
    superseding: Mapping[Status, int]
    commit_s: Distribution
    batch_records: Distribution
    fenced: int
    epochs: int
    ready: bool
    layers: tuple[LayerHealth, ...]


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """How far the journal is: what it has served, and whether it has something in hand."""

    served: int
    busy: bool


class Journal:
    """The persistence actor.

    Args:
        store: the layers; the first life starts them, unless whoever made it has.
        named: names of the layers that LEDGER_ACK asks for.
        clock: for the wait on a broken layer.
        sleep: pauses between retries.
        log: where ``join.acknowledged`` and failures are told.
        turn: returns when this process may take the history over; until then the journal stands by, and nothing is
            read or written. None: at once.
        began: called with the epoch once the journal has started the store.
    """

    def __init__(
        self,
        store: Store,
        named: frozenset[str],
        clock: Clock,
        sleep: Sleep,
        log: FilteringBoundLogger,
        *,
        turn: Callable[[], Awaitable[None]] | None = None,
        began: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._following = store.following
        self._turn = turn
        self._began = began
        self._named = named
        self._clock = clock
        self._sleep = sleep
        self._log = log
        self._queue: deque[requests.Request] = deque()
        self._reads = Reads(store)
        self._arrived = asyncio.Event()
        self._incarnations: dict[GuildId, int] = {}
        self._whole = True
        self._failed: set[str] = set()
        """Layers that broke since all were whole."""
        self._cloud_given_up = False
        self._next_try_s = 0.0
        self._needs_epoch = False
        self.ready_at_s = 0.0
        """When the layers were last found to take records, after they had not."""
        self._broken_since_s: float | None = None
        self._tally = Tally()
        self._acknowledging = Acknowledging(self._tally, log)
        self._fenced = self._epochs = self._served = 0
        self._busy = False

    # What guild actors ask

    async def open(self, guild: GuildId, incarnation: int) -> Opened:
        """The guild's newest valid state, behind everything that was asked before. Fences earlier lives.

        Raises:
            StorageError: when no layer can be read now.
        """
        done: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        return await self._queued(requests.Open(guild, incarnation, done), done)

    async def append(self, guild: GuildId, incarnation: int, base_seq: int, drafts: Sequence[Draft]) -> Committed:
        """Makes drafts durable as the records ``base_seq + 1`` … in one atomic append.

        Raises:
            Fenced: when the incarnation or ``base_seq`` was overtaken; nothing was written.
            StorageError: when no layer took it; the guild has to open again to see what became of it.
        """
        append = Append(guild=guild, base_seq=base_seq, drafts=tuple(drafts))
        done: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        return await self._queued(requests.Append(incarnation, append, done), done)

    def unsalvaged(self) -> frozenset[GuildId]:
        """Guilds that have not taken all they had in branches that lost."""
        return frozenset(guild for _, guild in self._store.salvage.pending())

    def guilds(self) -> tuple[GuildId, ...]:
        """Every guild that anything is recorded of."""
        return self._store.guilds()

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
        """Keeps the state as of ``head`` in every layer that works, and reads it back if that is asked for.

        Checkpoints of before the record ``forgot_seq`` go. Gives what became of it by layer: "" or what went wrong.

        Raises:
            Fenced: when the incarnation was overtaken.
            StorageError: when no layer could take it; the records are untouched.
        """
        done: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
        request = requests.Checkpoint(
            guild, incarnation, head, pages, done, forgot_seq=forgot_seq, read_back=read_back
        )
        return await self._queued(request, done)

    async def read(self, query: Callable[[Lists], Awaitable[T]]) -> T:
        """Runs a short query on the lists, between two batches.

        Raises:
            StorageError: when they cannot be read now; a query that failed with it has broken its layer.
        """
        return await self._read(lambda store: store.read(partial(in_time, query)))

    async def frames_after(self, gsn: int, limit: int) -> Sequence[Frame]:
        """At least ``limit`` frames behind a gsn, if there are so many, read between two batches.

        Raises:
            StorageError: when no layer can be read now.
        """
        return await self._read(lambda store: store.frames_after(gsn, limit))

    async def look_into(self, layer: str, query: Callable[[Seat], Awaitable[T]]) -> T:
        """Runs a short query on one of the layers that every batch is written into, between two batches.

        Raises:
            StorageError: when it cannot be read now.
            Corrupt, StorageError: what the query raised; the layer is broken then.
        """
        return await self._read(lambda store: store.look_into(layer, partial(in_time, query)))

    async def _read(self, work: Callable[[Store], Awaitable[T]]) -> T:
        done = self._reads.put(work)
        self._arrived.set()
        return await done

    # What the uploader tells

    def take_note(self) -> None:
        """The cloud has confirmed something, or failed."""
        self._arrived.set()

    def require_epoch(self) -> None:
        """The cloud, which was away when the epoch was taken, answers: it has to be asked who writes."""
        self._needs_epoch = True
        self._arrived.set()

    def statistics(self) -> JournalStatistics:
        return JournalStatistics(
            waiting=len(self._queue) + len(self._reads),
            batches=self._tally.batches,
            records=self._tally.records,
            recorded=self._acknowledging.recorded(),
            joins=self._acknowledging.joins,
            verdicts=self._tally.first_verdicts(),
            superseding=self._tally.superseding_verdicts(),
            commit_s=self._tally.commit_s(),
            batch_records=self._tally.batch_records(),
            fenced=self._fenced,
            epochs=self._epochs,
            ready=self.is_ready(),
            layers=tuple(self._store.health()),
        )

    def leader(self) -> str:
        """The layer that won when the process started."""
        return self._store.leader

    def layers_of(self, guild: GuildId) -> tuple[LayerStanding, ...]:
        """Each layer as this guild sees it."""
        seq = self._store.head_of(guild).seq
        return tuple(
            LayerStanding(
                name=layer.name, seq=seq if layer.healthy else UNKNOWN_SEQ, behind=layer.behind, error=layer.error
            )
            for layer in self._store.health()
        )

    # The actor

    async def run(self) -> None:
        """One life: serves the queue until it is cancelled.

        Raises:
            Stale: when another process has taken over in the cloud.
            WrongHistory, NewerFormat: when what is found at the start is not this bot's, or not this release's.
            StoreUnfit: when the cloud cannot keep two writers apart.
        """
        self._needs_epoch = self._needs_epoch or not self._store.leader
        while True:
            if self._needs_epoch:
                await self._take_epoch()
            if not self._whole and self._clock.monotonic_s() >= self._next_try_s:
                await self._catch_up()
            self._look_at_cloud()
            if self.is_idle():
                await self._wait()
                continue
            await self._serve_read()
            if self._queue:
                await self._serve(requests.next_batch(self._queue))

    def void(self, error: LedgerError) -> None:
        """After a death of the actor: what it had in hand has an unknown outcome, so every guild opens again."""
        self._needs_epoch = True
        self._reads.void(error)
        while self._queue:
            requests.fail(self._queue.popleft(), error)

    def is_idle(self) -> bool:
        return not self._queue and not self._reads

    def pulse(self) -> Pulse:
        """Two that are equal and busy, some time apart, say that it hangs."""
        return Pulse(served=self._served, busy=self._busy)

    def is_degraded(self) -> bool:
        """Whether a layer that LEDGER_ACK names is behind."""
        if self._cloud_given_up:
            return True
        if self._whole:
            return False
        return any(not layer.healthy for layer in self._store.health() if layer.name in self._named)

    def is_ready(self) -> bool:
        """Whether the layers take records; if not, whoever asks has to wait."""
        return not self._needs_epoch and not self.is_standby()

    def is_standby(self) -> bool:
        """Whether another process still writes the history, or what there is has not been read yet."""
        return self._turn is not None or not self._store.leader

    async def _queued(self, request: requests.Request, done: asyncio.Future[T]) -> T:
        self._queue.append(request)
        self._arrived.set()
        return await done

    async def _wait(self) -> None:
        self._arrived.clear()
        if self._whole:
            await self._arrived.wait()
            return
        try:
            async with asyncio.timeout(RETRY_S[-1]):
                await self._arrived.wait()
        except TimeoutError:
            await self._catch_up()

    async def _serve(self, batch: tuple[requests.Request, ...]) -> None:
        """One batch. Cancelled or crashed on the way, its outcome is unknown to whoever waits for it."""
        first = batch[0]
        try:
            with self._at_work():
                match first:
                    case requests.Open():
                        await self._open(first)
                    case requests.Checkpoint():
                        await self._checkpoint(first)
                    case requests.Append():
                        await self._commit([each for each in batch if isinstance(each, requests.Append)])
                    case _:
                        assert_never(first)
        finally:
            for request in batch:
                if isinstance(request, requests.Append) and not request.done.done():
                    self._acknowledging.doubt(request)
                requests.fail(request, StorageError("the journal stopped while this was in its hands"))

    async def _serve_read(self) -> None:
        if not self._reads:
            return
        with self._at_work():
            await self._reads.serve_one()
        self._look_at_layers()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Something is in hand; perhaps with a batch that is in hand already, while a layer is waited for."""
        was_busy, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = was_busy
            self._served += 1

    async def _open(self, request: requests.Open) -> None:
        self._incarnations[request.guild] = request.incarnation
        try:
            opened = await self._store.open_guild(request.guild)
            await self._await_cloud()  # what a life before this one was not told yet is answered for by this one
            self._acknowledging.find(request.guild, opened, degraded=self.is_degraded())
            requests.resolve(request.done, opened)
            # Behind the answer, and in front of all that is written next.
            await self._store.vet(request.guild, opened)
        except LedgerError as error:
            requests.fail(request, error)
        self._look_at_layers()

    async def _checkpoint(self, request: requests.Checkpoint) -> None:
        if not self._is_at_the_newest(request) and self._is_stale(request):
            return
        try:
            kept = await self._store.save_checkpoint(
                request.guild,
                request.head,
                request.pages,
                forgot_seq=request.forgot_seq,
                read_back=request.read_back,
            )
            requests.resolve(request.done, kept)
        except StorageError as error:
            requests.fail(request, error)
        self._look_at_layers()

    async def _commit(self, batch: Sequence[requests.Append]) -> None:
        current = [request for request in batch if not self._is_stale(request)]
        if not current:
            return
        began_s = self._clock.monotonic_s()
        try:
            results = await self._store.append([request.append for request in current])
        except (StorageError, Corrupt) as error:
            self._lose(current, error)
            return
        took_s = self._clock.monotonic_s() - began_s
        self._look_at_layers()
        appended = [result for result in results if isinstance(result, Appended)]
        degraded = await self._await_named_layers(appended)
        degraded = await self._await_cloud() or degraded
        records = [record for result in appended for record in result.records]
        if records:
            self._tally.take_batch(records, took_s)
        self._acknowledging.tell(records, degraded=degraded)
        for request, result in zip(current, results, strict=True):
            self._answer(request, result, degraded=degraded)

    def _answer(self, request: requests.Append, result: Appended | Fenced, *, degraded: bool) -> None:
        if isinstance(result, Fenced):
            self._fenced += 1
            requests.fail(request, result)
            return
        committed = Committed(
            records=result.records, head=result.head, size_bytes=result.size_bytes, degraded=degraded
        )
        requests.resolve(request.done, committed)

    def _is_stale(self, request: requests.Append | requests.Checkpoint) -> bool:
        newest = self._incarnations.get(request.guild)
        if newest == request.incarnation:
            return False
        self._fenced += 1
        requests.fail(request, Fenced(f"guild {request.guild}: life {request.incarnation} was replaced by {newest}"))
        return True

    def _is_at_the_newest(self, request: requests.Checkpoint) -> bool:
        """Whether a life of before this epoch, whose guild was told nothing since, knows what the layers know.

        It is void for appends only: it would never rest, and a drain would not keep what it holds.
        """
        return request.guild not in self._incarnations and request.head == self._store.head_of(request.guild)

    def _look_at_layers(self) -> None:
        """Any call may have found a layer broken, or the layers to differ; either is seen to without being asked."""
        self._needs_epoch = self._needs_epoch or self._store.is_in_doubt()
        sick = self._sick_layers()
        self._failed.update(sick)
        if self._whole and sick:
            now_s = self._clock.monotonic_s()
            self._whole, self._next_try_s = False, now_s + RETRY_S[-1]
            self._broken_since_s = now_s if self._broken_since_s is None else self._broken_since_s
            self._log.error("layer.failed", layers=sick)

    def _lose(self, lost: Sequence[requests.Append], error: StorageError | Corrupt) -> None:
        self._log.error("storage.refused", error=str(error), hint=error.hint, appends=len(lost))
        self._needs_epoch = True
        for request in lost:
            self._acknowledging.doubt(request)
            requests.fail(request, error)

    async def _take_epoch(self) -> None:
        """Reads every layer back and takes a new epoch; until then nothing is answered (``stalled``)."""
        self._incarnations.clear()
        for attempt in count():
            if self._turn is not None:  # again behind a try that failed: somebody may have gone on meanwhile
                await self._turn()
            began_s = self._clock.monotonic_s()
            try:
                with self._at_work(), telling_how_far(self._log, self._store, self._clock):
                    first, report = not self._store.leader, await self._store.restart_epoch()
                    await self._acknowledging.sift(self._store.in_force)
            except StorageError as error:
                self._log.warning("storage.stalled", error=str(error), hint=error.hint, attempt=attempt)
                self._reads.void(error)
                await self._sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            else:
                self._needs_epoch, self._whole, self._turn = False, True, None
                self.ready_at_s = self._clock.monotonic_s()
                if first:
                    tell_recovery(self._log, report, self._clock.monotonic_s() - began_s)
                    self._began(report.epoch)
                else:
                    self._epochs += 1
                    self._log.info("epoch.taken", epoch=report.epoch, notes=list(report.notes))
                self._look_at_layers()
                self._tell_recovered()
                return

    async def _await_named_layers(self, appended: Sequence[Appended]) -> bool:
        """Waits for a named layer that missed the batch; True when it is still missing after the wait."""
        if all(result.durable_in >= self._near() for result in appended):
            return False
        if self._is_given_up_for_now():
            return True
        for attempt in count():
            if await self._catch_up():
                return False
            if self._needs_epoch or self._is_given_up_for_now():
                return True
            for _ in range(len(self._reads)):
                await self._serve_read()
            await self._sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
        raise AssertionError("count() ends")

    async def _await_cloud(self) -> bool:
        """Where it is named: until it has all that was appended; True when it has not after the wait.

        What the uploader reads for it meanwhile is served here. Once a new epoch is due nobody waits: it may turn out
        that another process writes.
        """
        following = self._following
        if following is None or following.layer.name not in self._named or not following.behind():
            return False
        end_s = self._clock.monotonic_s() + WAIT_FOR_LAYER_S
        while following.behind() and not self._cloud_given_up and not self._needs_epoch:
            for _ in range(len(self._reads)):
                await self._serve_read()
            self._arrived.clear()
            if following.behind() and not self._reads:
                self._cloud_given_up = not await self._heard_until(end_s)
        self._cloud_given_up = following.behind() > 0
        return self._cloud_given_up

    async def _heard_until(self, end_s: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, end_s - self._clock.monotonic_s())):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return self._clock.monotonic_s() < end_s

    def _look_at_cloud(self) -> None:
        if self._cloud_given_up and self._following is not None and not self._following.behind():
            self._cloud_given_up = False
            self._tell_acknowledged()

    def _near(self) -> frozenset[str]:
        """The named layers that are written in each batch."""
        return self._named if self._following is None else self._named - {self._following.layer.name}

    def _is_given_up_for_now(self) -> bool:
        """From so long after its first failure on nobody waits for a layer; ``run`` goes on trying, now and then."""
        since_s = self._broken_since_s
        return since_s is not None and self._clock.monotonic_s() - since_s >= WAIT_FOR_LAYER_S

    async def _catch_up(self) -> bool:
        """Tries to bring broken layers back; True when every one is whole again."""
        with self._at_work():
            self._whole = await self._store.catch_up()
        self._next_try_s = self._clock.monotonic_s() + RETRY_S[-1]
        self._needs_epoch = self._needs_epoch or self._store.is_in_doubt()
        self._tell_recovered()
        return self._whole

    def _tell_recovered(self) -> None:
        """Once every layer is whole again: what was recorded meanwhile is acknowledged now."""
        if self._whole and self._broken_since_s is not None:
            self._broken_since_s = None
            self._log.info("layer.recovered", layers=sorted(self._failed))
            self._failed.clear()
            self._tell_acknowledged()

    def _tell_acknowledged(self) -> None:
        if self._whole and not self._cloud_given_up:
            self._acknowledging.settle()

    def _sick_layers(self) -> Mapping[str, str]:
        """Those that every batch is written into; the cloud is the uploader's."""
        cloud = None if self._following is None else self._following.layer.name
        health = self._store.health()
        return {each.name: each.error for each in health if not each.healthy and each.name != cloud}
