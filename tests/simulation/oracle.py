"""The oracle: hears of everything that the program does, and asks the invariants after each step.

It is told by watched parts (``watched.py``), by the log, and by whoever asks the bot. A violation ends the run at
once, whatever task it was found in. It also counts the rare states that a run has reached, and sums up the trace.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from typing import Concatenate, Final, ParamSpec
from zlib import crc32

from actors.asks import Outcome
from actors.guild import GuildActor, GuildAddress
from actors.requests import Committed
from ledger import messages as m
from ledger import records as r
from ledger.answers import Answer
from ledger.decision import Decision
from ledger.effects import Effect, Request
from ledger.errands import errands
from ledger.errors import Fenced
from ledger.evolve import evolve
from ledger.ids import GuildId, UserId
from ledger.phases import Phase
from ledger.state import GuildState, from_pages
from persistence.checkpoints import pack
from persistence.following import Following
from persistence.frames import Frame
from persistence.layer import Head
from persistence.store import Append, Appended, Opened, StartReport, Store
from tests.memory.database import MemoryDatabase
from tests.simulation import invariants as i
from tests.simulation.book import GuildBook
from tests.simulation.platter import Platter, digest_in
from tests.simulation.process import Line, Process
from tests.simulation.sky import Sky
from tests.simulation.violation import Violation

P = ParamSpec("P")

NEARBY: Final = ("log", "database")
LAYERS: Final = (*NEARBY, "cloud")
PLANTED: Final = ("Broken(", "planted")


def ends_the_run(hook: Callable[Concatenate["Oracle", P], None]) -> Callable[Concatenate["Oracle", P], None]:
    """A violation found in this hook ends the run, whoever would catch it there."""

    @wraps(hook)
    def guarded(oracle: "Oracle", *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            hook(oracle, *args, **kwargs)
        except Violation as error:
            oracle.fail(error)
            raise

    return guarded


class Credits:
    """Who holds a credit for which join of a guild, and which joins there are; by their joined_at."""

    def __init__(self) -> None:
        self.held: dict[tuple[int, str], UserId] = {}
        self.joins: set[int] = set()
        self.decided: set[int] = set()

    def take(self, event: r.Event) -> None:
        # A person may decide of somebody who was there before; if their join is told late, that is news.
        told = self.joins if isinstance(event, r.JoinRecorded) else self.joins | self.decided
        i.one_net_credit(self.held, told, event)
        i.person_has_the_last_word(self.decided, event)
        match event:
            case r.JoinRecorded():
                self.joins.add(event.joined_at_us)
            case r.CreditGranted():
                self.held[event.opened_us, event.kind] = event.staff
            case r.CreditReversed():
                del self.held[event.opened_us, event.kind]
            case r.VerdictReached(status=r.Status.MANUAL):
                self.decided.add(event.opened_us)
            case r.GuildForgotten():  # what came after that is news again
                self.joins = {at_us for at_us in self.joins if at_us < event.until_us}
                self.held.clear()  # a person may decide anew whom a member counts for
                self.decided.clear()
            case _:
                pass


class Oracle:
    """Args:
    database: the second layer's truth; another one once the folder was wiped.
    sky: the third layer's, if there is one.
    named: the layers that an acknowledgement speaks for.
    """

    def __init__(self, database: MemoryDatabase, sky: Sky | None, named: Sequence[str]) -> None:
        self.books: dict[GuildId, GuildBook] = {}
        self.seen: Counter[str] = Counter()
        self.trace = 0
        self.forked = False
        """Another process had the cloud, and no start has seen since what it did."""
        self.lost: set[int] = set()
        """Gsns that a start has said are in no layer any more."""
        self.restarts: Counter[str] = Counter()
        self.reasons: defaultdict[str, list[str]] = defaultdict(list)
        self.incidents = 0
        self.unread: Counter[str] = Counter()
        self.acknowledged: defaultdict[GuildId, set[tuple[UserId, int]]] = defaultdict(set)
        self.database = database
        self._sky = sky
        self._named = tuple(named)
        self._empty = False
        self._process: Process | None = None
        self._platter: Platter | None = None
        self._credits: defaultdict[GuildId, Credits] = defaultdict(Credits)
        self._appending: defaultdict[GuildId, list[tuple[int, tuple[r.Draft, ...]]]] = defaultdict(list)
        self._keeping: list[tuple[int, tuple[bytes, ...]]] = []
        self._opening: defaultdict[GuildId, deque[int]] = defaultdict(deque)
        self._asleep: set[GuildId] = set()
        self._decided: dict[GuildId, tuple[int, object]] = {}
        self._due: dict[GuildId, list[Request]] = {}

    # Lives of the process

    def begin_life(self, process: Process, platter: Platter) -> None:
        self._process, self._platter = process, platter
        self.restarts.clear()
        self.reasons.clear()
        self.incidents = 0
        self.unread.clear()
        self._appending.clear()
        self._keeping.clear()
        self._opening.clear()
        self._asleep.clear()
        self._decided.clear()
        self._due.clear()
        for book in self.books.values():
            book.incarnation = book.confirmed = 0

    def fail(self, error: BaseException) -> None:
        assert self._process is not None, "checks are asked while a process runs"
        self._process.loop.fail(error)

    def note(self, what: str) -> None:
        """Adds to the trace."""
        process = self._process
        steps, now_s = (process.loop.steps, process.loop.time()) if process is not None else (0, 0.0)
        self.trace = crc32(f"{steps} {now_s} {what}".encode(), self.trace)

    def book(self, guild: GuildId) -> GuildBook:
        book = self.books.get(guild)
        if book is None:
            book = self.books[guild] = GuildBook(guild)
        return book

    def wiped(self, database: MemoryDatabase) -> None:
        """The folder is gone. What was promised is in the cloud, if that was named; else what the cloud has of it."""
        self.database, self._empty = database, True
        if "cloud" in self._named:
            return
        assert self._sky is not None, "nothing would be left"
        for guild, book in self.books.items():
            book.promised = min(book.promised, self._in_cloud(book))
            self.acknowledged[guild] &= self._sky.joins(guild)

    def rival_took_over(self) -> None:
        """From now on two go on, until the first is told, or takes the cloud back with what it did not know of."""
        self.seen["rival took over"] += 1
        self.forked = True

    def rival_ended(self, acknowledged: Collection[tuple[GuildId, UserId, int]]) -> None:
        """Another process is over, and its folder lost; these joins it had acknowledged."""
        assert self._sky is not None, "they met there"
        self.forked = True
        in_cloud = {guild: self._sky.joins(guild) for guild in {guild for guild, *_ in acknowledged}}
        for guild, user, joined_at_ms in acknowledged:
            join = user, joined_at_ms
            if "cloud" in self._named or join in in_cloud[guild]:
                self.acknowledged[guild].add(join)

    def _meet_rival(self, following: Following | None) -> None:
        """Where two went on, the branch of one lost: its records are no longer in force, its joins are kept."""
        assert following is not None, "they met in the cloud"
        for book in self.books.values():
            book.promised = min(book.promised, self._in_cloud(book))
        self.forked = not following.seat.healthy

    def _in_cloud(self, book: GuildBook) -> int:
        """Up to which seq the cloud holds the chain in force."""
        sky = self._sky
        assert sky is not None, "asked where there is one"
        return next((seq for seq, frame in enumerate(book.frames) if not sky.holds(frame)), len(book.frames))

    # The store

    @ends_the_run
    def given(self, layer: str, frames: Sequence[Frame]) -> None:
        """A layer is asked to take these frames."""
        for frame in frames:
            self.book(frame.record.guild).note(frame)
        if layer == "database":
            i.log_goes_first(self.holding(frames[-1]), frames[-1], log_works=self._log_works())

    def _log_works(self) -> bool:
        assert self._process is not None, "asked while a process runs"
        return any(health.name == "log" and health.healthy for health in self._process.store.health())

    @ends_the_run
    def started(self, store: Store, report: StartReport) -> None:
        """A start, or a new epoch, is over: every guild's head is named."""
        self.note(f"epoch {report.epoch}, led by {report.leader}")
        self._tell_start(report)
        for first, last in report.missing:
            self.lost.update(range(first, last + 1))
        if self.forked:
            self._meet_rival(store.following)
        for guild, book in self.books.items():
            self._came_back(book, store.head_of(guild), report.leader)

    def wants_open(self, guild: GuildId, incarnation: int) -> None:
        self._opening[guild].append(incarnation)

    def voided(self) -> None:
        """The journal's queue was thrown away."""
        self._opening.clear()
        self._appending.clear()
        self._keeping.clear()

    @ends_the_run
    def opened(self, guild: GuildId, opened: Opened) -> None:
        book = self.book(guild)
        if self._opening[guild]:
            book.incarnation = self._opening[guild].popleft()
        self.note(f"opened {guild} from {opened.layer}")
        self._tell_opened(opened)
        self._came_back(book, opened.head, opened.layer)
        if opened.checkpoint is not None:
            seq = opened.checkpoint.header.seq
            i.replay_is_live(book, seq, opened.checkpoint.pages, "the checkpoint that was read")
        if opened.head is not None:
            frame = book.frames[opened.head.seq - 1]
            i.durable_in((), self.holding(frame) or self._standing_for(frame, opened), frame, degraded=True)
            book.confirmed = opened.head.seq

    def failed_to_open(self, guild: GuildId) -> None:
        if self._opening[guild]:
            self._opening[guild].popleft()

    def wants_append(self, guild: GuildId, incarnation: int, drafts: tuple[r.Draft, ...]) -> None:
        self._appending[guild].append((incarnation, drafts))

    def gave_up_append(self, guild: GuildId, drafts: tuple[r.Draft, ...]) -> None:
        """An append was refused."""
        waiting = self._appending[guild]
        self._appending[guild] = [each for each in waiting if each[1] is not drafts]

    @ends_the_run
    def appended(self, appends: Sequence[Append], results: Sequence[Appended | Fenced]) -> None:
        """The layers took a batch."""
        self.seen["batch of several guilds"] += len(appends) > 1
        for append, result in zip(appends, results, strict=True):
            incarnation = self._life_of(append)
            if isinstance(result, Fenced):
                self.seen["stale base refused"] += 1
                continue
            book = self.book(append.guild)
            i.newest_life_appends(book, incarnation)
            self._extend(book, [book.frame(each) for each in result.records])
            if len(result.durable_in) < len(NEARBY):
                self.seen["append into one layer only"] += 1

    def queued(self, following: Following | None) -> None:
        """What the layers took waits for the cloud now, if there is one."""
        if following is not None and following.behind() > len(following._waiting) + len(following._piece):
            self.seen["queue for the cloud overflowed"] += 1

    @ends_the_run
    def committed(self, guild: GuildId, committed: Committed) -> None:
        """An append has returned to whoever asked for it."""
        book = self.book(guild)
        for record in committed.records:
            frame = book.frame(record)
            i.durable_in(self._named, self.holding(frame), frame, degraded=committed.degraded)
        last = committed.records[-1]
        book.confirmed = max(book.confirmed, last.seq)
        if committed.degraded:
            self.seen["degraded append"] += 1
        else:
            book.promised = max(book.promised, last.seq)
        self.note(f"{guild} appended up to {last.seq}")

    def wants_checkpoint(self, incarnation: int, pages: tuple[bytes, ...]) -> None:
        self._keeping.append((incarnation, pages))

    @ends_the_run
    def checkpointed(self, guild: GuildId, head: Head, pages: tuple[bytes, ...]) -> None:
        """A checkpoint is to be kept."""
        book = self.book(guild)
        place = next(place for place, (_, each) in enumerate(self._keeping) if each is pages)
        incarnation, _ = self._keeping.pop(place)
        i.newest_life_keeps(book, incarnation, head)
        i.not_ahead(book, head.seq, "a checkpoint")
        i.replay_is_live(book, head.seq, pages, "a checkpoint")
        self.seen["checkpoint"] += 1

    def holding(self, frame: Frame) -> tuple[str, ...]:
        """The layers in which a frame is durable now."""
        assert self._platter is not None, "asked while a process runs"
        held = (
            self._platter.holds(digest_in(frame.data)),
            self.database._frames.get(frame.record.gsn) == frame.data,
            self._sky is not None and self._sky.holds(frame),
        )
        return _named(held)

    def _standing_for(self, frame: Frame, opened: Opened) -> tuple[str, ...]:
        """The layers with a durable checkpoint right behind a frame that a start has said is lost."""
        assert self._platter is not None, "asked while a process runs"
        kept = opened.checkpoint
        if frame.record.gsn not in self.lost or kept is None or kept.header.seq != frame.record.seq:
            return ()
        first_line = pack(kept).partition(b"\n")[0]  # the file is synced as a whole
        held = (
            self._platter.holds(digest_in(first_line)),
            kept in self.database._checkpoints.get(kept.header.guild, ()),
            False,
        )
        return _named(held)

    async def judge(self, store: Store) -> None:
        """Opens what the last power cut left, with a store that has seen nothing of it."""
        report = await store.start()
        for guild, book in self.books.items():
            opened = await store.open_guild(guild)
            self._came_back(book, opened.head, report.leader)
            state = from_pages(opened.checkpoint.pages) if opened.checkpoint else GuildState(guild=guild)
            for record in opened.tail():
                evolve(state, record)
            i.replay_is_live(book, state.seq, i.bytes_of(state), "what the last power cut left")
            if not self.lost:
                i.joins_survive(self.acknowledged[guild], book.records)

    def judge_restarts(self, hits: Mapping[str, int], *, storage_failed: bool) -> None:
        """At the end of a life of the process; ``hits``: how often a fault struck a child, by its name.

        A death of the journal, and an epoch that ends, may each cost every guild one life; where storage failed, a
        life may have found nothing to read.
        """
        shared = self.incidents + self.restarts["journal"]
        for child, restarts in self.restarts.items():
            unread = self.unread[child] if storage_failed else 0
            allowed = hits.get(child, 0) + unread + (shared if child.startswith("guild/") else 0)
            i.restarts_are_deserved(child, restarts, allowed, self.reasons[child])

    def _life_of(self, append: Append) -> int:
        waiting = self._appending[append.guild]
        for place, (incarnation, drafts) in enumerate(waiting):
            if drafts is append.drafts:  # a successor's may be equal: it handles the same message
                del waiting[place]
                return incarnation
        raise Violation("I4", f"guild {append.guild}: an append that nobody asked for")

    def _extend(self, book: GuildBook, frames: Sequence[Frame]) -> None:
        last = book.frames[-1] if book.frames else None
        taken = self._credits[book.guild]
        for frame in frames:
            i.chain_goes_on(last, frame)
            taken.take(frame.record.event)
            last = frame
            self._tell_event(frame.record.event)
        book.extend(frames)

    def _tell_event(self, event: r.Event) -> None:
        match event:
            case r.VerdictReached():
                self.seen["superseding verdict"] += bool(event.supersedes)
                if event.status in TOLD:
                    self.seen[f"verdict {event.status}"] += 1
            case r.CreditGranted(kind="vip"):
                self.seen["VIP credited"] += 1
            case r.AuditRead():
                self.seen["audit log read"] += 1
            case r.JoinAnnounced():
                self.seen["join announced"] += 1
                self.seen["message edited"] += event.verdict > 1
            case _:
                pass

    def _came_back(self, book: GuildBook, head: Head | None, leader: str) -> None:
        if self.lost:  # the disk rotted where no other layer had the records, and it was said
            book.promised = min(book.promised, head.seq if head is not None else 0)
        i.recovery_reaches(book, head, leader, LAYERS)
        known = len(book.frames)
        shared = book.follow(head)
        if self.lost:
            book.promised = min(book.promised, shared)
        i.acknowledged_is_there(book, shared, len(book.frames))
        if shared < known:
            self.seen["unacknowledged records gone"] += 1
        if shared < len(book.frames):
            self.seen["unknown outcome had happened"] += 1
        if shared < known:
            self._credits[book.guild] = Credits()
            self._count(book, 0)
        elif shared < len(book.frames):
            self._count(book, shared)

    def _count(self, book: GuildBook, after_seq: int) -> None:
        """The credits of the chain in force; those up to a seq are counted already."""
        taken = self._credits[book.guild]
        last = book.frames[after_seq - 1] if after_seq else None
        for frame in book.frames[after_seq:]:
            i.chain_goes_on(last, frame)
            taken.take(frame.record.event)
            last = frame

    # Guild actors

    @ends_the_run
    def restored(self, actor: GuildActor) -> None:
        """A life has its state."""
        book = self.book(actor.guild)
        i.replay_is_live(book, actor.state.seq, i.bytes_of(actor.state), "a life that was restored")
        if actor.guild in self._asleep:
            self._asleep.discard(actor.guild)
            self.seen["woken"] += 1

    @ends_the_run
    def deciding(self, actor: GuildActor, message: m.Message) -> None:
        in_hand = self._held_by(actor)._in_hand
        i.decided_once(self._decided.get(actor.guild), actor.incarnation, in_hand)
        self._decided[actor.guild] = actor.incarnation, in_hand
        if isinstance(message, m.NoteGap):
            self.seen["gap noted"] += 1

    @ends_the_run
    def appending(self, actor: GuildActor) -> None:
        i.not_ahead(self.book(actor.guild), actor.state.seq, "appending on a state")

    @ends_the_run
    def evolving(self, actor: GuildActor, record: r.Record) -> None:
        i.not_ahead(self.book(actor.guild), record.seq, "evolving")

    @ends_the_run
    def published(self, actor: GuildActor, before: Phase, decision: Decision) -> None:
        self._held_by(actor)
        book, after = self.book(actor.guild), actor.presence.phase
        i.not_ahead(book, actor.state.seq, "publishing")
        i.decision_is_durable(book, actor.state.seq, decision.drafts, "publishing")
        i.phase_follows_table(before, after)
        if after is Phase.LIVE:
            i.live_at_head(book, actor.state, actor.presence.session)

    @ends_the_run
    def acting(self, actor: GuildActor, decision: Decision) -> None:
        self._held_by(actor)
        book = self.book(actor.guild)
        i.decision_is_durable(book, actor.state.seq, decision.drafts, "acting")
        self._due[actor.guild] = list(errands(book.state, actor.presence)[1])

    @ends_the_run
    def effect(self, guild: GuildId, effect: Effect | Request) -> None:
        self.note(f"{guild} {type(effect).__name__}")
        i.effects_in_turns(self._address(guild).stage, guild)

    @ends_the_run
    def errand(self, guild: GuildId, effect: Request) -> None:
        self.effect(guild, effect)
        i.errand_is_due(self._due[guild], effect, guild)
        self._due[guild].remove(effect)

    def _held_by(self, actor: GuildActor) -> GuildAddress:
        """The address whose mailbox this life holds."""
        address = self._address(actor.guild)
        i.holder_takes_and_acts(address.holder, actor.incarnation, address.name)
        return address

    # People

    def asked(self, guild: GuildId, message: m.Message, timeout_s: float) -> None:
        self.note(f"{guild} asked {type(message).__name__} for {timeout_s}")

    @ends_the_run
    def answered(self, guild: GuildId, message: m.Message, outcome: Outcome[Answer]) -> None:
        self.note(f"{guild} answered {outcome.kind}")
        self.seen[f"ask {outcome.kind}"] += 1
        address = self._address(guild)
        waiting = [ask for lane in address._lanes for envelope in lane for ask in envelope.asks]
        waits = any(_was_told(ask.reply, outcome) for ask in waiting)
        i.answered_or_still_waiting(outcome, waits=waits, message=message)
        i.answered_at_the_end(outcome, waits=waits, message=message)

    # The log

    @ends_the_run
    def line(self, line: Line) -> None:
        self.note(line.event)
        if line.event in COUNTED:
            self.seen[COUNTED[line.event]] += 1
        hear = HEARD.get(line.event)
        if hear is not None:
            hear(self, line.fields)

    def _restarted(self, fields: Mapping[str, object]) -> None:
        child, why = str(fields["child"]), str(fields["why"])
        self.restarts[child] += 1
        self.reasons[child].append(why)
        self.died(child, why)

    @ends_the_run
    def died(self, child: str, why: str) -> None:
        """A life of a child ended, here or in another process."""
        strange = "Error(" in why or "Illegal" in why
        i.no_bug_of_ours(f"{child} died of {why}", not strange or _is_planted(why))

    def _buried(self, fields: Mapping[str, object]) -> None:
        error = str(fields["error"])
        i.no_bug_of_ours(f"{fields['message']} was buried: {fields['traceback']}", _is_planted(error))

    def _job_failed(self, fields: Mapping[str, object]) -> None:
        i.no_bug_of_ours(f"the job {fields['job']} failed: {fields['traceback']}", planted=False)

    def _acknowledged(self, fields: Mapping[str, object]) -> None:
        guild = GuildId(str(fields["guild"]))
        book, seq = self.book(guild), fields["seq"]
        assert isinstance(seq, int), "a seq is a number"
        frame = book.frames[seq - 1]
        i.durable_in(self._named, self.holding(frame), frame, degraded=False)
        book.promised = max(book.promised, seq)
        joined_at_ms = fields["joined_at_ms"]
        assert isinstance(joined_at_ms, int), "milliseconds"
        self.acknowledged[guild].add((UserId(str(fields["user"])), joined_at_ms))

    def _incident(self, fields: Mapping[str, object]) -> None:
        del fields
        self.incidents += 1

    def _not_restored(self, fields: Mapping[str, object]) -> None:
        """A life found no layer that could be read; there has to be a reason."""
        self.unread[f"guild/{fields['guild']}"] += 1

    def _passivated(self, fields: Mapping[str, object]) -> None:
        self._asleep.add(GuildId(str(fields["guild"])))

    def _lingered(self, fields: Mapping[str, object]) -> None:
        child = str(fields["child"]).partition("/")[0]
        self.seen[f"zombie {child} left behind" if child == "guild" else f"zombie {child} waited for"] += 1

    def _tell_start(self, report: StartReport) -> None:
        text = "; ".join(report.notes)
        for mark, state in NOTED.items():
            self.seen[state] += mark in text
        self.seen["hole reported"] += bool(report.missing)
        self.seen[f"recovery led by {report.leader}"] += 1
        self.seen["wiped folder came back"] += self._empty and report.leader == "cloud"
        self._empty = False

    def _tell_opened(self, opened: Opened) -> None:
        origin = "the beginning" if opened.checkpoint is None else "a checkpoint"
        tail = " and a tail" if opened.lines else ""
        self.seen[f"rehydrated from {origin}{tail}"] += opened.head is not None
        self.seen[f"rehydrated from the {opened.layer}"] += opened.head is not None

    def _address(self, guild: GuildId) -> GuildAddress:
        assert self._process is not None, "asked while a process runs"
        return self._process.supervisor.roster.addresses()[guild]


