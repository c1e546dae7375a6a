"""The judge of chaos can say no: each fault that it is there for, made by hand, is named."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from ledger.ids import GuildId, InviteCode, UserId
from ledger.records import CreditGranted, Draft, Event, InternalCause, JoinRecorded, Status, VerdictReached
from persistence.cloud import CloudLayer
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.local import LocalLayer
from persistence.numbering import Append
from persistence.offload import ThreadOffload
from persistence.sqlite import SqliteLayer
from sandbox import Join, Sandbox
from tests.chaos.bot import Bot
from tests.chaos.crowd import Ask, Crowd, id_of
from tests.chaos.judge import Judge
from tests.memory.store import store_of
from tests.persistence.making import SESSION, TestClock, TestRandomness


class Bench:
    """A judge over one join that happened, a log that the test writes, and a bot that never lived."""

    def __init__(self, folder: Path) -> None:
        self.data, self.cloud, self.scratch = folder / "data", folder / "cloud", folder / "restored"
        self.transcript = folder / "bot.log"
        self.sandbox = Sandbox(seed=1)
        self.crowd = Crowd(self.sandbox, Random(1), calm=True)
        self.bot = Bot({}, self.transcript, module="supervisor", patience_s=1.0)
        self.join = self.crowd.join(self.crowd.guilds[0])
        self.bot.acknowledged.add(id_of(self.join))
        self.judge = Judge(self.sandbox, self.crowd, self.bot, self.data)
        self._offload = ThreadOffload("disk")

    async def record(self, *events: Event) -> None:
        """Puts events about the join's guild into the log, and into the cloud."""
        disk, database = RealDisk(), self.data / "ledger.db"
        layers = (LocalLayer(disk, self.data, self._offload), SqliteLayer(disk, database, self.data / "quarantine"))
        objects = FolderObjects(disk, self.cloud, self._offload, TestRandomness())
        cloud = CloudLayer(objects, self._offload, TestRandomness(), TestClock(), "writer")
        store = store_of(layers, TestClock(), TestRandomness(), cloud)
        assert store.following is not None
        await store.start()
        cause = InternalCause(what="test")
        drafts = [Draft(event=each, cause=cause, key=f"{n}") for n, each in enumerate(events)]
        await store.append([Append(guild=GuildId(str(self.join.guild_id)), base_seq=0, drafts=tuple(drafts))])
        await store.following.give(store.frames_after)
        await store.close()

    def close(self) -> None:
        self._offload.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def recorded(join: Join) -> JoinRecorded:
    at_us = join.joined_at_us
    return JoinRecorded(user=UserId(str(join.user_id)), joined_at_us=at_us, arrived_us=at_us, session=SESSION)


def named(join: Join, code: str, status: Status = Status.CERTAIN) -> VerdictReached:
    user = UserId(str(join.user_id))
    return VerdictReached(user=user, opened_us=join.joined_at_us, status=status, code=InviteCode(code))


def credited(join: Join) -> CreditGranted:
    user = UserId(str(join.user_id))
    return CreditGranted(user=user, opened_us=join.joined_at_us, kind="join", staff=UserId("1"))


async def test_a_join_that_was_told_acknowledged_and_named_rightly_is_no_fault(bench: Bench):
    await bench.record(recorded(bench.join), named(bench.join, bench.join.via), credited(bench.join))
    tally = bench.judge.conclude()
    assert bench.judge.faults == []
    assert (tally.told, tally.acknowledged, tally.lost, tally.open) == (1, 1, 0, 0)


async def test_an_acknowledged_join_that_the_export_lacks_is_lost(bench: Bench):
    await bench.record(recorded(bench.crowd.join(bench.crowd.guilds[0])))
    assert bench.judge.look_back().lost == 1
    assert "lost" in bench.judge.faults[0]


