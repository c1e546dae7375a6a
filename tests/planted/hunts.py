"""Hunts: who looks for planted bugs. Each is the very code that proves the product, asked for one run by its number.

A run raises what it finds, with the invariant that was broken. The number alone says what is done, so a find can be
repeated.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import hypothesis
import msgspec
from hypothesis import strategies as st

from actors import guild
from actors.keeper import Keeper
from ledger import messages as m
from ledger import records as r
from ledger import verdicts
from ledger.errors import LedgerError
from ledger.evolve import evolve
from ledger.ids import UserId
from ledger.phases import Phase
from ledger.state import Period
from tests.actors.harness import GUILD, Bot, running
from tests.disk import vfs
from tests.disk.crashes import Workshop
from tests.disk.database_cases import DATABASE_CASES
from tests.disk.sweep import Sweep, Tally
from tests.fencing import schedule
from tests.kills import campaign
from tests.kills.acts import Mode
from tests.kills.scenarios import SCENARIOS
from tests.ledger import test_audit_log, test_fates, test_model, test_salvage, test_vips, test_worlds
from tests.ledger.examples import Guild
from tests.ledger.lives import GREETING, START_US, Script, messages, numbered, replayed, scripts
from tests.persistence import holes, test_store
from tests.persistence.damaged import FILES, damaged, flip_and_read
from tests.persistence.forks import cut_short
from tests.persistence.making import BLUE, RED, join
from tests.persistence.ordeal import Database, ordeal, wearing
from tests.persistence.test_store import World
from tests.simulation import invariants
from tests.simulation.dials import draw, draw_nearby, with_cloud
from tests.simulation.run import run
from tests.simulation.violation import Violation


class Hunt(msgspec.Struct, frozen=True, kw_only=True):
    """``layer``: of KERNEL's proof; ``runs``: so many at most; ``step``: one run, by its number from 0."""

    name: str
    layer: str
    runs: int
    step: Callable[[int], None]


class Find(msgspec.Struct, frozen=True, kw_only=True):
    """What a hunt caught. ``run``: the number of its run; ``invariant``: the one that was broken."""

    hunt: str
    run: int
    invariant: str
    why: str


class Broken(AssertionError):
    """An invariant does not hold. ``name``: which."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name


def look(hunt: Hunt, number: int) -> Find | None:
    """One run; None when it found nothing. Whatever else it raises is a mistake of the bug's or the hunt's maker."""
    try:
        hunt.step(number)
    except Broken as found:
        return Find(hunt=hunt.name, run=number, invariant=found.name, why=str(found))
    return None


@contextmanager
def breaking(name: str) -> Iterator[None]:
    """Whatever is found in this block breaks the invariant of that name."""
    try:
        yield
    except (AssertionError, LedgerError) as error:
        raise Broken(name, str(error) or repr(error)) from error


# L1: a kill at an await


def in_a_day(mode: Mode, number: int) -> None:
    """A bot's day, with a kill in it."""
    faults = campaign.play(DAYS[mode][number]).faults
    if faults:
        name, _, why = faults[0].partition(": ")
        raise Broken(name, why)


DAYS: Final = {
    mode: tuple(case for case in campaign.cases(SCENARIOS[0]) if case.mode is mode)
    for mode in (Mode.CANCEL, Mode.LATE, Mode.ZOMBIE, Mode.LATE_WRITE, Mode.JOURNAL)
}
"""Made here, where no bug is planted yet: the day without a kill says where it waits."""


# L0: the pure part


def in_a_world(seed: int) -> None:
    """A seed's Discord, which keeps its promises."""
    for name, test in WORLDS:
        with breaking(name):
            test.hypothesis.inner_test(seed)


def in_a_script(seed: int) -> None:
    """Hostile messages in any order."""
    with breaking("I7"):
        test_fates.test_a_refresh_that_crosses_an_outage_and_a_restart_makes_no_guild_live()
        test_fates.taken_to(Phase.AWAY, [GREETING])
    for name, test in SCRIPTS:
        with breaking(name):
            hypothesis.seed(seed)(test)()


