"""The simulated process: the real parts at work on a disk that can be cut off, in a time that does not pass."""

from random import Random

from actors.runtime import Answered
from ledger import messages as m
from ledger.answers import MemberReport
from ledger.ids import GuildId, InviteCode, SessionId, UserId
from ledger.records import Counter, GatewayCause, Status
from tests.memory.database import MemoryDatabase
from tests.persistence.simdisk import SimDisk
from tests.simulation.loop import SimLoop
from tests.simulation.outside import Shown, SimOutside
from tests.simulation.process import Process

GUILD = GuildId("77")
SESSION = SessionId("session")


class Village:
    """A guild with one invite."""

    def __init__(self) -> None:
        self.uses = 0

    def counters(self, guild: GuildId) -> Shown:
        del guild
        return Shown((Counter(code=InviteCode("A"), created_at_us=1, uses=self.uses, inviter=UserId("5")),))

    def members(self, guild: GuildId, after: UserId, limit: int) -> tuple[m.ListedMember, ...]:
        del guild, after, limit
        return ()


async def somebody_joins(process: Process, village: Village, user: str) -> MemberReport:
    """The guild comes up, somebody joins with A, and half a minute later their memberships are asked for."""
    roster, clock = process.supervisor.roster, process.clock
    await process.start(SimOutside(process.loop, roster, village, clock))
    roster.tell(GUILD, m.GuildCameUp(session=SESSION, at_us=clock.stamp_us()))
    await _later(process, 10.0)
    village.uses += 1
    now_us = clock.stamp_us()
    cause = GatewayCause(session=SESSION, number=int(user), lane="members")
    join = m.RecordJoin(
        cause=cause, session=SESSION, user=UserId(user), joined_at_us=now_us, arrived_us=clock.stamp_us()
    )
    roster.tell(GUILD, join)
    await _later(process, 30.0)
    outcome = await roster.ask(GUILD, m.DescribeMember(user=UserId(user)), 5.0)
    assert outcome.kind is Answered.OK
    assert isinstance(outcome.answer, MemberReport)
    return outcome.answer


async def _later(process: Process, seconds: float) -> None:
    done = process.loop.create_future()
    process.loop.call_later(seconds, done.set_result, None)
    await done


def test_a_process_records_works_out_and_drains():
    disk, database, village = SimDisk(), MemoryDatabase("database"), Village()
    loop = SimLoop(Random(1))
    process = Process(loop, disk, database)

    async def main() -> MemberReport:
        report = await somebody_joins(process, village, "1")
        await process.stop()
        return report

    (period,) = loop.run(main()).periods
    loop.close()
    assert (period.status, period.code) == (Status.CERTAIN, "A")
    assert len(process.events("join.acknowledged")) == 1


def test_a_killed_process_leaves_a_disk_from_which_the_next_one_goes_on():
    disk, database, village = SimDisk(), MemoryDatabase("database"), Village()
    for life in (1, 2, 3):
        loop = SimLoop(Random(life), start_s=life * 1_000.0)
        process = Process(loop, disk, database)
        (period,) = loop.run(somebody_joins(process, village, str(life))).periods
        assert period.status is Status.CERTAIN
        process.kill()
        disk = disk.crashed(Random(life))
    restored = process.events("guild.restored")
    assert restored[0]["seq"]
