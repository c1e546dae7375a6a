"""A cloud that is not what it was: emptied and put back, another bot's, or one that others went on in meanwhile.

Nothing here waits: a machine tends its cloud as the uploader does (``actors/uploader.py``), and looks when told to.
"""

from collections import Counter
from itertools import count, product

import pytest

from ledger.errors import Corrupt, Stale, StorageError, WrongHistory
from persistence import cloud_packs
from persistence.following import PutBack
from persistence.objects import Unreachable
from tests.memory.objects import Call, MemoryBucket
from tests.persistence.making import RED
from tests.persistence.test_store_cloud import Machine


class Tending(Machine):
    """A machine that looks after its cloud. ``told``: what it met, by the errors' names."""

    def __init__(self, bucket: MemoryBucket, writer: str) -> None:
        super().__init__(bucket, writer)
        self.told: list[str] = []

    async def tend(self) -> None:
        """Looks, and gives the cloud what it lacks, however often it fails."""
        following = self.store.following
        assert following is not None
        following.doubt()
        for attempt in count():
            try:
                if following.fenced:
                    await following.look()
                    await following.give(self.store.frames_after)
                else:
                    await following.ask()
                    await self.store.restart_epoch()
                    self.seqs = {guild: self.store.head_of(guild).seq for guild in self.store.guilds()}
            except (StorageError, Corrupt) as error:
                self.told.append(type(error).__name__)
            if attempt == 9 or (following.fenced and not following.behind()):
                return

    async def lives(self, joins: int) -> None:
        await self.started()
        await self.goes_on(joins)

    async def goes_on(self, joins: int) -> None:
        for _ in range(joins):
            await self.join(RED)
            await self.tend()

    async def packs(self) -> bool:
        assert self.store.following is not None
        return await self.store.following.layer.pack()


async def restored(bucket: MemoryBucket) -> list[str]:
    """Whose joins a machine finds whose disk was wiped."""
    return await (await Machine(bucket, "z").started()).users_of()


async def test_a_copy_that_comes_back_after_what_was_lost_was_given_again_is_found_out():
    """The new cloud has few segments, the copy more: by their numbers nothing is missing in it."""
    bucket = MemoryBucket()
    mine = Tending(bucket, "a")
    await mine.lives(7)
    backup = bucket.copy()
    await mine.join(RED)
    await mine.tend()
    bucket.objects.clear()
    await mine.tend()
    assert mine.told == [PutBack.__name__]
    bucket.roll_back(backup)
    for _ in range(2):
        await mine.join(RED)
        await mine.tend()
    assert mine.told.count(PutBack.__name__) == 2
    assert await restored(bucket) == await mine.users_of()


async def test_what_is_written_before_anybody_looks_is_given_again_as_well():
    bucket = MemoryBucket()
    mine = Tending(bucket, "a")
    await mine.lives(3)
    backup = bucket.copy()
    for _ in range(3):
        await mine.join(RED)
        await mine.tend()
    bucket.roll_back(backup)
    await mine.join(RED)
    await mine.upload()  # nobody has looked yet
    await mine.tend()
    assert await restored(bucket) == await mine.users_of()


async def test_of_two_writers_that_have_one_epoch_the_first_finds_that_it_is_not_his_any_more():
    bucket = MemoryBucket()
    await Tending(bucket, "c").lives(2)
    before = bucket.copy()
    mine = Tending(bucket, "a")
    await mine.lives(1)
    bucket.roll_back(before)
    other = Tending(bucket, "b")
    await other.lives(1)
    assert other.store.epoch == mine.store.epoch
    await mine.join(RED)
    with pytest.raises(Stale):
        await mine.tend()
    await other.join(RED)
    await other.tend()
    assert await restored(bucket) == await other.users_of()


@pytest.mark.parametrize("segments", [1, 2, 3, 9])
@pytest.mark.parametrize("lives", [1, 3])
async def test_another_bots_cloud_in_the_place_of_ones_own_is_let_alone_and_the_right_one_goes_on(
    segments: int, lives: int
):
    theirs, bucket = MemoryBucket(), MemoryBucket()
    other = Tending(theirs, "b")
    for _ in range(lives):
        other.process()
        await other.lives(segments)
    their_users = await other.users_of()
    mine = Tending(bucket, "a")
    await mine.lives(3)
    own = bucket.copy()
    bucket.roll_back(theirs)  # the wrong volume is mounted
    await mine.join(RED)
    await mine.tend()
    assert StorageError.__name__ in mine.told
    epochs = {key for key in bucket.objects if key.startswith("epoch/")}
    assert epochs == {key for key in theirs.objects if key.startswith("epoch/")}
    mine.process()
    with pytest.raises(WrongHistory):
        await mine.started()
    theirs.roll_back(bucket)
    bucket.roll_back(own)
    assert await restored(theirs) == their_users, "what was written there by mistake does not count"
    other.process()
    await other.lives(1)
    assert (await other.users_of())[:-1] == their_users
    mine.process()
    await mine.lives(1)
    assert await restored(bucket) == await mine.users_of()