def while_pages_are_pulled(number: int) -> None:
    """Somebody leaves between two pages of a checkpoint: that is none of its business."""
    state = replayed(numbered(0, [seeded(range(1, 2_500))]))
    before = tuple(guild.pages_of(state))
    pages = guild.pages_of(state)
    pulled = [next(pages)]
    gone = r.LeaveRecorded(user=UserId(str(1_001 + number)), arrived_us=START_US, inferred=False)
    evolve(state, numbered(1, [r.Draft(event=gone, cause=r.InternalCause(what="sample"), key="leave")])[0])
    with breaking("I11"):
        assert (*pulled, *pages) == before


def while_a_verdict_falls(number: int) -> None:
    """Somebody was credited with a join of which nothing can be said any more: the same append takes that back."""
    period = Period(START_US, START_US, status=r.Status.CERTAIN, credited=UserId(str(1 + number)), verdicts=1)
    fallen = verdicts.plain_verdict(UserId("9"), period, r.Status.UNKNOWN, "no_use_seen")
    drafts = verdicts.pronounce(replayed([]), period, fallen, r.InternalCause(what="sample"))
    with breaking("I2"):
        assert [type(draft.event) for draft in drafts] == [r.VerdictReached, r.CreditReversed]


def in_an_example(number: int) -> None:
    """Somebody joins as a limited invite vanishes, or is deleted; and somebody is upgraded in two memberships."""
    del number
    with breaking("T1"):
        test_audit_log.test_what_the_audit_log_proves_still_holds_when_the_window_is_solved_again(Guild())
        test_audit_log.test_a_deletion_that_is_told_later_takes_the_proof_back_with_the_credit(Guild())
    with breaking("I2"):
        test_vips.test_the_one_credit_of_a_life_goes_to_the_next_upgrade_where_the_first_proves_to_be_nobodys()
        test_vips.test_two_upgrades_of_a_life_that_are_judged_together_have_one_credit()


def seeded(numbers: range) -> r.Draft:
    """So many members that they do not go on one page."""
    members = tuple(r.SeededMember(UserId(str(each)), START_US, rejoin=False) for each in numbers)
    return r.Draft(event=r.MembersSeeded(members=members), cause=r.InternalCause(what="member_list"), key="seeded")


WORLDS: Final = (
    ("I2", test_worlds.test_no_key_is_used_twice),
    ("I2", test_worlds.test_a_join_has_at_most_one_net_credit),
    ("I11", test_worlds.test_replay_is_live),
    ("T1", test_worlds.test_no_claim_is_wrong_and_the_truth_is_among_the_candidates),
    ("T1", test_worlds.test_no_claim_is_wrong_where_the_bot_is_new_and_a_session_is_lost),
    ("T1", test_worlds.test_no_certain_verdict_is_wrong_after_a_long_time_in_which_nobody_listened),
    ("T1", test_worlds.test_no_claim_is_wrong_where_a_guild_is_forgotten_while_people_join),
)

_some = hypothesis.settings(max_examples=20, database=None, deadline=None, phases=[hypothesis.Phase.generate])


def few(test: Callable[..., None], **given: st.SearchStrategy[Any]) -> Callable[[], None]:
    """A property, with few examples and nothing kept for later runs."""
    return _some(hypothesis.given(**given)(test.hypothesis.inner_test))


@hypothesis.given(script=scripts(forgetting=True), told=st.lists(messages, min_size=1, max_size=5))
def as_the_table_says(script: Script, told: list[m.Message]) -> None:
    test_fates.test_any_message_in_any_state_of_a_phase_is_decided_as_the_table_says.hypothesis.inner_test(
        Phase.LIVE, script, told
    )


