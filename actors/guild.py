"""The guild actor: a thin shell round ``ledger/``. It owns one guild's state and one life of it.

It decides with ``ledger.decide``, appends through the journal, evolves, publishes, hands effects over. Whatever it
holds is lost with it, except what the journal has; the next life comes back from there.
What does not live here: how messages travel (``letters``), mailboxes and turns (``runtime``), fetches (``gateway``),
restarts (``supervisor``).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, Protocol, assert_never

import msgspec
from structlog.typing import FilteringBoundLogger

from actors.asks import Deadlines
from actors.checkpointing import Checkpointing
from actors.journal import Journal
from actors.letters import merging_of
from actors.mailbox import Address
from actors.runtime import Jobs
from actors.standing import Kept, NotRunning, Restored
from ledger import messages as m
from ledger.answers import Answer
from ledger.decide import decide
from ledger.decision import Decision
from ledger.effects import FetchSample, ListMembers, Request, Welcome
from ledger.errands import errands, is_idle
from ledger.errors import LedgerError
from ledger.evolve import evolve
from ledger.ids import GuildId
from ledger.phases import Phase, move
from ledger.ports import Clock
from ledger.presence import LEFT, Presence
from ledger.records import (
    GuildForgotten,
    JoinRecorded,
    MemberForgotten,
    Record,
    VerdictReached,
)
from ledger.state import GuildState, pages_of, read_pages
from ledger.windows import needs_sample
from persistence.layer import Head

REPLAYED_AT_ONCE: Final = 500
"""Records, before others have their turn."""
ASKS_A_LIFE: Final = 1 << 20
"""Sample requests of different lives never share a number."""


class Outside(Protocol):
    """Where effects go. Each returns at once; outcomes come back as messages."""

    def fetch_sample(self, guild: GuildId, effect: FetchSample) -> None:
        """Fetches all counters; answers with ``SampleArrived`` or ``SampleFailed``."""
        ...

    def list_members(self, guild: GuildId, effect: ListMembers) -> None:
        """Reads the member list; answers with ``ReviewMembers`` a page."""
        ...

    def welcome(self, guild: GuildId, effect: Welcome) -> None:
        """Says in the guild that the bot is new there; best effort, and no answer."""
        ...

    def run_errand(self, guild: GuildId, effect: Request) -> None:
        """Asks Discord what the errand says, in its time; always answers with one of the errand's messages."""
        ...


class Nowhere(Outside):
    """For a process without a gateway: nothing is fetched, nobody listed."""

    def fetch_sample(self, guild: GuildId, effect: FetchSample) -> None:
        """Does nothing: the next bot asks again by itself."""

    def list_members(self, guild: GuildId, effect: ListMembers) -> None:
        """Does nothing likewise."""

    def welcome(self, guild: GuildId, effect: Welcome) -> None:
        """Does nothing: nobody is greeted."""

    def run_errand(self, guild: GuildId, effect: Request) -> None:
        """Does nothing: the next bot asks by itself."""


class EvolveFailed(LedgerError):
    """Replaying a record raised: no later life will do better. The guild is parked at ``seq``."""

    hint = "report it with this line; the guild's records stay as they are, and a fixed release goes on from there"

    def __init__(self, guild: GuildId, seq: int, why: str) -> None:
        super().__init__(f"guild {guild}: record {seq} could not be replayed: {why}")
        self.seq = seq