async def test_an_acknowledged_join_that_the_cloud_alone_gives_back_is_no_fault(bench: Bench):
    await bench.record(recorded(bench.join))
    bench.judge.look_into_cloud(bench.cloud, bench.scratch)
    assert bench.judge.faults == []


async def test_an_acknowledged_join_that_the_cloud_lacks_is_a_fault(bench: Bench):
    await bench.record(recorded(bench.crowd.join(bench.crowd.guilds[0])))
    bench.judge.look_into_cloud(bench.cloud, bench.scratch)
    assert "the cloud does not have it" in bench.judge.faults[0]


async def test_a_cloud_that_does_not_come_back_is_a_fault(bench: Bench):
    await bench.record(recorded(bench.join))
    for segment in (bench.cloud / "seg").iterdir():
        segment.write_bytes(b"")
    bench.judge.look_into_cloud(bench.cloud, bench.scratch)
    assert [fault.split(":")[0] for fault in bench.judge.faults] == [
        "restore",
        "acknowledged, and the cloud does not have it",
    ]


async def test_a_join_with_two_credits_is_credited_twice(bench: Bench):
    await bench.record(recorded(bench.join), credited(bench.join), credited(bench.join))
    assert bench.judge.look_back().twice == 1
    assert "credited twice" in bench.judge.faults[0]


async def test_a_certain_name_that_is_not_the_truth_is_wrong_and_a_guess_is_counted(bench: Bench):
    other = bench.crowd.join(bench.crowd.guilds[0])
    await bench.record(
        recorded(bench.join), named(bench.join, "no"), recorded(other), named(other, "no", Status.LIKELY)
    )
    tally = bench.judge.look_back()
    assert (tally.wrong, tally.guessed) == (1, 1)
    assert len(bench.judge.faults) == 1


async def test_a_join_that_never_happened_is_a_fault(bench: Bench):
    stranger = JoinRecorded(user=UserId("5"), joined_at_us=5_000_000, arrived_us=5_000_000, session=SESSION)
    await bench.record(recorded(bench.join), stranger)
    bench.judge.look_back()
    assert "never happened" in bench.judge.faults[0]


async def test_who_is_there_and_has_no_verdict_is_unsettled_and_who_left_is_not(bench: Bench):
    await bench.record(recorded(bench.join))
    assert bench.judge.unsettled() == {id_of(bench.join)}
    bench.sandbox.world.leave(bench.crowd.guilds[0], bench.sandbox.world.users[bench.join.user_id])
    assert bench.judge.unsettled() == set()


@pytest.mark.parametrize("line", ['{"event": "letter.buried"}', "Traceback (most recent call last):"])
async def test_what_raised_is_a_fault(bench: Bench, line: str):
    await bench.record(recorded(bench.join))
    bench.transcript.write_text(f'{{"event": "bot.started"}}\n{line}\n', encoding="utf-8")
    bench.judge.look_around()
    assert bench.judge.faults == [f"raised: {line}"]


async def test_a_misdeed_and_an_ask_that_nobody_answers_are_faults(bench: Bench):
    await bench.record(recorded(bench.join))
    bench.sandbox.violations.add("rest.did_not_wait", "0.5 s early")
    reply = bench.sandbox.interactions.send({"token": "t", "id": "5", "guild_id": str(bench.crowd.guilds[0].id)})
    bench.crowd.asks += [Ask("invites", reply, owed=True), Ask("invites", reply, owed=False)]
    bench.judge.look_around()
    assert [fault.split(":")[0] for fault in bench.judge.faults] == ["1 asks without an answer", "misdeeds"]


async def test_a_damaged_log_does_not_pass_verify(bench: Bench):
    await bench.record(recorded(bench.join), named(bench.join, bench.join.via))
    path = min((bench.data / "log").iterdir())
    path.write_bytes(path.read_bytes().replace(b"verdict", b"verdikt", 1))
    bench.judge.conclude()
    assert any(fault.startswith("verify:") for fault in bench.judge.faults)