async def test_the_right_cloud_that_comes_back_under_the_running_bot_goes_on():
    theirs, bucket = MemoryBucket(), MemoryBucket()
    other, mine = Tending(theirs, "b"), Tending(bucket, "a")
    for _ in range(4):
        other.process()
        await other.lives(1)
    await mine.lives(3)
    own = bucket.copy()
    bucket.roll_back(theirs)
    await mine.join(RED)
    await mine.tend()
    bucket.roll_back(own)
    await mine.join(RED)
    await mine.tend()
    assert await restored(bucket) == await mine.users_of()


async def test_an_epoch_that_jumped_ahead_of_what_could_not_be_read_beats_nobody_who_went_on_in_the_cloud():
    bucket = MemoryBucket()
    mine = Tending(bucket, "a")
    await mine.lives(1)
    mine.process()
    mine.cut_off()
    mine.database.go_away(StorageError("away"))
    await mine.started()
    await mine.join(RED)
    mine.connect()
    mine.database.come_back()
    other = Tending(bucket, "b")
    for _ in range(3):
        other.process()
        await other.lives(5)
    mine.process()
    await mine.started()
    assert (await mine.users_of())[:16] == await other.users_of()


class Promising(Tending):
    """What it acknowledges is in the cloud."""

    named = frozenset({"log", "database", "cloud"})


async def apart(machine: type[Tending]) -> tuple[MemoryBucket, Tending, list[str]]:
    """One that went on without the cloud, and whom another had acknowledged there meanwhile.

    The one took more epochs than the other, and some of the same numbers, and claimed none of them.
    """
    bucket = MemoryBucket()
    mine = machine(bucket, "a")
    await mine.lives(1)
    mine.cut_off()
    for _ in range(3):
        mine.process()
        await mine.started()
        await mine.join(RED)
    other = machine(bucket, "b")
    for _ in range(2):
        other.process()
        await other.lives(1)
    assert mine.store.epoch > other.store.epoch
    mine.connect()
    mine.process()
    return bucket, mine, await other.users_of()


@pytest.mark.parametrize("machine", [Promising, Tending])
async def test_what_was_promised_in_the_cloud_stays_there_when_a_folder_that_went_on_without_comes_back(
    machine: type[Tending],
):
    bucket, mine, promised = await apart(machine)
    await mine.started()
    await mine.tend()
    assert (await restored(bucket) == promised) == (machine is Promising)
    assert mine.store.salvage.pending()


async def test_what_was_promised_in_the_cloud_stays_there_wherever_the_start_of_that_folder_meets_an_error():
    """It goes on without the cloud then, in an epoch that it may have claimed."""
    for number in count(1):
        bucket, mine, promised = await apart(Promising)
        calls = Counter[str]()

        async def once(call: Call, calls: Counter[str] = calls, number: int = number) -> None:
            calls[call.verb] += 1
            if calls.total() == number:
                raise Unreachable("once")

        mine.objects.before = once
        await mine.started()
        if calls.total() < number:
            assert number > 10
            return
        mine.connect()
        await mine.join(RED)
        await mine.tend()
        assert (await restored(bucket))[: len(promised)] == promised


async def test_a_branch_that_wins_may_be_shorter_than_what_two_starts_without_the_cloud_found():
    bucket = MemoryBucket()
    mine = Tending(bucket, "a")
    await mine.lives(1)
    await mine.join(RED, 3)  # and none of it went up
    await Tending(bucket, "b").lives(1)
    mine.cut_off()
    for _ in range(2):
        mine.process()
        await mine.started()
    mine.connect()
    await mine.tend()
    assert mine.store.following is not None
    assert mine.store.following.fenced
    assert not mine.store.is_in_doubt()


@pytest.mark.parametrize("loss", ["emptied", "put back"])
@pytest.mark.parametrize("is_indexed", [False, True])
@pytest.mark.parametrize("meanwhile", [0, 2, 12])
@pytest.mark.parametrize("is_laid_over", [False, True])
async def test_a_copy_that_is_laid_among_what_was_given_again_is_found_out(
    loss: str, meanwhile: int, monkeypatch: pytest.MonkeyPatch, *, is_indexed: bool, is_laid_over: bool
):
    """As `aws s3 sync` or `cp -r` put a copy back, or, with what is there left alone, who undeletes versions."""
    bucket = MemoryBucket()
    mine = Tending(bucket, "a")
    await mine.lives(2)
    earlier = bucket.copy()
    await mine.goes_on(5)
    if is_indexed:
        with monkeypatch.context() as patch:
            patch.setattr(cloud_packs, "PACK_SEGMENTS", 4)
            assert await mine.packs()
    backup = bucket.copy()
    await mine.goes_on(3)
    bucket.roll_back(MemoryBucket() if loss == "emptied" else earlier)
    await mine.tend()
    await mine.goes_on(meanwhile)
    under, over = (bucket, backup) if is_laid_over else (backup, bucket)
    bucket.objects = under.objects | over.objects
    await mine.tend()
    await mine.packs()
    assert await restored(bucket) == await mine.users_of()


