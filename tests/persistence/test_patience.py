"""Objects that are asked again: how often, of what, and what a lost answer comes to."""

from collections.abc import Iterator

import pytest
import stamina

from persistence.objects import Refused, StorageError, Unreachable, create_once
from persistence.patience import ATTEMPTS, PatientObjects
from tests.memory.objects import Call, MemoryBucket, MemoryObjects


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


class Line:
    """A way to a bucket that fails so often, before or after a call took effect."""

    def __init__(self, fails: int, error: type[StorageError] = Unreachable, *, after: bool = False) -> None:
        self.bucket = MemoryBucket({"a/1": b"one", "a/2": b"two"})
        self.calls: list[str] = []
        self._fails, self._error = fails, error
        objects = MemoryObjects(self.bucket)
        if after:
            objects.after = self._fail
        else:
            objects.before = self._fail
        self.patient = PatientObjects(objects)

    async def _fail(self, call: Call) -> None:
        self.calls.append(call.verb)
        if len(self.calls) <= self._fails:
            raise self._error("no answer")


async def test_a_blip_is_not_told():
    line = Line(fails=2)
    assert await line.patient.get("a/1") == b"one"
    assert line.calls == ["get"] * 3


async def test_an_outage_is():
    line = Line(fails=99)
    with pytest.raises(Unreachable):
        await line.patient.put("a/3", b"three")
    assert line.calls == ["put"] * ATTEMPTS


async def test_a_refusal_is_told_at_once():
    line = Line(fails=1, error=Refused)
    with pytest.raises(Refused):
        await line.patient.delete("a/1")
    assert line.calls == ["delete"]


async def test_a_listing_is_made_again_from_its_beginning_and_told_once():
    line = Line(fails=1, after=True)
    assert [key async for key in line.patient.keys("a/")] == ["a/1", "a/2"]
    assert [key async for key in line.patient.keys("a/", after="a/1")] == ["a/2"]


async def test_an_answer_that_was_lost_is_known_for_ones_own():
    line = Line(fails=1, after=True)
    assert await create_once(line.patient, "a/3", b"mine")
    assert line.bucket.objects["a/3"] == b"mine"


async def test_what_another_has_created_is_not_ones_own():
    line = Line(fails=1)
    assert not await create_once(line.patient, "a/1", b"mine")
    assert line.bucket.objects["a/1"] == b"one"
