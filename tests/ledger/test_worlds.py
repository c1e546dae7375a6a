"""In random worlds no certain verdict is wrong and the truth is always among the candidates."""

from hypothesis import example, given
from hypothesis import strategies as st

from ledger import records as r
from ledger.ids import NO_COUNTER
from ledger.records import Status
from tests.ledger.lives import in_bytes, replayed
from tests.ledger.worlds import SECOND, START_US, DeafWorld, NewWorld, World

seeds = st.integers(min_value=0, max_value=10**9)


def played(seed: int) -> World:
    """In every second world a person asks for samples as well."""
    world = World(seed)
    for after_s in range(0, 60 * (seed % 2), 7):
        world._at(START_US + (20 + after_s) * SECOND, world.refresh)
    world.run()
    return world


def judge(world: World) -> None:
    """Every verdict against the truth."""
    for (user, joined_at_us), source in world.truth.items():
        if joined_at_us < world.state.ours_from_us:
            continue  # forgotten with the guild
        truth = source
        period = world.state.membership(user, joined_at_us)
        assert period is not None, "a join that was told of is recorded"
        assert period.status is not Status.PENDING
        if period.reason == "no_baseline":
            continue
        if truth not in world.told_of:
            truth = NO_COUNTER  # created and gone between two samples, and its event not yet heard: part of NI
        possible = {truth, NO_COUNTER} if (user, joined_at_us) in world.unseen else {truth}
        assert possible & {*period.candidates}, (user, truth, period)
        if period.status is Status.CERTAIN:
            assert (period.code, period.inviter) == (truth, world.invited_by[user, joined_at_us])
        if period.status is Status.INVITER_CERTAIN:
            assert period.staff == world.invited_by[user, joined_at_us]


@given(seeds)
@example(112976)  # a death is told late, behind the birth of the code's next invite, which dies as well
@example(109311)  # the same, and the next one expires
def test_no_claim_is_wrong_and_the_truth_is_among_the_candidates(seed: int):
    judge(played(seed))


@given(seeds)
@example(3033)  # a code that died comes back while nobody listens, and dies again
@example(45123)  # a code that was used up comes back while a sample is on its way, and is used up again
def test_no_claim_is_wrong_where_the_bot_is_new_and_a_session_is_lost(seed: int):
    world = NewWorld(seed)
    world.run()
    judge(world)


@given(seeds)
@example(112952)  # a death is told late, and that of the code's next invite is never heard
def test_no_claim_is_wrong_where_a_list_shows_who_joined_unheard_and_the_roles_of_then(seed: int):
    world = DeafWorld(seed)
    world.run()
    judge(world)


def certain_after_a_long_time(seed: int) -> list[tuple[str | None, str]]:
    """Of each certain verdict in a world in which nobody listened for long: the code it names, and the truth."""
    world = NewWorld(seed, away_us=660 * SECOND)
    world.run()
    joins = ((world.state.membership(*join), source) for join, source in world.truth.items())
    return [(period.code, source) for period, source in joins if period and period.status is Status.CERTAIN]


@given(seeds)
def test_no_certain_verdict_is_wrong_after_a_long_time_in_which_nobody_listened(seed: int):
    for said, source in certain_after_a_long_time(seed):
        assert said == source


def test_there_are_certain_verdicts_after_a_long_time_in_which_nobody_listened():
    assert sum(len(certain_after_a_long_time(seed)) for seed in range(10)) > 10


@given(seeds)
def test_no_claim_is_wrong_where_a_guild_is_forgotten_while_people_join(seed: int):
    world = NewWorld(seed)
    world.forget_at(START_US + seed % (3 * SECOND), None)
    world.run()
    judge(world)


@given(seeds)
def test_a_join_has_at_most_one_net_credit(seed: int):
    world = played(seed)
    net: dict[tuple[str, int], int] = {}
    for record in world.records:
        event = record.event
        if isinstance(event, r.CreditGranted | r.CreditReversed):
            key = (event.user, event.opened_us)
            net[key] = net.get(key, 0) + (1 if isinstance(event, r.CreditGranted) else -1)
            assert net[key] in (0, 1)


@given(seeds)
def test_replay_is_live(seed: int):
    world = played(seed)
    assert in_bytes(replayed(world.records)) == in_bytes(world.state)


@given(seeds)
def test_no_key_is_used_twice(seed: int):
    keys = [record.key for record in played(seed).records]
    assert len(keys) == len(set(keys))