SCRIPTS: Final = (
    ("I7", _some(as_the_table_says)),
    (
        "I2",
        few(
            test_model.test_dispatches_told_again_in_any_order_also_to_the_next_life_write_nothing,
            script=scripts(forgetting=True, kills=False),
            data=st.data(),
            killed=st.booleans(),
        ),
    ),
    (
        "I2",
        few(
            test_model.test_a_join_is_recorded_once_whichever_session_and_list_told_of_it,
            script=scripts(forgetting=True),
        ),
    ),
    (
        "I2",
        few(
            test_model.test_records_have_no_gaps_no_key_twice_and_credits_follow_the_verdict_in_force,
            script=scripts(forgetting=False),
        ),
    ),
)


FORKS: Final = few(
    test_salvage.test_in_any_forked_world_every_join_of_either_branch_is_there_once,
    shared=scripts(forgetting=True),
    here=scripts(forgetting=True),
    there=scripts(forgetting=True),
    data=st.data(),
)


def in_a_fork(seed: int) -> None:
    """Two branches of hostile messages, of which one is salvaged."""
    with breaking("I2"):
        hypothesis.seed(seed)(FORKS)()


# L2: the disk


def on_a_log(number: int) -> None:
    """Power cuts; with failing operations; and with a database beside it."""
    seed = number // 3
    wear = wearing(Random(seed)) if number % 3 else None
    with breaking("I1"):
        asyncio.run(ordeal(seed, wear, Database("database") if number % 3 == 2 else None))


def beside_a_layer_that_comes_back(number: int) -> None:
    """A layer was away at the start, and the process lives on."""
    del number

    async def away() -> None:
        world = World()
        await world.process().start()
        await test_store.test_a_layer_that_was_away_at_start_joins_later(world)

    with breaking("I10"):
        asyncio.run(away())


