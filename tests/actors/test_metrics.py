"""Metrics: what stands in docs/operations.md is what is exposed, and each moves when its thing happens."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from actors.histogram import Histogram
from actors.mailbox import CAPACITY, Lane
from actors.ops.health import Vitals
from actors.ops.metrics import PREFIX, make_registry
from ledger import messages as m
from ledger.errors import NotConfirmed, StorageError
from ledger.ids import GuildId, UserId
from ledger.records import Draft, GatewayCause, InternalCause, Status, VerdictReached
from tests.actors.harness import GUILD, SESSION, Bot, running
from tests.actors.test_ops import WELL
from tests.actors.test_ops import Bot as Asked

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def exposed(vitals: Vitals = WELL) -> dict[str, float]:
    """Every sample of ours by its name and labels, as Prometheus reads the text."""
    asked = Asked()
    asked.now = vitals
    families = text_string_to_metric_families(generate_latest(make_registry(asked)).decode())
    samples = [sample for family in families for sample in family.samples if sample.name.startswith(PREFIX)]
    return {f"{name}{''.join(f'|{value}' for value in labels.values())}": v for name, labels, v, *_ in samples}


def names_exposed() -> set[str]:
    """As they stand in the table: a histogram by its family."""
    names = {name.split("|")[0] for name in exposed()}
    histograms = {name.removesuffix("_bucket") for name in names if name.endswith("_bucket")}
    return {name for name in names if not any(name.startswith(f"{each}_") for each in histograms)} | histograms


def test_every_metric_that_is_exposed_stands_in_the_table_and_the_other_way_round():
    table = PAGE.split("| metric | counts |")[1].split("\n\n")[0]
    assert set(re.findall(rf"^\| `({PREFIX}_\w+)` \| .+ \|$", table, re.MULTILINE)) == names_exposed()


def test_every_metric_that_the_page_speaks_of_is_exposed():
    spoken = set(re.findall(rf"\b{PREFIX}_[a-z_]+", PAGE))
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in spoken} - names_exposed() == set()


def test_nothing_is_in_the_library_s_own_registry():
    make_registry(Asked())
    assert not any(family.name.startswith(PREFIX) for family in REGISTRY.collect())


def test_lag_is_what_the_newest_layer_has_and_this_one_not():
    told = exposed()
    assert (told[f"{PREFIX}_layer_lag_records|log"], told[f"{PREFIX}_layer_lag_records|database"]) == (0, 2)


def test_a_histogram_is_told_in_rising_buckets_up_to_all():
    told = exposed()
    assert [told[f"{PREFIX}_commit_seconds_bucket|{bound}"] for bound in ("0.01", "0.1", "+Inf")] == [3, 4, 5]
    assert (told[f"{PREFIX}_commit_seconds_count"], told[f"{PREFIX}_commit_seconds_sum"]) == (5, 0.5)


def test_a_value_on_a_bound_belongs_to_the_bucket_below_it():
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 9.0):
        histogram.observe(value)
    told = histogram.distribution()
    assert (told.counts, told.total) == ((2, 2, 1), 14.0)


async def test_joins_and_verdicts_are_counted_once_they_are_durable():
    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bot.outside.fetches == 1)
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.settled(1)
        told = bot.journal.statistics()
        assert (told.recorded, told.joins) == (1, 1)
        assert {status: count for status, count in told.verdicts.items() if count} == {Status.CERTAIN: 1}
        assert sum(told.superseding.values()) == 0
        assert sum(told.batch_records.counts) == sum(told.commit_s.counts) == told.batches > 0
        assert told.batch_records.total == told.records == len(await bot.records())


async def test_a_join_that_one_layer_lacks_is_recorded_and_not_acknowledged():
    async with running(Bot()) as bot:
        bot.come_up()
        await bot.until(lambda: bot.outside.fetches == 1)
        bot.database.go_away(StorageError("the disk is gone"))
        bot.supervisor.roster.tell(GUILD, bot.join(1))
        await bot.until(lambda: bot.journal.statistics().recorded == 1)
        told = bot.journal.statistics()
        assert told.joins == 0
        assert told.layers[0].gsn > told.layers[1].gsn


async def test_mailboxes_are_summed_up_and_the_fullest_is_told():
    async with running(Bot()) as bot:
        bot.come_up()
        bot.come_up(GuildId("78"))
        await bot.until(lambda: bot.outside.fetches == 2 and bot.journal.is_idle())
        before = bot.supervisor.roster.statistics()
        for user in range(CAPACITY[Lane.MEMBERS] + 3):
            bot.supervisor.roster.tell(GUILD, a_leave(user))
        bot.supervisor.roster.tell(GuildId("78"), a_leave(1))
        told = bot.supervisor.roster.statistics()
        assert told.waiting[Lane.MEMBERS] - before.waiting[Lane.MEMBERS] == CAPACITY[Lane.MEMBERS] + 1
        assert told.deepest >= CAPACITY[Lane.MEMBERS]
        assert told.dropped == 3
        assert told.accepted - before.accepted == CAPACITY[Lane.MEMBERS] + 1
        await bot.until(lambda: bot.supervisor.roster.statistics().deepest == 0)
        assert bot.supervisor.roster.statistics().handled >= told.accepted


def a_leave(number: int) -> m.RecordLeave:
    cause = GatewayCause(session=SESSION, number=number + 1, lane="members")
    return m.RecordLeave(cause=cause, user=UserId(str(number + 1)), arrived_us=1)


def a_verdict(user: int, *, supersedes: int = 0) -> Draft:
    event = VerdictReached(user=UserId(str(user)), opened_us=1, status=Status.LIKELY, supersedes=supersedes)
    return Draft(event=event, cause=InternalCause(what="test"), key=f"verdict/{user}/1/{supersedes}")


async def test_a_verdict_that_takes_an_earlier_one_s_place_is_counted_apart():
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        await bot.journal.append(GUILD, 1, 0, (a_verdict(1), a_verdict(2)))
        await bot.journal.append(GUILD, 1, 2, (a_verdict(1, supersedes=1),))
        told = bot.journal.statistics()
        assert (told.verdicts[Status.LIKELY], told.superseding[Status.LIKELY]) == (2, 1)


@pytest.mark.parametrize("took_effect", [True, False])
async def test_a_verdict_whose_outcome_was_unknown_is_counted_if_it_is_found(took_effect: bool):  # noqa: FBT001 -- a column
    async with running(Bot()) as bot:
        await bot.journal.open(GUILD, 1)
        bot.log.fail_next(NotConfirmed("fsync"), took_effect=took_effect)
        bot.database.fail_next(NotConfirmed("commit"), took_effect=False)
        with pytest.raises(NotConfirmed):
            await bot.journal.append(GUILD, 1, 0, (a_verdict(1),))
        await bot.journal.open(GUILD, 2)
        assert bot.journal.statistics().verdicts[Status.LIKELY] == int(took_effect)