async def test_no_index_of_what_is_gone_comes_into_an_emptied_cloud(monkeypatch: pytest.MonkeyPatch):
    """It would be believed there: its last segment is."""
    monkeypatch.setattr(cloud_packs, "PACK_SEGMENTS", 4)
    bucket = MemoryBucket()
    mine = Tending(bucket, "a")
    await mine.lives(5)
    bucket.objects.clear()
    await mine.join(RED)
    await mine.upload()  # nobody has looked yet
    with pytest.raises(StorageError, match="no index"):
        await mine.packs()
    await mine.tend()
    assert await restored(bucket) == await mine.users_of()


@pytest.mark.parametrize(
    ("rotten", "damage"), [*product((1, 2, 3), ("head", "body", "gone")), (4, "body")]
)  # of a last one that does not say what it holds nobody knows
@pytest.mark.parametrize("is_indexed", [False, True])
async def test_an_object_that_is_put_back_as_it_was_counts_again(
    rotten: int, damage: str, monkeypatch: pytest.MonkeyPatch, *, is_indexed: bool
):
    """It was damaged, or only its answer was garbled, while another process wrote behind it, and made an index."""
    bucket = MemoryBucket()
    mine = Tending(bucket, "a")
    await mine.lives(4)
    key = sorted(key for key in bucket.objects if key.startswith("seg/"))[rotten]
    whole = bucket.objects[key]
    bucket.objects[key] = b"?" + whole[1:] if damage == "head" else whole[:-1] + b"?"
    if damage == "gone":
        del bucket.objects[key]
    other = Tending(bucket, "b")
    await other.started()
    if is_indexed:
        with monkeypatch.context() as patch:
            patch.setattr(cloud_packs, "PACK_SEGMENTS", 1)
            assert await other.packs()
    assert len(await restored(bucket)) == rotten - 1
    bucket.objects[key] = whole
    assert await restored(bucket) == await mine.users_of()


@pytest.mark.parametrize("is_down", [False, True])
@pytest.mark.parametrize("is_indexed", [False, True])
@pytest.mark.parametrize("segments", [1, 2, 4, 7])
async def test_a_copy_that_ends_before_the_epoch_began_is_found_out_by_its_first_segment(
    segments: int, monkeypatch: pytest.MonkeyPatch, *, is_indexed: bool, is_down: bool
):
    """The bot has filled an emptied cloud again, and was started since; then yesterday's copy is laid over it."""
    bucket = MemoryBucket()
    mine = Tending(bucket, "a")
    await mine.lives(6)
    backup = {key: data for key, data in bucket.objects.items() if key <= f"seg/{segments:010d}"}
    await mine.goes_on(2)
    bucket.objects.clear()
    await mine.tend()
    await mine.goes_on(8)
    mine.process()
    await mine.lives(1)
    if is_indexed:
        with monkeypatch.context() as patch:
            patch.setattr(cloud_packs, "PACK_SEGMENTS", 1)
            assert await mine.packs()
    if is_down:
        mine.process()
        bucket.objects |= backup
        await mine.started()
    else:
        bucket.objects |= backup
    await mine.tend()
    await mine.goes_on(1)
    for key in [key for key in bucket.objects if key.startswith(("pack/", "index/"))]:
        del bucket.objects[key]  # which may be done without
    assert await restored(bucket) == await mine.users_of()


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_first_segment_that_is_gone_or_damaged_is_no_copy_of_before(
    monkeypatch: pytest.MonkeyPatch, *, is_gone: bool
):
    """A store may be told to let go of what is old; packs hold it."""
    monkeypatch.setattr(cloud_packs, "PACK_SEGMENTS", 1)
    bucket = MemoryBucket()
    mine = Tending(bucket, "a")
    await mine.lives(4)
    assert await mine.packs()
    mine.process()
    await mine.lives(1)
    first = bucket.objects.pop("seg/0000000001")
    if not is_gone:
        bucket.objects["seg/0000000001"] = first[:-1] + b"?"
    await mine.goes_on(1)
    mine.process()
    await mine.lives(1)
    assert mine.told == []
    for key in ("seg/0000000002", "seg/0000000003"):
        del bucket.objects[key]
    assert await restored(bucket) == await mine.users_of()
