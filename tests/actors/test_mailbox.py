"""Mailboxes as values: who may take, what is counted, when a gap is told. Turns are in test_runtime.py."""

import asyncio

import pytest

from actors.asks import Answered, Deadlines
from actors.mailbox import CAPACITY, Address, Admission, Lane, Merging, Revoked, Stage


def merging_of(message: str) -> Merging | None:
    return Merging(key=message, reads=True) if message.startswith("question") else None


@pytest.fixture
async def address() -> Address[str, str]:
    return Address("test", lambda: "gap", merging_of, Deadlines())


def messages_of(address: Address[str, str]) -> list[str]:
    """Takes and finishes until nothing waits."""
    holder = address.hand_over()
    taken: list[str] = []
    while (envelope := address.take(holder)) is not None:
        taken.append(envelope.message)
        address.finish(holder, envelope)
    return taken


async def test_a_life_that_was_replaced_while_it_waited_can_take_nothing(address: Address[str, str]):
    zombie = address.hand_over()
    assert address.take(zombie) is None
    address.hand_over()
    address.tell("join", Lane.MEMBERS)
    with pytest.raises(Revoked):
        address.take(zombie)


async def test_a_life_that_was_replaced_in_its_turn_cannot_finish_it(address: Address[str, str]):
    zombie = address.hand_over()
    address.tell("join", Lane.MEMBERS)
    envelope = address.take(zombie)
    assert envelope is not None
    successor = address.hand_over()
    with pytest.raises(Revoked):
        address.finish(zombie, envelope)
    again = address.take(successor)
    assert again is envelope
    assert address.statistics().handled == 0


async def test_who_waits_is_woken_by_what_arrives_and_by_losing_the_mailbox(address: Address[str, str]):
    loop = asyncio.get_running_loop()
    for happens in (lambda: address.tell("join", Lane.MEMBERS), address.hand_over):
        waiting = loop.create_task(address.arrival())
        await asyncio.sleep(0)
        happens()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert waiting.done()


async def test_a_mailbox_is_idle_only_with_nothing_waiting_and_nothing_in_hand(address: Address[str, str]):
    holder = address.hand_over()
    assert address.is_idle()
    address.tell("join", Lane.MEMBERS)
    assert not address.is_idle()
    envelope = address.take(holder)
    assert envelope is not None
    assert not address.is_idle()
    address.finish(holder, envelope)
    assert address.is_idle()


@pytest.mark.parametrize("lane", Lane)
async def test_a_lane_holds_so_many_and_then_says_gap(address: Address[str, str], lane: Lane):
    admissions = [address.tell(f"m{at}", lane) for at in range(CAPACITY[lane] + 2)]
    assert admissions == [Admission.ACCEPTED] * CAPACITY[lane] + [Admission.GAP] * 2
    numbers = address.statistics()
    assert (numbers.waiting[lane], numbers.accepted, numbers.dropped) == (CAPACITY[lane], CAPACITY[lane], 2)


async def test_a_gap_is_told_once_as_soon_as_every_lane_is_at_most_half_full(address: Address[str, str]):
    capacity = CAPACITY[Lane.MEMBERS]
    for at in range(capacity + 1):
        address.tell(str(at), Lane.MEMBERS)
    taken = messages_of(address)
    assert taken.count("gap") == 1
    assert taken.index("gap") == capacity // 2
    assert len(taken) == capacity + 1


async def test_a_question_that_found_no_room_leaves_no_gap(address: Address[str, str]):
    for at in range(CAPACITY[Lane.REST]):
        address.tell(str(at), Lane.REST)
    outcome = await address.ask("me too", Lane.REST, 5.0)
    assert outcome.kind is Answered.REJECTED
    assert "gap" not in messages_of(address)


async def test_a_question_that_waits_answers_a_later_one_though_somebody_joined_in_between(
    address: Address[str, str],
):
    first = asyncio.ensure_future(address.ask("question", Lane.REST, 5.0))
    await asyncio.sleep(0)
    address.tell("join", Lane.MEMBERS)
    second = asyncio.ensure_future(address.ask("question", Lane.REST, 5.0))
    await asyncio.sleep(0)
    assert address.waiting_in(Lane.REST) == ("question",)
    address.close("the end")
    assert [(await each).text for each in (first, second)] == ["the end"] * 2


async def test_a_parked_guild_answers_questions_at_once_keeps_what_it_is_told_and_hears_of_a_gap(
    address: Address[str, str],
):
    asked = asyncio.ensure_future(address.ask("question", Lane.REST, 5.0))
    await asyncio.sleep(0)
    address.tell("join", Lane.MEMBERS)
    address.park("given up")
    assert (await asked).text == "given up"
    assert address.waiting_in(Lane.REST) == ()
    assert (await address.ask("question", Lane.REST, 5.0)).kind is Answered.CRASHED
    assert address.tell("leave", Lane.MEMBERS) is Admission.ACCEPTED
    address.unpark()
    later = asyncio.ensure_future(address.ask("question", Lane.REST, 5.0))
    await asyncio.sleep(0)
    assert messages_of(address) == ["gap", "join", "leave", "question"]
    later.cancel()


async def test_a_message_is_charged_only_where_deciding_on_it_failed(address: Address[str, str]):
    holder = address.hand_over()
    address.tell("join", Lane.MEMBERS)
    assert address.charge() is None
    envelope = address.take(holder)
    assert envelope is not None
    for stage in Stage:
        address.stage = stage
        assert (address.charge() is envelope) == (stage is Stage.DECIDING)
    assert envelope.failures == 1
    address.bury(envelope, "twice")
    numbers = address.statistics()
    assert (numbers.dead, numbers.handled, numbers.waiting) == (1, 0, (0, 0, 0))
    assert address.is_idle()


async def test_what_was_buried_takes_no_later_question_over(address: Address[str, str]):
    address.hand_over()
    first = asyncio.ensure_future(address.ask("question", Lane.REST, 5.0))
    await asyncio.sleep(0)
    address.park("given up")
    assert (await first).kind is Answered.CRASHED
    address.unpark()
    second = asyncio.ensure_future(address.ask("question", Lane.REST, 5.0))
    await asyncio.sleep(0)
    assert address.statistics().waiting == (0, 0, 1)
    second.cancel()


async def test_who_dozes_is_roused_once_by_what_arrives(address: Address[str, str]):
    roused: list[str] = []
    address.doze(lambda: roused.append("up"))
    for _ in range(2):
        address.tell("join", Lane.MEMBERS)
    assert roused == ["up"]


async def test_a_turn_that_nobody_revoked_is_counted_and_the_lanes_are_seen(address: Address[str, str]):
    address.tell("a", Lane.CONTROL)
    address.tell("b", Lane.MEMBERS)
    address.tell("c", Lane.MEMBERS)
    assert list(address.waiting_in(Lane.MEMBERS)) == ["b", "c"]
    assert messages_of(address) == ["a", "b", "c"]
    assert address.statistics().handled == 3