def in_a_salvage(number: int) -> None:
    """The power is cut at an operation of it, and again on the way back."""
    with breaking("I1"):
        asyncio.run(cut_short(("log", "database")[number % 2], 1 + number // 2, luck=0.5))


def in_a_hole(number: int) -> None:
    """A record of the log rots while the database is away, and two guilds go on; then it is back."""
    with breaking("I1"):
        asyncio.run(holes.through([1 + number // 2], (RED, BLUE, RED), in_the_same_life=number % 2 == 0))


def on_a_damaged_log(number: int) -> None:
    """Sixteen bytes of one of its files, each flipped."""

    async def flip() -> None:
        world, path, data = await damaged(FILES[number % len(FILES)])
        first = number // len(FILES) * 16
        flip_and_read(world, path, data, range(first, min(first + 16, len(data))))

    with breaking("I9"):
        asyncio.run(flip())


def at_an_operation(number: int) -> None:
    """Some of the operations of the workloads on a log, each with a fault."""
    sweep = Sweep()
    with breaking("I1"):
        for pair in sweep.pairs()[number::_SHARES]:
            sweep.single(*pair, Tally())


def behind_a_cut_of_the_database(number: int) -> None:
    """Some of the operations of a workload on the database; the power is cut behind them."""
    name = list(DATABASE_CASES)[number % len(DATABASE_CASES)]
    with TemporaryDirectory() as folder, breaking("I1"):
        workshop = Workshop(Path(folder))
        operations = len(workshop.recorded(name).trace.operations)
        for operation in range(1 + number, operations, _SMALL_SHARES):
            workshop.cut(name, operation)


_SHARES, _SMALL_SHARES = 97, 199
"""A run takes so small a part of the operations; all runs together take all."""

DATABASE_CUTS: Final = "database-cuts"
"""The hunt that is not to be had where Python carries SQLite within itself: no VFS can be watched there."""


def in_what_a_pass_reads(number: int) -> None:
    """A layer loses some of what was written while the bot runs; its keeper reads it back."""
    with breaking("I9"):
        asyncio.run(_lose_and_pass(number))


async def _lose_and_pass(number: int) -> None:
    async with running(bot := Bot()):
        await bot.journal.open(GUILD, 1)
        for user in range(1, 10):
            await bot.journal.append(GUILD, 1, user - 1, (join(user),))
        layer, gsn = (bot.log, bot.database)[number % 2], 1 + number % 9
        layer.lose(gsn, gsn)
        nap = bot.supervisor.caretaker._sleep
        keeper = Keeper(bot.store, bot.journal, bot.supervisor, clock=bot.clock, sleep=nap, log=bot.logger)
        await keeper.verify()
        assert bot.events("backup.differs"), f"{layer.name} lost gsn {gsn}, and a pass did not see it"


# L3: the swarm


def in_the_swarm(seed: int) -> None:
    """A whole process in a seed's world."""
    outcome = run(draw(seed))
    if outcome.broken:
        raise Broken(outcome.broken, outcome.why)


def in_the_swarm_with_a_cloud(seed: int) -> None:
    """The same, where every seed has a cloud."""
    outcome = run(with_cloud(draw_nearby(seed)))
    if outcome.broken:
        raise Broken(outcome.broken, outcome.why)


def twice_in_the_swarm(seed: int) -> None:
    """A seed gives the same run again."""
    try:
        invariants.same_trace(run(draw(seed)).trace, run(draw(seed)).trace)
    except Violation as error:
        raise Broken(error.name, str(error)) from error


# The cloud's protocol, whoever is late


def in_a_schedule(seed: int) -> None:
    """A few processes, and a bucket between them."""
    outcome = schedule.run(seed)
    if outcome.broken:
        raise Broken(outcome.broken, outcome.why)


HUNTS: Final = {
    hunt.name: hunt
    for hunt in (
        Hunt(name="swarm", layer="L3", runs=600, step=in_the_swarm),
        Hunt(name="clouded", layer="L3", runs=300, step=in_the_swarm_with_a_cloud),
        Hunt(name="traces", layer="L3", runs=100, step=twice_in_the_swarm),
        Hunt(name="fencing", layer="model", runs=2_000, step=in_a_schedule),
        Hunt(name="worlds", layer="L0", runs=300, step=in_a_world),
        Hunt(name="examples", layer="L0", runs=1, step=in_an_example),
        Hunt(name="verdicts", layer="L0", runs=10, step=while_a_verdict_falls),
        Hunt(name="pages", layer="L0", runs=10, step=while_pages_are_pulled),
        Hunt(name="scripts", layer="L0", runs=40, step=in_a_script),
        Hunt(name="returns", layer="L2", runs=1, step=beside_a_layer_that_comes_back),
        Hunt(name="forks", layer="L0", runs=40, step=in_a_fork),
        Hunt(name="salvage", layer="L2", runs=80, step=in_a_salvage),
        Hunt(name="holes", layer="L2", runs=2 * holes.RECORDS, step=in_a_hole),
        Hunt(name="log", layer="L2", runs=360, step=on_a_log),
        Hunt(name="damage", layer="L2", runs=180, step=on_a_damaged_log),
        Hunt(name="pass", layer="L2", runs=18, step=in_what_a_pass_reads),
        Hunt(name="operations", layer="L2", runs=_SHARES, step=at_an_operation),
        Hunt(name=DATABASE_CUTS, layer="L2", runs=_SMALL_SHARES, step=behind_a_cut_of_the_database),
        *(
            Hunt(name=name, layer="L1", runs=len(DAYS[mode]), step=partial(in_a_day, mode))
            for name, mode in (
                ("kills-cancel", Mode.CANCEL),
                ("kills-late-cancel", Mode.LATE),
                ("kills-zombie", Mode.ZOMBIE),
                ("kills-late-write", Mode.LATE_WRITE),
                ("kills-journal-dies", Mode.JOURNAL),
            )
        ),
    )
    if hunt.name != DATABASE_CUTS or vfs.library() is not None
}
