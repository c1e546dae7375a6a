"""The invariants of docs/testing.md, each a function: it says what is broken, or "" when it holds.

A check that says something raises ``Violation`` with the invariant's name (``invariant``). Each docstring tells when
it is asked, and which bug would break it. They read what the oracle's books know (``book.py``) and what the disk and
the database really hold, never what the program believes.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from typing import Final, ParamSpec

from actors.asks import Answered, Outcome
from actors.mailbox import Stage
from ledger import messages as m
from ledger import records as r
from ledger.answers import Answer
from ledger.effects import Request
from ledger.ids import NO_COUNTER, InviteCode, UserId, is_tombstone
from ledger.judging import CLASH
from ledger.phases import MOVES, Phase
from ledger.records import Status
from ledger.samples import SKEW_US
from ledger.state import GuildState, Period, Posted, pages_of
from persistence.cloud_epochs import Claim
from persistence.frames import Frame
from persistence.layer import Head
from tests.simulation.book import GuildBook
from tests.simulation.outside import Shelf
from tests.simulation.town import Identity, Joined
from tests.simulation.violation import Violation

P = ParamSpec("P")

CLAIMS_IF_TRUE: Final = frozenset({Status.CERTAIN, Status.CONFIRMED, Status.INVITER_CERTAIN, Status.REPORTED})


INVARIANTS: Final[dict[str, str]] = {}
"""What each invariant is, by its name."""


def invariant(name: str) -> Callable[[Callable[P, str]], Callable[P, None]]:
    """Makes a check that raises of a function that says what is broken."""

    def make(check: Callable[P, str]) -> Callable[P, None]:
        INVARIANTS.setdefault(name, (check.__doc__ or "").partition("\n")[0])

        @wraps(check)
        def asked(*args: P.args, **kwargs: P.kwargs) -> None:
            broken = check(*args, **kwargs)
            if broken:
                raise Violation(name, broken)

        return asked

    return make


@invariant("I1")
def acknowledged_is_there(book: GuildBook, shared: int, head_seq: int) -> str:
    """What was acknowledged is in the durable state, after each recovery and after the last power cut.

    Asked when a recovery or an ``open`` has named a guild's head; ``shared``: up to where its chain is the one known.
    Broken by an answer before the fsync, a folder that is not synced, a branch with acknowledged records set aside.
    """
    if shared < book.promised:
        return (
            f"guild {book.guild}: acknowledged up to seq {book.promised}, but from seq {shared + 1} on other records "
            f"(or none) are in force; the head is {head_seq}"
        )
    return ""


@invariant("I1")
def joins_survive(joins: Collection[tuple[UserId, int]], records: Sequence[r.Record]) -> str:
    """Each join that was said to be acknowledged is among the records that the last power cut left.

    What a branch that lost knew of a guild or a member that either branch forgot is recorded without the name, or not
    at all; of the millisecond in which a guild was forgotten nobody can say. Broken by ``join.acknowledged`` told too
    early, or of a join that is not in the batch.
    """
    forgotten_us = max(
        (each.event.until_us for each in records if isinstance(each.event, r.GuildForgotten)), default=0
    )
    events = [each.event for each in records if isinstance(each.event, r.JoinRecorded)]
    left = {(event.user, event.joined_at_us // 1_000) for event in events}
    nameless = {event.joined_at_us // 1_000 for event in events if is_tombstone(event.user)}
    gone = [
        join for join in joins if join not in left and join[1] not in nameless and join[1] > forgotten_us // 1_000
    ]
    return f"acknowledged and gone: {gone[:3]} of {len(gone)}" if gone else ""


@invariant("I2")
def one_net_credit(credits_: Mapping[tuple[int, str], UserId], joins: Collection[int], event: r.Event) -> str:
    """A join is recorded once and has at most one net credit, which belongs to a join.

    Asked of each event that becomes durable, with the credits (by joined_at) and joins before it. Broken by handling
    a redelivery as news, by a superseding verdict that does not reverse, by a credit without a join.
    """
    match event:
        case r.JoinRecorded() if event.joined_at_us in joins:
            return f"the join of {event.user} at {event.joined_at_us} is recorded twice"
        case r.CreditGranted() if (event.opened_us, event.kind) in credits_:
            return f"a second credit for the join of {event.user} at {event.opened_us}"
        case r.CreditGranted(kind="join") if event.opened_us not in joins:
            return f"a credit for a join that is not recorded: {event.user} at {event.opened_us}"
        case r.CreditReversed():
            return _reversal(credits_.get((event.opened_us, event.kind)), event)
        case _:
            return ""


def _reversal(holder: UserId | None, event: r.CreditReversed) -> str:
    if holder is None:
        return f"a credit that does not exist is reversed: {event.user} at {event.opened_us}"
    renamed = is_tombstone(holder) or is_tombstone(event.staff)
    return "" if renamed or holder == event.staff else f"{event.staff} loses a credit that {holder} holds"


@invariant("I3")
def chain_goes_on(before: Frame | None, frame: Frame) -> str:
    """By guild: seq without gaps, the epoch never falls, one record a seq, the log's number rises.

    Asked of each record that becomes durable. Broken by a stale base that is not refused, by two writers, by numbers
    that are used again after an unknown outcome.
    """
    last = before.record if before is not None else None
    record = frame.record
    if record.seq != (last.seq + 1 if last else 1):
        return f"guild {record.guild}: seq {record.seq} behind {last.seq if last else 0}"
    if last and (record.epoch < last.epoch or record.gsn <= last.gsn):
        return f"guild {record.guild}: epoch {record.epoch}, gsn {record.gsn} behind {last.epoch}, {last.gsn}"
    return ""


@invariant("I4")
def newest_life_appends(book: GuildBook, incarnation: int) -> str:
    """After an ``open``, no append of an older incarnation is accepted.

    Asked of each append that a layer took. Broken by a journal without a fence, or an ``open`` that is no barrier.
    """
    if incarnation < book.incarnation:
        return f"guild {book.guild}: life {incarnation} appended after life {book.incarnation} had opened"
    return ""


@invariant("I4")
def newest_life_keeps(book: GuildBook, incarnation: int, head: Head) -> str:
    """After an ``open``, no checkpoint of an older incarnation is kept, unless it is of the newest record.

    Asked before a layer gets it. Broken by a journal that fences appends only: what was forgotten would come back.
    """
    if incarnation < book.incarnation and head.seq < len(book.frames):
        return f"guild {book.guild}: life {incarnation} keeps seq {head.seq} after life {book.incarnation} had opened"
    return ""


@invariant("I4")
def stale_behind_another(claim: Claim, writer: str, began_ms: int) -> str:
    """Who is told that it was overtaken, was: by another folder, or by a claim of a dead life that arrived late.

    Asked when a process ends for it, with the newest claim. Broken by a process that shuts itself out.
    """
    own = claim.writer == writer and claim.at_ms >= began_ms
    return f"stale behind its own epoch {claim.epoch}" if own else ""


@invariant("I4")
def holder_takes_and_acts(holder: int, incarnation: int, name: str) -> str:
    """Only the life that holds the mailbox takes from it, publishes, answers and acts.

    Asked when a message is decided on, and when that is published and acted on. Broken by a mailbox that a zombie can
    still read, by a turn that goes on although it was replaced while it appended.
    """
    return "" if holder == incarnation else f"{name}: life {incarnation} is at work, life {holder} holds the mailbox"


@invariant("I5")
def answered_or_still_waiting(outcome: Outcome[Answer], *, waits: bool, message: m.Message) -> str:
    """Each ask is answered once; one that ran out of time has its message still in the mailbox.

    Asked when an ask returns. Broken by an envelope that leaves the mailbox without its answer.
    """
    if outcome.kind is Answered.DEADLINE and not waits:
        return f"{type(message).__name__} left the mailbox and was never answered"
    if outcome.kind in (Answered.OK, Answered.DEGRADED) and outcome.answer is None:
        return f"{type(message).__name__} was answered {outcome.kind} with nothing"
    return ""


@invariant("I5")
def answered_when_well(outcome: Outcome[Answer], message: m.Message) -> str:
    """After the healing every question is answered, ok.

    Broken by a mailbox that nobody reads, an ask whose future nobody resolves.
    """
    return "" if outcome.kind is Answered.OK else f"{type(message).__name__}: {outcome.kind} {outcome.text}"


@invariant("I6")
def durable_in(names: Collection[str], holding: Collection[str], frame: Frame, *, degraded: bool) -> str:
    """An append returns when its records are durable: in every named layer, or, degraded, in any.

    Asked with what the disk and the database hold at that moment. Broken by an answer before the fsync, or by a batch
    that is called whole while a layer lacks it.
    """
    record = frame.record
    if degraded:
        return "" if holding else f"guild {record.guild}, seq {record.seq} is durable nowhere"
    lacking = sorted(set(names) - set(holding))
    return f"guild {record.guild}, seq {record.seq} is not durable in {', '.join(lacking)}" if lacking else ""


@invariant("I6")
def log_goes_first(holding: Collection[str], frame: Frame, *, log_works: bool) -> str:
    """The log is the commit point: the database gets what the log has, or what a broken log cannot take.

    Asked when the database is given a batch, with its last frame. Broken by writing the database first.
    """
    ahead = log_works and "log" not in holding
    return f"the database is given gsn {frame.record.gsn} before the log has it" if ahead else ""


@invariant("I6")
def answered_at_the_end(outcome: Outcome[Answer], *, waits: bool, message: m.Message) -> str:
    """Who is told ok is told it at the end of the turn: the records are durable and the message is gone.

    Asked when an ask returns. Broken by an answer before the append.
    """
    done = outcome.kind in (Answered.OK, Answered.DEGRADED)
    return f"{type(message).__name__} was answered {outcome.kind} before its turn was over" if done and waits else ""


@invariant("I6")
def not_ahead(book: GuildBook, seq: int, what: str) -> str:
    """Nothing evolved, published, answered or done is ahead of what is durable.

    Asked at each of these. Broken by applying before the append, by an effect before the journal.
    """
    if seq > book.confirmed:
        return f"guild {book.guild}: {what} at seq {seq}, durable is {book.confirmed}"
    return ""


@invariant("I6")
def decision_is_durable(book: GuildBook, seq: int, drafts: Sequence[r.Draft], what: str) -> str:
    """What follows from a decision comes after its records.

    Asked when a decision is published, and when its effects are handed over. Broken by acting before the append.
    """
    if not drafts:
        return ""
    key = book.frames[seq - 1].record.key if 0 < seq <= len(book.frames) else None
    return "" if key == drafts[-1].key else f"guild {book.guild}: {what} before {drafts[-1].key} was durable"


@invariant("I6")
def errand_is_due(due: Collection[Request], errand: Request, guild: str) -> str:
    """Discord is asked and shown what follows from the durable state, once.

    Asked of each errand, with those that follow. Broken by a life that forgets what it has asked for already.
    """
    return "" if errand in due else f"guild {guild}: {errand} does not follow from what is durable"


@invariant("I7")
def phase_follows_table(before: Phase, after: Phase) -> str:
    """A guild's phase changes along the table only.

    Asked when a decision is published. Broken by a handler that sets a phase by hand.
    """
    return "" if after is before or after in MOVES[before] else f"{before} → {after}"


@invariant("I7")
def live_at_head(book: GuildBook, state: GuildState, session: str) -> str:
    """``live`` only at the durable head and with a baseline.

    Asked when a guild is published as live. Broken by a life that goes on without having read everything.
    """
    if state.baseline is None:
        return f"guild {book.guild} is live without a baseline, in session {session}"
    if state.seq < book.promised:
        return f"guild {book.guild} is live at seq {state.seq}, acknowledged is {book.promised}"
    return ""


@invariant("I8")
def restarts_are_deserved(child: str, restarts: int, allowed: int, why: Sequence[str]) -> str:
    """Restarts are bounded by the faults that hit the guild, or the storage below it; without any there is none.

    Asked at the end of each life of the process. Broken by a supervisor that restarts what is well.
    """
    if restarts > allowed:
        return f"{child} restarted {restarts} times, {allowed} were deserved: {list(why)[-4:]}"
    return ""


@invariant("I8")
def decided_once(before: tuple[int, object] | None, incarnation: int, envelope: object) -> str:
    """A life decides on what is in hand once: who tries again is the supervisor, and it counts.

    Asked when a message is decided on. Broken by a handler with retries of its own.
    """
    again = before is not None and before[0] == incarnation and before[1] is envelope
    return f"life {incarnation} decides on the same message again" if again else ""


@invariant("I9")
def recovery_reaches(book: GuildBook, head: Head | None, leader: str, layers: Collection[str]) -> str:
    """Recovery is never below the highest acknowledged seq, and says which layer it took.

    Asked after each start and each ``open``. Broken by a recovery that takes an older layer, or stops at a hole.
    """
    seq = head.seq if head is not None else 0
    if seq < book.promised:
        return f"guild {book.guild} came back at seq {seq}, acknowledged was {book.promised}"
    return "" if leader in layers else f"it does not say which layer it took: {leader!r}"


@invariant("I10")
def healed(unwell: Sequence[str], waited_s: float) -> str:
    """After the faults are over all guilds are live, mailboxes empty, no zombies, within a bound of virtual time.

    Broken by a lost wake-up, a retry that never comes, a lock that a dead life holds.
    """
    return f"after {waited_s:.0f} s: {'; '.join(unwell)}" if unwell else ""


@invariant("I10")
def members_are_known(guild: str, there: Collection[UserId], known: Collection[UserId]) -> str:
    """After the healing whoever is a member has an open membership, and nobody else.

    Broken by a dispatch that is lost without a gap mark, a member list that is not compared.
    """
    missing, extra = sorted(set(there) - set(known)), sorted(set(known) - set(there))
    if missing or extra:
        return f"guild {guild}: {missing[:3]} are members and not known, {extra[:3]} are known and no members"
    return ""


@invariant("I11")
def replay_is_live(book: GuildBook, seq: int, pages: Sequence[bytes], what: str) -> str:
    """What is replayed, from the beginning or from a checkpoint, is bit-equal to what was lived.

    Asked of each life that has its state, and of each checkpoint. Broken by a checkpoint at another seq than it says,
    by one of a state that still changes, by an ``evolve`` that looks at anything but state and record.
    """
    if seq > len(book.frames):
        return f"guild {book.guild}: {what} at seq {seq}, recorded are {len(book.frames)}"
    return "" if book.pages_at(seq) == tuple(pages) else f"guild {book.guild}: {what} at seq {seq} is another state"


@invariant("I11")
def effects_in_turns(stage: Stage, guild: str) -> str:
    """Effects come at the end of a turn; a replay has none.

    Asked of each effect. Broken by a handler that acts while it decides or evolves.
    """
    return "" if stage is Stage.ACTING else f"guild {guild}: an effect while {stage}"


@invariant("I12")
def same_trace(first: int, second: int) -> str:
    """The same seed gives the same trace.

    Asked by running a seed twice. Broken by a real clock, by hash order, by ids in what decides.
    """
    return "" if first == second else f"{first:08x} and {second:08x}"


@invariant("T1")
def no_claim_is_wrong(
    guild: str,
    verdicts: Mapping[tuple[UserId, int], tuple[Status, InviteCode | None]],
    truth: Mapping[tuple[UserId, int], Joined],
    *,
    truthful: bool,
) -> str:
    """A verdict that credits names the invite that was really used; ``truthful``: so does the second witness.

    Asked of the verdicts in force at the end. Broken by a window that is closed while a join's event may still come,
    by a gap that does not break continuity.
    """
    claims = CLAIMS_IF_TRUE if truthful else {Status.CERTAIN}
    for (user, opened_us), (status, code) in verdicts.items():
        joined = truth.get((user, opened_us))
        if status in claims and joined is not None and code is not None and joined.code != code:
            return f"guild {guild}: {user} at {opened_us} joined with {joined.code}, {status} says {code}"
    return ""


@invariant("T2")
def truth_is_a_candidate(
    guild: str,
    candidates: Mapping[tuple[UserId, int], Collection[InviteCode]],
    truth: Mapping[tuple[UserId, int], Joined],
    told_of: tuple[Collection[Identity], int],
) -> str:
    """Wherever a verdict names candidates, the invite that was really used is one of them.

    Uses that no two samples show (counted by the first one already, or of invites that nobody told of) are part of
    NI as well. Asked of the verdicts in force at the end. Broken by an invite that is excluded too early.
    """
    known, first_us = told_of
    for (user, opened_us), named in candidates.items():
        joined = truth.get((user, opened_us))
        if not named or joined is None:
            continue
        unseen = joined.invite not in known or opened_us <= first_us + SKEW_US
        if joined.code not in named and not (unseen and NO_COUNTER in named):
            return f"guild {guild}: {user} at {opened_us} joined with {joined.code}, the candidates are {named}"
    return ""


@invariant("T3")
def person_has_the_last_word(decided: Collection[int], event: r.Event) -> str:
    """What a person decided of a join, no machine supersedes.

    Asked of each verdict that becomes durable, with the joins (by joined_at) that people decided. Broken by solving
    a window again without looking.
    """
    machine = isinstance(event, r.VerdictReached) and event.status is not Status.MANUAL
    if machine and event.opened_us in decided:
        return f"{event.status} supersedes what a person decided of {event.user} at {event.opened_us}"
    return ""


@invariant("T4")
def channel_shows(guild: str, period: Period, posted: Posted, shelf: Shelf | None) -> str:
    """A join that was announced is shown as of its last verdict.

    Asked at the end, when nothing waits to be shown. Broken by an outbox that is emptied too early, by believing
    that a deduplicated message shows what was sent last.
    """
    said = (period.status, period.code)
    if shelf is None or posted.message != shelf.message:
        return f"guild {guild}: the message of {period.opened_us} is not in the channel"
    if posted.verdict != period.verdicts or shelf.said != said:
        return f"guild {guild}: {period.opened_us} is {said}, the channel shows {shelf.said} of {posted.verdict}"
    return ""


@invariant("B1")
def no_bug_of_ours(what: str, planted: bool) -> str:  # noqa: FBT001 -- it reads well where it is called
    """Nothing dies of anything but what the simulation did to it.

    Asked of each death, dead letter and failed job. Broken by an assertion, an illegal move, an error nobody expects.
    """
    return "" if planted else what


def bytes_of(state: GuildState) -> tuple[bytes, ...]:
    """A state as a checkpoint would hold it."""
    return tuple(pages_of(state))


@invariant("T5")
def true_reports_do_not_clash(guild: str, state: GuildState) -> str:
    """What the second witness truly says of several joins is never called a contradiction.

    Asked at the end, where it is truthful and nobody came by an invite that the bot was not told of, since a code can
    come back. Broken by a use that is taken for a join's of the window, and is of before
    it, or of somebody who was never seen.
    """
    clashing = [
        f"{user} at {period.opened_us}"
        for user, periods in state.members.items()
        for period in periods
        if period.reason == CLASH
    ]
    return f"guild {guild}: reports are true, and clash: {clashing[:5]}" if clashing else ""


@invariant("I2")
def no_key_is_used_twice(guild: str, records: Sequence[r.Record]) -> str:
    """No two records of a guild have one key: a database refuses the second, and is brought back behind it.

    Asked at the end. Broken by two decisions that count from different numbers.
    """
    twice = [key for key, times in Counter(record.key for record in records).items() if times > 1]
    return f"guild {guild}: the keys {twice[:3]} are used twice" if twice else ""


@invariant("I2")
def upgrade_is_credited_once(guild: str, state: GuildState) -> str:
    """Where an owner wants it once for life, one membership of a member at most has the credit for the upgrade.

    Asked at the end. Broken by looking at one membership alone.
    """
    for user, periods in state.members.items():
        credited = [period.opened_us for period in periods if period.vip_credited]
        if len(credited) > 1 and state.settings.vip_once == "life":
            return f"guild {guild}: {user} was upgraded once, credited are {credited}"
    return ""