class GuildActor:
    """One life of a guild's actor (``runtime.Behaviour``).

    Args:
        guild: whose it is.
        incarnation: which life; the journal refuses all but the newest.
        journal: where it reads from and appends to.
        outside: where effects go.
        jobs: for checkpoints, off the reply path.
        clock: for the age of the last checkpoint.
        log: bound to nothing; each line names the guild.
    """

    def __init__(
        self,
        *,
        guild: GuildId,
        incarnation: int,
        journal: Journal,
        outside: Outside,
        jobs: Jobs,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self.guild = guild
        self.incarnation = incarnation
        self.state = GuildState(guild=guild)
        self.presence = Presence(asks=incarnation * ASKS_A_LIFE, since_us=clock.stamp_us())
        self.head: Head | None = None
        self._journal = journal
        self._outside = outside
        self._jobs = jobs
        self._clock = clock
        self._log = log
        self.restored = Restored()
        self._checkpoints = Checkpointing(clock)
        self._keeping = False
        self._one_checkpoint = asyncio.Lock()

    async def rehydrate(self) -> None:
        """Comes to the durable head: the newest valid checkpoint, then the records behind it.

        Raises:
            EvolveFailed: when a record cannot be replayed.
            Corrupt: when no layer holds an unbroken chain.
            StorageError: when no layer can be read now.
        """
        try:
            await self._restore()
        except LedgerError as error:
            self._log.error("guild.restore_failed", guild=self.guild, error=str(error), hint=error.hint)
            raise

    async def _restore(self) -> None:
        self.move(Phase.REHYDRATING)
        started_s = self._clock.monotonic_s()
        if not self._journal.is_ready():
            self.move(Phase.STALLED)
        opened = await self._journal.open(self.guild, self.incarnation)
        self.move(Phase.REHYDRATING)
        if opened.checkpoint is not None:
            for self.state in read_pages(opened.checkpoint.pages):
                await asyncio.sleep(0)
            self._checkpoints.found(self.state.seq, sum(len(page) for page in opened.checkpoint.pages))
        tail = opened.tail()
        for start in range(0, len(opened.lines), REPLAYED_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            self._replay(islice(tail, REPLAYED_AT_ONCE))
        self.head = opened.head
        # It begins here: while it waited for its turn, another process may have recorded.
        self.presence = msgspec.structs.replace(self.presence, since_us=self._clock.stamp_us())
        self.restored = Restored(
            layer=opened.layer if opened.head else "", seq=self.state.seq, records=len(opened.lines)
        )
        since_s = max(started_s, self._journal.ready_at_s)  # what it waited for before is no part of it
        self._log.info(
            "guild.restored",
            guild=self.guild,
            layer=opened.layer,
            seq=self.state.seq,
            checkpoint_seq=self._checkpoints.seq,
            records=len(opened.lines),
            ms=round((self._clock.monotonic_s() - since_s) * 1_000, 1),
            notes=list(opened.notes),
        )

    def wake(self, asleep: Presence) -> None:
        """What was true when the guild was passivated still is: nothing has come since."""
        self.presence = msgspec.structs.replace(asleep, phase=move(self.presence.phase, asleep.phase))

    def may_rest(self, *, idle: bool) -> bool:
        """Whether nothing is under way that only this life, which has its state, knows of.

        ``idle``: nothing came for a long time.
        """
        presence = self.presence
        if self._checkpoints.has_put_off(self.state):
            return False  # at rest nobody would try again
        if presence.phase is Phase.AWAY:
            return presence.trouble == LEFT
        if presence.phase is Phase.REHYDRATING:
            return idle  # nobody has said that the guild is there: it was asked for something only
        settled = presence.phase is Phase.LIVE and presence.reconciled and not presence.asked
        return idle and settled and not needs_sample(self.state) and is_idle(self.state, presence)

    def is_kept(self) -> bool:
        """Whether a checkpoint stands at the head, and none that knows too much anywhere."""
        return self._checkpoints.has_all(self.state)

    def move(self, phase: Phase) -> None:
        """Along the table of phases."""
        self.presence = msgspec.structs.replace(self.presence, phase=move(self.presence.phase, phase))

    def decide(self, message: m.Message) -> Decision:
        return decide(self.state, self.presence, message)

    async def append(self, decision: Decision) -> tuple[Sequence[Record], bool]:
        committed = await self._journal.append(self.guild, self.incarnation, self.state.seq, decision.drafts)
        self.head = committed.head
        self._checkpoints.recorded(committed.size_bytes)
        return committed.records, committed.degraded

    def is_degraded(self) -> bool:
        return self._journal.is_degraded()

    def evolve(self, record: Record) -> None:
        self.state = evolve(self.state, record)

    def publish(self, decision: Decision) -> Answer:
        if decision.presence.phase is not self.presence.phase:
            self._log.info(
                "guild.moved",
                guild=self.guild,
                phase=decision.presence.phase.value,
                before=self.presence.phase.value,
                reason=decision.presence.trouble,
            )
            if decision.presence.phase is Phase.LIVE:
                self._tell_cached()
        self.presence = decision.presence
        for draft in decision.drafts:
            self._tell(draft.event)
        return decision.answer

    def act(self, decision: Decision) -> None:
        for effect in decision.effects:
            match effect:
                case FetchSample():
                    self._outside.fetch_sample(self.guild, effect)
                case ListMembers():
                    self._outside.list_members(self.guild, effect)
                case Welcome():
                    self._outside.welcome(self.guild, effect)
                case _:
                    assert_never(effect)
        self.presence, open_errands = errands(self.state, self.presence)
        for errand in open_errands:
            self._outside.run_errand(self.guild, errand)
        if not self._keeping and self._checkpoints.is_due(self.state):
            self._keeping = True
            self._jobs.start(self.keep_checkpoint(), f"checkpoint/{self.guild}")

    async def keep_checkpoint(self) -> None:
        """Writes the state as it is now, if it is new; a failure is told and tried again at a later turn."""
        try:
            async with self._one_checkpoint:
                if self._is_at_head() and not self._checkpoints.has_all(self.state):
                    await self._write_checkpoint(read_back=False)
        except LedgerError:
            pass  # told, and nothing depends on it
        finally:
            self._keeping = False

    async def prove_checkpoint(self) -> Kept:
        """Writes the state as it is now, new or not, and has every layer give it back.

        Raises:
            NotRunning: when this life is not at its head: it is beginning or over.
            Fenced: when it was replaced meanwhile.
            StorageError: when no layer takes a checkpoint.
        """
        async with self._one_checkpoint:
            if not self._is_at_head():
                raise NotRunning(f"guild {self.guild} is just being restored, or nothing of it is recorded yet")
            return await self._write_checkpoint(read_back=True)

    async def _write_checkpoint(self, *, read_back: bool) -> Kept:
        head = self.head
        assert head is not None, "who calls has looked"
        forgot_seq = self.state.forgot_seq
        self._checkpoints.tries()
        pages: list[bytes] = []
        for page in pages_of(self.state):  # the first pull copies; the bot goes on between pages
            pages.append(page)
            await asyncio.sleep(0)
        self._checkpoints.copied()
        try:
            layers = await self._journal.checkpoint(
                self.guild,
                self.incarnation,
                head,
                tuple(pages),
                forgot_seq=forgot_seq,
                read_back=read_back,
            )
        except LedgerError as error:
            self._log.warning("checkpoint.failed", guild=self.guild, error=str(error), hint=error.hint)
            raise
        size_bytes = sum(len(page) for page in pages)
        self._checkpoints.kept(head.seq, size_bytes, everywhere=not any(layers.values()))
        self._log.info("checkpoint.saved", guild=self.guild, seq=head.seq, bytes=size_bytes, pages=len(pages))
        return Kept(seq=head.seq, layers=layers)

    def _is_at_head(self) -> bool:
        """Whether the state is that of the newest record: not while it is read, nor when a life ended in a turn."""
        return self.head is not None and self.head.seq == self.state.seq

    def _replay(self, records: Iterable[Record]) -> None:
        for record in records:
            try:
                self.state = evolve(self.state, record)
            except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
                raise EvolveFailed(self.guild, record.seq, repr(error)) from error

    def _tell_cached(self) -> None:
        """A guild is live with a baseline only: from now on joins are worked out."""
        baseline = self.state.baseline
        assert baseline is not None, "live without a baseline"
        self._log.info(
            "counters.cached",
            guild=self.guild,
            counters=len(self.state.counters),
            sample=baseline.number,
            age_ms=(self._clock.stamp_us() - baseline.requested_us) // 1_000,
        )

    def _tell(self, event: object) -> None:
        """What monitoring goes by: verdicts and joins, each by its own line."""
        if isinstance(event, VerdictReached):
            self._log.info(
                "verdict.reached",
                guild=self.guild,
                user=event.user,
                status=event.status.value,
                code=event.code,
                staff=event.staff,
                candidates=list(event.candidates),
                reason=event.reason,
                supersedes=event.supersedes,
            )
        elif isinstance(event, MemberForgotten):  # not who: the line would remember what was to be forgotten
            self._log.info("member.forgotten", guild=self.guild, tombstone=event.tombstone)
        elif isinstance(event, GuildForgotten):
            self._log.info("guild.forgotten", guild=self.guild)
        elif isinstance(event, JoinRecorded):
            self._log.debug("join.recorded", guild=self.guild, user=event.user, origin=event.origin)


GuildAddress = Address[m.Message, Answer]


def guild_address(guild: GuildId, gap_notice: Callable[[], m.NoteGap], deadlines: Deadlines) -> GuildAddress:
    """A new address for a guild; its mailbox outlives every life of the actor."""
    return Address(f"guild/{guild}", gap_notice, merging_of, deadlines)
