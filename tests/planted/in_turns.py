"""Bugs of turns, checkpoints and supervision: what is done too early, twice, by mistake, or never.

Those that a kill at an await brings to light are in ``in_actors.py``.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final

import msgspec

from actors import guild, runtime
from actors.acknowledging import Acknowledging
from actors.guild import GuildActor
from actors.journal import Journal
from actors.mailbox import Address, Envelope, Revoked, Stage
from actors.runtime import Behaviour
from actors.supervision import Child, GuildChild, Recoveries
from ledger import decide
from ledger.decision import Decision
from ledger.effects import ListMembers
from ledger.errands import errands
from ledger.errors import Fenced, StorageError
from ledger.ids import GuildId
from ledger.phases import Phase
from ledger.records import Draft, JoinRecorded, Record
from ledger.state import MEMBERS_PER_PAGE, GuildState, pages_of
from persistence.chains import NO_HEAD, head_of
from persistence.frames import Frame
from persistence.numbering import Append, Numbering
from persistence.rehydration import Opened, open_guild
from persistence.store import Appended, Store
from supervisor import Supervisor
from tests.planted.bug import Bug, Origin, Swap

_act: Final = GuildActor.act
_append: Final = GuildActor.append
_arrival: Final = Address.arrival
_decide: Final = runtime._decide
_take: Final = Numbering.take
_tell: Final = Acknowledging.tell
_guild_died: Final = Supervisor._guild_died
_replay: Final = GuildActor._replay


# Turns


async def arrival_awaited_deaf(address: Address[Any, Any]) -> None:
    """Waits on, whatever the supervisor says."""
    with suppress(asyncio.CancelledError):
        await _arrival(address)


async def appended_after_acting(actor: GuildActor, decision: Decision) -> tuple[Sequence[Record], bool]:
    actor.act(decision)
    return await _append(actor, decision)


async def appended_after_evolving(actor: GuildActor, decision: Decision) -> tuple[Sequence[Record], bool]:
    """Takes the drafts for records, before anybody has numbered them."""
    base_seq = actor.state.seq
    for seq, draft in enumerate(decision.drafts, base_seq + 1):
        actor.evolve(_guessed(actor.guild, seq, base_seq + len(decision.drafts), draft))
    committed = await actor._journal.append(actor.guild, actor.incarnation, base_seq, decision.drafts)
    actor.head = committed.head
    return (), committed.degraded


def _guessed(of: GuildId, seq: int, last: int, draft: Draft) -> Record:
    return Record(
        gsn=seq, guild=of, seq=seq, epoch=1, at_ms=0, cause=draft.cause, key=draft.key, event=draft.event, last=last
    )


def decided_stubbornly(
    address: Address[Any, Any], behaviour: Behaviour[Any, Any, Any, Any], envelope: Envelope[Any, Any]
) -> object:
    """Three tries of its own, below a supervisor that tries twice."""
    for _ in range(2):
        with suppress(Exception):
            return _decide(address, behaviour, envelope)
    return _decide(address, behaviour, envelope)


def acted_and_asked_again(actor: GuildActor, decision: Decision) -> None:
    """Forgets what it has just asked for."""
    before = actor.presence
    _act(actor, decision)
    for errand in errands(actor.state, before)[1]:
        actor._outside.run_errand(actor.guild, errand)


async def persisted_by_any_life(
    address: Address[Any, Any], holder: int, behaviour: Behaviour[Any, Any, Any, Any], decision: Decision
) -> bool:
    """Does not ask whether it was replaced while it appended."""
    del holder
    records, degraded = await behaviour.append(decision)
    address.stage = Stage.EVOLVING
    for record in records:
        behaviour.evolve(record)
    return degraded


def buried_silently(address: Address[Any, Any], envelope: Envelope[Any, Any], text: str) -> None:
    del text
    address._remove(envelope)
    address._dead += 1


# Journal


def never_stale(journal: Journal, request: object) -> bool:
    del journal, request
    return False


def numbered_anywhere(numbering: Numbering, append: Append) -> tuple[Frame, ...] | Fenced:
    head = numbering.moved.get(append.guild) or numbering._heads.get(append.guild)
    return _take(numbering, msgspec.structs.replace(append, base_seq=head.seq if head else 0))


def at_the_newest_anywhere(journal: Journal, request: object) -> bool:
    del journal, request
    return True


async def opened_at_once(journal: Journal, of: GuildId, incarnation: int) -> Opened:
    """Does not queue behind the appends."""
    store = journal._store
    journal._incarnations[of] = incarnation
    return await open_guild(store._seats, of, store._heads.get(of), store._lineage)


async def waits_for_no_layer(journal: Journal, appended: Sequence[Appended]) -> bool:
    del journal, appended
    return False


def told_by_arrival(acknowledging: Acknowledging, records: Sequence[Record], *, degraded: bool) -> None:
    """Says when a join was heard of as when somebody joined."""
    mistaken = [
        msgspec.structs.replace(
            each, event=msgspec.structs.replace(each.event, joined_at_us=each.event.arrived_us - 1_000_000)
        )
        for each in records
        if isinstance(each.event, JoinRecorded)
    ]
    _tell(acknowledging, mistaken, degraded=degraded)


def numbered_alike(numbering: Numbering, append: Append) -> tuple[Frame, ...] | Fenced:
    """All records of an append stand on the same seq."""
    head = numbering.moved.get(append.guild) or numbering._heads.get(append.guild, NO_HEAD)
    if append.base_seq != head.seq:
        return Fenced("stale")
    sealed = [numbering._seal(append.guild, draft, head, head.seq + 1) for draft in append.drafts]
    numbering.moved[append.guild] = head_of(sealed[-1])
    numbering.frames += sealed
    return tuple(sealed)


# Checkpoints, replay


def pages_one_behind(state: GuildState) -> Iterator[bytes]:
    return pages_of(msgspec.structs.replace(state, seq=state.seq - 1))


def pages_while_it_changes(state: GuildState) -> Iterator[bytes]:
    """The members are looked at page by page, and others are at work in between."""
    yield next(pages_of(state))
    for start in range(0, len(state.members), MEMBERS_PER_PAGE):
        yield msgspec.json.encode(dict(islice(state.members.items(), start, start + MEMBERS_PER_PAGE)))


def nothing_replayed(actor: GuildActor, record: Record) -> None:
    del actor, record


def replayed_with_effects(actor: GuildActor, record: Record) -> None:
    _replay(actor, record)
    actor._outside.list_members(actor.guild, ListMembers(session=actor.presence.session))


def replayed_with_errands(actor: GuildActor, records: Sequence[Record]) -> None:
    _replay(actor, records)
    for errand in errands(actor.state, msgspec.structs.replace(actor.presence, phase=Phase.LIVE))[1]:
        actor._outside.run_errand(actor.guild, errand)


# Supervision


def abandoned_late(supervisor: Supervisor, child: Child, task: "asyncio.Task[None]") -> None:
    """Does not ask whether the life that it was set for is the one that runs."""
    del task
    if isinstance(child, GuildChild):
        child.task = None
        supervisor._restart(child, "zombie", after_s=0.0)


def one_for_all(supervisor: Supervisor, child: GuildChild, error: BaseException | None) -> None:
    _guild_died(supervisor, child, error)
    if error is not None and not isinstance(error, Fenced | Revoked | StorageError):
        for other in supervisor._guilds.values():
            if other is not child:
                supervisor._kill(other)


def backed_off_by_chance(supervisor: Supervisor, child: Child) -> float:
    """Rolls dice of its own."""
    del supervisor, child
    return random.random()


def roused_only(address: Address[Any, Any]) -> None:
    """Whoever waits for a message is not told that one has come."""
    rouse, address._rouse = address._rouse, None
    if rouse is not None:
        rouse()


async def never_caught_up(store: Store) -> bool:
    """What failed once is not asked again."""
    del store
    return False


def at_a_loss(*_: object) -> Decision:
    raise AssertionError("nobody thought of this")


def place_lost(recoveries: Recoveries) -> None:
    """Whoever waits for a place is not told that one is free."""
    recoveries._free += 1


SWARM: Final = ("swarm",)

BUGS: Final = (
    Bug(
        name="cancellation-swallowed",
        origin=Origin.KERNEL,
        what="a life that waits for a message goes on when it is told to end",
        swaps=(Swap(Address, "arrival", arrival_awaited_deaf),),
        breaks=frozenset({"I10"}),
        hunts=("kills-cancel", "swarm"),
    ),
    Bug(
        name="apply-before-persist",
        origin=Origin.KERNEL,
        what="the state changes before its records are durable",
        swaps=(Swap(GuildActor, "append", appended_after_evolving),),
        breaks=frozenset({"I6", "I10"}),
        hunts=SWARM,
    ),
    Bug(
        name="effect-before-journal",
        origin=Origin.KERNEL,
        what="Discord is asked before the records are durable",
        swaps=(Swap(GuildActor, "append", appended_after_acting),),
        breaks=frozenset({"I6"}),
        hunts=SWARM,
    ),
    Bug(
        name="retry-in-a-retry",
        origin=Origin.KERNEL,
        what="a handler that raises is tried three times, by a life that is tried twice",
        swaps=(Swap(runtime, "_decide", decided_stubbornly),),
        breaks=frozenset({"I8"}),
        hunts=SWARM,
    ),
    Bug(
        name="replaced-while-it-appended",
        origin=Origin.OURS,
        what="a life that was replaced while it appended publishes, answers and acts",
        swaps=(Swap(runtime, "_persist", persisted_by_any_life),),
        breaks=frozenset({"I4"}),
        hunts=SWARM,
    ),
    Bug(
        name="errand-run-twice",
        origin=Origin.OURS,
        what="what Discord was asked for already is asked for again",
        swaps=(Swap(GuildActor, "act", acted_and_asked_again),),
        breaks=frozenset({"I6"}),
        hunts=SWARM,
    ),
    Bug(
        name="dead-letter-unanswered",
        origin=Origin.OURS,
        what="whoever asked with a message that nobody can handle waits for ever",
        swaps=(Swap(Address, "bury", buried_silently),),
        breaks=frozenset({"I5"}),
        hunts=SWARM,
    ),
    Bug(
        name="no-fence-and-no-barrier",
        origin=Origin.KERNEL,
        what="an append counts whoever asks, wherever it stands, and open does not queue behind it",
        swaps=(
            Swap(Journal, "_is_stale", never_stale),
            Swap(Journal, "open", opened_at_once),
            Swap(Numbering, "take", numbered_anywhere),
        ),
        breaks=frozenset({"I2", "I4", "I6", "I8", "I10"}),
        hunts=("kills-cancel", "swarm"),
    ),
    Bug(
        name="checkpoint-of-any-life",
        origin=Origin.OURS,
        what="the journal keeps a checkpoint of a life that was replaced",
        swaps=(Swap(Journal, "_is_at_the_newest", at_the_newest_anywhere),),
        breaks=frozenset({"I4"}),
        hunts=SWARM,
    ),
    Bug(
        name="joins-told-by-their-arrival",
        origin=Origin.OURS,
        what="the line of an acknowledged join names another time than its record",
        swaps=(Swap(Acknowledging, "tell", told_by_arrival),),
        breaks=frozenset({"I1"}),
        hunts=SWARM,
    ),
    Bug(
        name="one-seq-for-all",
        origin=Origin.OURS,
        what="the records of an append stand on the same number",
        swaps=(Swap(Numbering, "take", numbered_alike),),
        breaks=frozenset({"I3"}),
        hunts=SWARM,
    ),
    Bug(
        name="named-layer-not-waited-for",
        origin=Origin.OURS,
        what="an append is acknowledged although the database lacks it",
        swaps=(Swap(Journal, "_await_named_layers", waits_for_no_layer),),
        breaks=frozenset({"I6"}),
        hunts=SWARM,
    ),
    Bug(
        name="checkpoint-seq-off-by-one",
        origin=Origin.KERNEL,
        what="a checkpoint says that it lacks its last record",
        swaps=(Swap(guild, "pages_of", pages_one_behind),),
        breaks=frozenset({"I11", "I10"}),
        hunts=("swarm", "kills-cancel"),
    ),
    Bug(
        name="checkpoint-of-a-changing-dict",
        origin=Origin.KERNEL,
        what="a checkpoint is made page by page of a state that goes on",
        swaps=(Swap(guild, "pages_of", pages_while_it_changes),),
        breaks=frozenset({"I11"}),
        hunts=("pages",),
    ),
    Bug(
        name="live-before-the-head",
        origin=Origin.OURS,
        what="a life goes on from its checkpoint without the records behind it",
        swaps=(Swap(GuildActor, "_replay", nothing_replayed),),
        breaks=frozenset({"I7", "I8", "I10"}),
        hunts=("kills-cancel", "swarm"),
    ),
    Bug(
        name="replay-acts",
        origin=Origin.OURS,
        what="what is replayed has its effects once more",
        swaps=(Swap(GuildActor, "_replay", replayed_with_effects),),
        breaks=frozenset({"I11"}),
        hunts=SWARM,
    ),
    Bug(
        name="replay-runs-errands",
        origin=Origin.OURS,
        what="what a replay finds open is asked of Discord before anybody knows that the guild is there",
        swaps=(Swap(GuildActor, "_replay", replayed_with_errands),),
        breaks=frozenset({"I11"}),
        hunts=SWARM,
    ),
    Bug(
        name="late-timer",
        origin=Origin.KERNEL,
        what="the timer that was to end a lingering life ends its successor",
        swaps=(Swap(Supervisor, "_abandon", abandoned_late),),
        breaks=frozenset({"I8"}),
        hunts=("kills-cancel", "swarm"),
    ),
    Bug(
        name="one-for-all",
        origin=Origin.OURS,
        what="a guild that dies takes all others with it",
        swaps=(Swap(Supervisor, "_guild_died", one_for_all),),
        breaks=frozenset({"I8"}),
        hunts=SWARM,
    ),
    Bug(
        name="place-to-recover-lost",
        origin=Origin.OURS,
        what="a guild that waits for a place to recover waits for ever",
        swaps=(Swap(Recoveries, "_pass_on", place_lost),),
        breaks=frozenset({"I8", "I10"}),
        hunts=SWARM,
    ),
    Bug(
        name="lost-wake-up",
        origin=Origin.OURS,
        what="a life that waits is not told that something has come",
        swaps=(Swap(Address, "_wake", roused_only),),
        breaks=frozenset({"I8", "I10"}),
        hunts=("kills-cancel", "swarm"),
    ),
    Bug(
        name="layer-never-brought-back",
        origin=Origin.OURS,
        what="a layer that failed once is not asked again",
        swaps=(Swap(Store, "catch_up", never_caught_up),),
        breaks=frozenset({"I10"}),
        hunts=("returns",),
    ),
    Bug(
        name="handler-at-a-loss",
        origin=Origin.OURS,
        what="a handler dies of a state that it did not expect",
        swaps=(Swap(decide, "_permissions", at_a_loss),),
        breaks=frozenset({"B1"}),
        hunts=SWARM,
    ),
    Bug(
        name="dice-of-its-own",
        origin=Origin.OURS,
        what="a pause comes from no seed",
        swaps=(Swap(Supervisor, "_backoff_s", backed_off_by_chance),),
        breaks=frozenset({"I12"}),
        hunts=("traces",),
    ),
)
