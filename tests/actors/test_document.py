"""The document of everything: what the records say by guild, and the records themselves, in flat memory."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from itertools import count

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cli import document as module
from actors.cli.document import document
from actors.cli.history import GuildHistory
from ledger.errors import Corrupt, StorageError
from ledger.evolve import evolve
from ledger.ids import GuildId, InviteCode, SessionId, UserId
from ledger.records import (
    CreditGranted,
    Event,
    GuildAdopted,
    GuildForgotten,
    InternalCause,
    InviteAssigned,
    JoinRecorded,
    MemberForgotten,
    Record,
)
from ledger.state import GuildState
from persistence.cloud import CloudLayer
from persistence.cloud_bytes import segment_key
from persistence.frames import Frame
from persistence.layer import LayerSummary
from persistence.offload import inline
from tests.actors.test_cli_export import expected, played
from tests.actors.written import Sealer, appends_of
from tests.memory.layer import MemoryLayer
from tests.memory.objects import MemoryBucket, MemoryObjects
from tests.persistence.making import RED, Chain, TestClock, TestRandomness


async def layer_of(appends: Sequence[Sequence[Record]]) -> MemoryLayer:
    layer = MemoryLayer("cloud")
    await layer.open()
    await layer.begin(1, "lineage")
    if appends:
        await layer.append(Sealer()(appends))
    await layer.close()
    return layer


async def told(layer: MemoryLayer) -> dict[str, object]:
    return json.loads(b"".join([piece async for piece in document(layer, TestClock())]))


def record(seq: int, event: Event, guild: str = "1") -> Record:
    cause = InternalCause(what="test")
    return Record(
        gsn=0, guild=GuildId(guild), seq=seq, epoch=1, at_ms=0, cause=cause, key=f"k/{seq}", event=event, last=seq
    )


def joined(user: str, at_us: int) -> JoinRecorded:
    return JoinRecorded(user=UserId(user), joined_at_us=at_us, arrived_us=at_us, session=SessionId("s"))


def credited(user: str, at_us: int, staff: str) -> CreditGranted:
    return CreditGranted(user=UserId(user), opened_us=at_us, kind="join", staff=UserId(staff))


def assigned(code: str, staff: str, version: int, by: str | None = None) -> InviteAssigned:
    return InviteAssigned(
        code=InviteCode(code), staff=UserId(staff), since_us=version * 1_000, version=version, by=by and UserId(by)
    )


async def test_nothing_is_a_document_as_well_and_not_everything():
    """The folder may be another one than was meant; `jq -e .complete` is the check that the page names."""
    whole = await told(await layer_of([]))
    made_at_ms = whole.pop("made_at_ms")
    assert isinstance(made_at_ms, int)
    assert whole == {
        "format": 1,
        "gsn": 0,
        "missing": [],
        "notes": ["no record is there"],
        "guilds": [],
        "records": [],
        "complete": False,
    }


@pytest.mark.parametrize("folded", [1, 60, 200_000])
async def test_every_guild_says_what_export_says_and_every_record_is_there(
    folded: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "FOLDED_RECORDS", folded)
    monkeypatch.setattr(module, "PIECE_BYTES", 1_000)
    worlds = [played(seed) for seed in range(12)]
    appends = appends_of(*(world.records for world in worlds))
    layer = await layer_of(appends)
    whole = await told(layer)
    assert [guild["guild"] for guild in whole["guilds"]] == [str(number) for number in range(1, 13)]
    for number, world in enumerate(worlds, start=1):
        guild = whole["guilds"][number - 1]
        assert guild["joins"] == expected(world.records, str(number))
        assert guild["records"] == len(world.records)
        assert sum(line["credits"] for line in guild["staff"]) == sum(1 for j in guild["joins"] if j["credited"])
    await layer.open()
    frames = [frame async for frame in layer.frames_after(0)]
    assert whole["records"] == [json.loads(frame.data) for frame in frames]
    assert (whole["gsn"], whole["complete"]) == (len(frames), True)


async def test_assignments_staff_and_the_beginning_are_told():
    events = [
        GuildAdopted(counting_since_us=5_000_000),
        assigned("abc", "7", 1, by="9"),
        assigned("abc", "8", 2),
        joined("5", 1_000),
        joined("6", 2_000),
        joined("4", 3_000),
        credited("5", 1_000, "7"),
        credited("6", 2_000, "8"),
        credited("4", 3_000, "8"),
    ]
    layer = await layer_of([[record(seq, event)] for seq, event in enumerate(events, start=1)])
    (guild,) = (await told(layer))["guilds"]
    assert guild["counting_since_ms"] == 5_000
    assert guild["assignments"] == [
        {"code": "abc", "staff": "7", "since_ms": 1, "by": "9"},
        {"code": "abc", "staff": "8", "since_ms": 2, "by": None},
    ]
    assert guild["staff"] == [{"staff": "8", "credits": 2}, {"staff": "7", "credits": 1}]


MEMBERS = st.sampled_from(["7", "8", "9"])
FACTS = st.lists(
    st.one_of(
        st.builds(lambda code, staff, by: ("assign", code, staff, by), st.sampled_from("ab"), MEMBERS, MEMBERS),
        st.builds(lambda user: ("forget", user), MEMBERS),
        st.just(("forget all",)),
        st.just(("adopt",)),
    ),
    max_size=12,
)


@given(FACTS)
def test_assignments_are_those_of_the_state_whoever_was_forgotten(facts: list[tuple[str, ...]]):
    tombstones, state, history = count(1), GuildState(guild=GuildId("1")), GuildHistory(GuildId("1"))
    for seq, fact in enumerate(facts, start=1):
        match fact:
            case "assign", code, staff, by:
                event = assigned(code, staff, seq, by)
            case "forget", user:
                event = MemberForgotten(user=UserId(user), tombstone=next(tombstones))
            case ("adopt",):
                event = GuildAdopted(counting_since_us=seq * 1_000)
            case _:
                event = GuildForgotten(until_us=seq)
        state = evolve(state, record(seq, event))
        history.take(record(seq, event))
    held = [(code, a.staff, a.since_us // 1_000, a.by) for code, all_ in state.assignments.items() for a in all_]
    lines = [(line.code, line.staff, line.since_ms, line.by) for line in history.assignments()]
    bare = [
        tuple(each.removeprefix("forgotten") if isinstance(each, str) else each for each in line) for line in lines
    ]
    assert sorted(bare, key=lambda line: line[2]) == sorted(held, key=lambda line: line[2])
    assert history.counting_since_ms() == state.counting_since_us // 1_000


class Torn(MemoryLayer):
    """A layer whose last record cannot be read from its ``bad``th reading on, or is gone then."""

    def __init__(self, bad: int, error: Exception | None) -> None:
        super().__init__("cloud")
        self._readings = count(1)
        self._bad, self._error = bad, error

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        bad = next(self._readings) >= self._bad
        frames = [frame async for frame in super().frames_after(gsn)]
        for frame in frames[:-1]:
            yield frame
        if not bad:
            yield frames[-1]
        elif self._error:
            raise self._error


async def torn(bad: int, error: Exception | None) -> Torn:
    layer = Torn(bad, error)
    await layer.open()
    await layer.begin(1, "lineage")
    await layer.append(Sealer()([[record(seq, joined(str(seq), seq))] for seq in range(1, 2_000)]))
    await layer.close()
    return layer


async def test_what_cannot_be_read_is_found_before_anything_is_sent():
    async with aclosing(document(await torn(1, Corrupt("seg/1", "checksum differs")), TestClock())) as pieces:
        with pytest.raises(Corrupt):
            await anext(pieces)


async def test_what_goes_away_meanwhile_ends_the_document():
    sent = b""
    with pytest.raises(StorageError, match="1999 records were 1998 at last"):  # noqa: PT012 -- what came before
        async for piece in document(await torn(3, None), TestClock()):
            sent += piece
    with pytest.raises(json.JSONDecodeError):
        json.loads(sent)


async def test_what_comes_meanwhile_is_left_out():
    layer = await layer_of([[record(1, joined("1", 1))]])
    summary = await layer.open()

    class Growing(MemoryLayer):
        async def open(self) -> LayerSummary:
            return summary

        async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
            assert gsn == 0
            for frame in Sealer()([[record(seq, joined(str(seq), seq))] for seq in (1, 2, 3)]):
                yield frame

    assert [each["gsn"] for each in (await told(Growing("cloud")))["records"]] == [1]


class Closing(MemoryLayer):
    """Counts how often it was closed."""

    closed = 0

    async def close(self) -> None:
        self.closed += 1
        await super().close()


async def test_the_layer_is_closed_however_the_document_ends():
    layer = Closing("cloud")
    await told(layer)
    assert layer.closed == 1
    async with aclosing(document(layer, TestClock())) as pieces:
        await anext(pieces)
    assert layer.closed == 2


async def test_others_have_their_turn_while_it_is_made():
    layer, turns = await layer_of([[record(seq, joined(str(seq), seq))] for seq in range(1, 2_001)]), 0

    async def live() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(live())
    await told(layer)
    beside.cancel()
    assert turns >= 4 * 2_000 // module.BREATH


async def test_holes_and_notes_are_told():
    class Holed(MemoryLayer):
        async def open(self) -> LayerSummary:
            return msgspec.structs.replace(await super().open(), gsn=9, notes=("seg/2 cannot be read",))

    holed, chain = Holed("cloud"), Chain()
    await holed.open()
    await holed.begin(1, "lineage")
    await holed.append(chain.batch(RED, RED))
    chain.batch(RED, RED, RED)
    await holed.append(chain.batch(RED))
    whole = await told(holed)
    assert (whole["missing"], whole["notes"][-1]) == ([[3, 5], [7, 9]], "seg/2 cannot be read")
    assert whole["complete"] is False


async def test_where_there_may_have_been_more_it_is_not_complete():
    class Doubted(MemoryLayer):
        async def open(self) -> LayerSummary:
            return msgspec.structs.replace(await super().open(), notes=("seg/2 cannot be read",))

    doubted = Doubted("cloud")
    await doubted.open()
    await doubted.begin(1, "lineage")
    await doubted.append(Chain().batch(RED))
    whole = await told(doubted)
    assert (whole["missing"], whole["complete"]) == ([], False)


async def test_where_records_stand_on_no_chain_it_is_not_complete():
    class Parted(MemoryLayer):
        async def open(self) -> LayerSummary:
            return msgspec.structs.replace(await super().open(), aside={GuildId("1"): 2})

    assert (await told(Parted("cloud")))["complete"] is False


class Long(MemoryLayer):
    """So many records of many guilds, none of them in memory."""

    def __init__(self, records: int) -> None:
        super().__init__("cloud")
        self._records = records

    async def open(self) -> LayerSummary:
        return LayerSummary(epoch=1, lineage="lineage", gsn=self._records, heads={})

    async def frames_after(self, gsn: int) -> AsyncIterator[Frame]:
        assert gsn == 0
        seal = Sealer()
        for number in range(self._records):
            (frame,) = seal([[record(number // 100 + 1, joined(str(number + 1), number), str(number % 100 + 1))]])
            seal.digests.clear()
            yield frame


async def peak_of(records: int) -> int:
    tracemalloc.start()
    try:
        async for _ in document(Long(records), TestClock()):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_memory_does_not_grow_with_the_history(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FOLDED_RECORDS", 500)
    small, large = await peak_of(1_000), await peak_of(4_000)
    assert large < 1.5 * small


async def test_what_has_rotted_beneath_an_index_is_missing_there():
    """Whoever opens the cloud by its index has not read that yet."""
    bucket, chain = MemoryBucket(), Chain()
    layer = CloudLayer(MemoryObjects(bucket), inline, TestRandomness(), TestClock(), "writer")
    await layer.open()
    await layer.begin(1, "lineage")
    for _ in range(3):
        await layer.append(chain.batch(RED))
    await layer._packer._write_index()
    rotten = bucket.objects[segment_key(3)]
    bucket.objects[segment_key(3)] = rotten[:-1] + bytes([rotten[-1] ^ 1])
    reader = CloudLayer(MemoryObjects(bucket), inline, TestRandomness(), TestClock(), "reader")
    whole = await told(reader)
    assert (whole["missing"], whole["complete"]) == ([[2, 2]], False)
    assert any("seg/0000000003" in note for note in whole["notes"])
