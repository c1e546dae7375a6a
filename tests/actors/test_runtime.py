"""The kernel: mailboxes that outlive lives, one answer an ask, nothing visible before the append."""

import asyncio
from collections.abc import Sequence
from random import Random

import msgspec
import pytest

from actors import mailbox
from actors.asks import DEADLINES_EVERY_S, Answered, Deadlines, Outcome
from actors.mailbox import CAPACITY, Address, Admission, Lane, Merging, Revoked, Stage
from actors.runtime import live
from tests.simulation.loop import SimLoop


class Decision(msgspec.Struct, frozen=True):
    drafts: tuple[str, ...]
    answer: str


class Recorder:
    """A behaviour that writes down the order of what the runtime asks of it."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.hold: asyncio.Event | None = None
        self.appending = asyncio.Event()
        self.broken = False

    def decide(self, message: str) -> Decision:
        if self.broken:
            raise ZeroDivisionError(message)
        self.steps.append(f"decide {message}")
        return Decision((message,), f"did {message}")

    async def append(self, decision: Decision) -> tuple[Sequence[str], bool]:
        self.appending.set()
        if self.hold is not None:
            await self.hold.wait()
        self.steps.append(f"append {decision.drafts[0]}")
        return decision.drafts, decision.drafts[0] == "half"

    def is_degraded(self) -> bool:
        return False

    def evolve(self, record: str) -> None:
        self.steps.append(f"evolve {record}")

    def publish(self, decision: Decision) -> str:
        self.steps.append(f"publish {decision.drafts[0]}")
        return decision.answer

    def act(self, decision: Decision) -> None:
        self.steps.append(f"act {decision.drafts[0]}")


Running = tuple[Address[str, str], Recorder, asyncio.Task[None]]


def merging_of(message: str) -> Merging | None:
    """Questions merge with the same question, samples with any other."""
    match message.partition(" ")[0]:
        case "question":
            return Merging(key=message, reads=True)
        case "sample":
            return Merging(key="sample", reads=False)
        case _:
            return None


def make_address() -> Address[str, str]:
    return Address("test", lambda: "gap", merging_of, Deadlines())


@pytest.fixture
async def running():
    """An address with one life; the life is ended afterwards."""
    address, recorder = make_address(), Recorder()
    task = asyncio.get_running_loop().create_task(live(address, address.hand_over(), recorder))
    yield address, recorder, task
    task.cancel()
    await asyncio.wait([task])


async def test_a_turn_decides_appends_evolves_publishes_and_acts_in_this_order(running: Running):
    address, recorder, _ = running
    outcome = await address.ask("join", Lane.MEMBERS, 1.0)
    assert outcome == Outcome(kind=Answered.OK, answer="did join")
    assert [step.split()[0] for step in recorder.steps] == ["decide", "append", "evolve", "publish", "act"]


async def test_what_is_not_durable_everywhere_is_answered_degraded(running: Running):
    address, _, _ = running
    assert (await address.ask("half", Lane.REST, 1.0)).kind is Answered.DEGRADED


async def test_nothing_is_answered_before_the_append_has_returned(running: Running):
    address, recorder, _ = running
    recorder.hold = asyncio.Event()
    asked = asyncio.get_running_loop().create_task(address.ask("join", Lane.MEMBERS, 5.0))
    await recorder.appending.wait()
    assert not asked.done()
    assert recorder.steps == ["decide join"]
    recorder.hold.set()
    assert (await asked).kind is Answered.OK


async def test_lanes_are_served_in_order_and_each_in_its_own():
    address, recorder = make_address(), Recorder()
    for message, lane in (("r1", Lane.REST), ("m1", Lane.MEMBERS), ("m2", Lane.MEMBERS), ("c1", Lane.CONTROL)):
        address.tell(message, lane)
    task = asyncio.get_running_loop().create_task(live(address, address.hand_over(), recorder))
    await address.ask("last", Lane.REST, 1.0)
    task.cancel()
    await asyncio.wait([task])
    assert [step for step in recorder.steps if step.startswith("act")] == [
        "act c1",
        "act m1",
        "act m2",
        "act r1",
        "act last",
    ]


async def test_a_killed_lifes_message_is_handled_by_the_next_life_which_answers_the_ask():
    address, first, second = make_address(), Recorder(), Recorder()
    first.hold = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = loop.create_task(live(address, address.hand_over(), first))
    asked = loop.create_task(address.ask("join", Lane.MEMBERS, 5.0))
    await first.appending.wait()
    holder = address.hand_over()
    task.cancel()
    await asyncio.wait([task])
    successor = loop.create_task(live(address, holder, second))
    assert (await asked).answer == "did join"
    assert second.steps[0] == "decide join"
    successor.cancel()
    await asyncio.wait([successor])


async def test_a_zombie_can_neither_take_nor_finish():
    address, recorder = make_address(), Recorder()
    recorder.hold = asyncio.Event()
    loop = asyncio.get_running_loop()
    zombie = loop.create_task(live(address, address.hand_over(), recorder))
    address.tell("join", Lane.MEMBERS)
    await recorder.appending.wait()
    address.hand_over()
    recorder.hold.set()
    await asyncio.wait([zombie])
    assert isinstance(zombie.exception(), Revoked)
    assert address.statistics().waiting == (0, 1, 0)


async def test_a_full_member_lane_says_gap_and_the_actor_is_told_when_there_is_room():
    address, recorder = make_address(), Recorder()
    for each in range(CAPACITY[Lane.MEMBERS]):
        assert address.tell(f"m{each}", Lane.MEMBERS) is Admission.ACCEPTED
    assert address.tell("one too many", Lane.MEMBERS) is Admission.GAP
    task = asyncio.get_running_loop().create_task(live(address, address.hand_over(), recorder))
    await address.ask("last", Lane.REST, 5.0)
    task.cancel()
    await asyncio.wait([task])
    acted = [step for step in recorder.steps if step.startswith("act")]
    assert acted.index("act m0") < acted.index("act gap") < acted.index("act last")
    assert "act one too many" not in recorder.steps
    assert address.statistics().dropped == 1


async def test_deciding_that_raises_is_charged_to_the_message_and_a_dead_letter_is_answered_crashed():
    address, recorder = make_address(), Recorder()
    recorder.broken = True
    loop = asyncio.get_running_loop()
    task = loop.create_task(live(address, address.hand_over(), recorder))
    asked = loop.create_task(address.ask("poison", Lane.REST, 5.0))
    await asyncio.wait([task])
    assert isinstance(task.exception(), ZeroDivisionError)
    envelope = address.charge()
    assert envelope is not None
    assert envelope.failures == 1
    address.bury(envelope, "buried")
    assert await asked == Outcome(kind=Answered.CRASHED, text="buried")
    assert address.statistics().dead == 1


async def test_a_death_while_appending_is_charged_to_nobody():
    address, recorder = make_address(), Recorder()
    recorder.hold = asyncio.Event()
    task = asyncio.get_running_loop().create_task(live(address, address.hand_over(), recorder))
    address.tell("join", Lane.MEMBERS)
    await recorder.appending.wait()
    task.cancel()
    await asyncio.wait([task])
    assert address.stage is Stage.APPENDING
    assert address.charge() is None


async def test_a_closed_mailbox_answers_everyone_who_waits_and_whoever_comes_later():
    address = make_address()
    asked = asyncio.get_running_loop().create_task(address.ask("early", Lane.REST, 5.0))
    await asyncio.sleep(0)
    address.close("parked")
    assert (await asked).kind is Answered.CRASHED
    assert (await address.ask("late", Lane.REST, 5.0)).text == "parked"
    assert address.tell("late", Lane.MEMBERS) is Admission.CLOSED


async def test_an_ask_that_nobody_answers_ends_at_its_deadline_and_the_message_stays():
    address = make_address()
    assert (await address.ask("anyone?", Lane.REST, 0.01)).kind is Answered.DEADLINE
    assert address.statistics().waiting == (0, 0, 1)


# Asks that nobody answers in time


async def test_an_ask_that_nobody_answers_ends_at_its_deadline_and_its_message_stays():
    address = make_address()
    outcome = await address.ask("join", Lane.MEMBERS, 0.01)
    assert outcome == Outcome(kind=Answered.DEADLINE, text="no answer within 0.01 s")
    assert address.statistics().waiting == (0, 1, 0)


def test_each_ask_ends_at_its_own_deadline_and_one_timer_serves_them_all():
    loop = SimLoop(Random(1))
    ended: list[tuple[str, float]] = []

    async def wait(address: Address[str, str], message: str, timeout_s: float) -> None:
        await address.ask(message, Lane.REST, timeout_s)
        ended.append((message, loop.time()))

    async def main() -> None:
        address = make_address()
        tasks = [loop.create_task(wait(address, f"after {s}", float(s))) for s in (5, 1, 3)]
        await asyncio.sleep(0.01)
        assert len(loop._scheduled) == 1
        await asyncio.wait(tasks)
        await asyncio.sleep(1.0)
        assert not loop._scheduled

    loop.run(main())
    loop.close()
    assert [message for message, _ in ended] == ["after 1", "after 3", "after 5"]
    assert all(0 <= at_s - float(message.split()[1]) <= 2 * DEADLINES_EVERY_S for message, at_s in ended)


async def test_a_cancelled_ask_disturbs_nobody(running: Running):
    address, recorder, _ = running
    recorder.hold = asyncio.Event()
    asked = asyncio.get_running_loop().create_task(address.ask("join", Lane.MEMBERS, 5.0))
    await recorder.appending.wait()
    asked.cancel()
    recorder.hold.set()
    assert (await address.ask("another", Lane.MEMBERS, 5.0)).kind is Answered.OK


# Messages that make waiting ones superfluous


async def handled_by_a_life(address: Address[str, str]) -> list[str]:
    """What the next life acts on, in order, until nothing waits."""
    recorder = Recorder()
    task = asyncio.get_running_loop().create_task(live(address, address.hand_over(), recorder))
    await address.ask("last", Lane.REST, 5.0)
    task.cancel()
    await asyncio.wait([task])
    return [step.removeprefix("act ") for step in recorder.steps if step.startswith("act")][:-1]


async def test_the_same_question_is_handled_once_and_answers_everyone():
    address = make_address()
    asks = [asyncio.ensure_future(address.ask("question 1", Lane.REST, 5.0)) for _ in range(5)]
    await asyncio.sleep(0)
    assert await handled_by_a_life(address) == ["question 1"]
    assert {(await ask).answer for ask in asks} == {"did question 1"}
    numbers = address.statistics()
    assert (numbers.accepted, numbers.coalesced, numbers.handled) == (6, 4, 2)


async def test_a_newer_sample_takes_the_place_of_one_that_waits():
    address = make_address()
    assert address.tell("sample 1", Lane.REST) is Admission.ACCEPTED
    address.tell("question 1", Lane.REST)
    assert address.tell("sample 2", Lane.REST) is Admission.COALESCED
    assert await handled_by_a_life(address) == ["sample 2", "question 1"]


@pytest.mark.parametrize("change", ["command", "sample 1"])
async def test_a_question_that_was_asked_after_a_change_is_not_answered_before_it(change: str):
    address = make_address()
    for message in ("question 1", change, "question 1"):
        assert address.tell(message, Lane.REST) is Admission.ACCEPTED
    assert await handled_by_a_life(address) == ["question 1", change, "question 1"]


async def test_a_sample_does_not_overtake_what_came_before_it():
    address = make_address()
    for message in ("sample 1", "command", "sample 2"):
        address.tell(message, Lane.REST)
    assert await handled_by_a_life(address) == ["sample 1", "command", "sample 2"]


async def test_members_never_merge():
    address = make_address()
    for _ in range(3):
        assert address.tell("question 1", Lane.MEMBERS) is Admission.ACCEPTED
    assert await handled_by_a_life(address) == ["question 1"] * 3


async def test_what_is_in_hand_takes_nobody_over():
    """It may have been decided already: what came since is not in its answer."""
    address, recorder = make_address(), Recorder()
    recorder.hold = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = loop.create_task(live(address, address.hand_over(), recorder))
    address.tell("question 1", Lane.REST)
    await recorder.appending.wait()
    assert address.tell("question 1", Lane.REST) is Admission.ACCEPTED
    task.cancel()
    await asyncio.wait([task])
    assert await handled_by_a_life(address) == ["question 1", "question 1"]


async def test_a_full_lane_still_takes_what_merges(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mailbox, "CAPACITY", (*CAPACITY[:-1], 2))
    address = make_address()
    for message in ("question 1", "question 2"):
        address.tell(message, Lane.REST)
    assert address.tell("question 3", Lane.REST) is Admission.GAP
    assert address.tell("question 2", Lane.REST) is Admission.COALESCED
    assert address.tell("question 3", Lane.REST) is Admission.GAP