TOLD: Final = frozenset(
    {r.Status.CONFIRMED, r.Status.REPORTED, r.Status.CONFLICT, r.Status.NON_INVITE, r.Status.MANUAL}
)

COUNTED: Final = {
    "guild.parked": "parked",
    "guild.revived": "revived",
    "breaker.opened": "breaker open",
    "letter.buried": "dead letter",
    "layer.recovered": "caught up",
    "layer.failed": "layer failed",
    "cloud.failed": "cloud failed",
    "cloud.recovered": "cloud recovered",
    "holder.silent": "standby waited",
    "branch.salvaged": "branch salvaged",
    "epoch.taken": "epoch taken anew",
    "storage.stalled": "storage stalled",
    "storage.refused": "batch refused",
    "guild.passivated": "passivated",
    "turn.hung": "hung turn ended",
    "journal.hung": "journal hung",
    "drain.cut_short": "drain cut short",
    "checkpoint.failed": "checkpoint failed",
    "guild.restore_failed": "restore failed",
    "join.recorded_unacknowledged": "join not yet acknowledged",
    "member.forgotten": "member forgotten",
    "guild.forgotten": "guild forgotten",
}
"""Rare states that the log tells of."""

HEARD: Final[Mapping[str, Callable[[Oracle, Mapping[str, object]], None]]] = {
    "actor.restarted": Oracle._restarted,
    "letter.buried": Oracle._buried,
    "job.failed": Oracle._job_failed,
    "join.acknowledged": Oracle._acknowledged,
    "epoch.taken": Oracle._incident,
    "guild.restore_failed": Oracle._not_restored,
    "storage.refused": Oracle._incident,
    "guild.passivated": Oracle._passivated,
    "actor.lingered": Oracle._lingered,
}

NOTED: Final = {
    "never whole": "torn tail cut",
    "LOST BRANCH": "branch set aside",
    "put back from another layer": "rot mended",
    "records from database": "log fed by the database",
    "records from log": "database fed by the log",
}
"""Rare states that a recovery's notes tell of."""


def _named(held: tuple[bool, bool, bool]) -> tuple[str, ...]:
    return tuple(name for name, holds in zip(LAYERS, held, strict=True) if holds)


def _is_planted(error: str) -> bool:
    return any(mark in error for mark in PLANTED)


def _was_told(reply: "asyncio.Future[Outcome[Answer]]", outcome: Outcome[Answer]) -> bool:
    """Whether this reply is that outcome; one whose asker is gone was cancelled and tells nobody anything."""
    return reply.done() and not reply.cancelled() and reply.result() is outcome
