"""A real process on a real folder, killed with SIGKILL at random moments: what it printed is there."""

import signal
import subprocess
import sys
from pathlib import Path
from random import Random

from persistence.disk import RealDisk
from persistence.reading import read_log

ROUNDS = 8
ROOT = Path(__file__).parents[2]
CHILD = """
import asyncio, sys
from pathlib import Path
from persistence.disk import RealDisk
from persistence.local import LocalLayer
from persistence.offload import ThreadOffload
from persistence.store import Store
from tests.memory.store import store_of
from tests.persistence.making import BLUE, RED, TestClock, TestRandomness, joins

async def main():
    layer = LocalLayer(RealDisk(), Path(sys.argv[1]), ThreadOffload("disk"), segment_bytes=20_000)
    store = store_of([layer], TestClock(), TestRandomness())
    await store.start()
    seqs = {}
    for guild in (RED, BLUE):
        head = (await store.open_guild(guild)).head
        seqs[guild] = 0 if head is None else head.seq
    number = int(sys.argv[2])
    while True:
        batch = [joins(guild, seqs[guild], number + n, number + n + 1) for n, guild in ((0, RED), (2, BLUE))]
        number += 4
        for result in await store.append(batch):
            seqs[result.records[0].guild] = result.head.seq
            print(*(record.key for record in result.records), flush=True)

asyncio.run(main())
"""


def life(folder: Path, first_number: int, random: Random) -> list[str]:
    """Runs the child until it is killed; gives the keys whose lines it had finished."""
    command = [sys.executable, "-c", CHILD, str(folder), str(first_number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        heard = [child.stdout.readline() for _ in range(random.randint(1, 60))]
        child.send_signal(signal.SIGKILL)  # wherever it is by now: it did not wait for us
        lines = (b"".join(heard) + child.stdout.read()).split(b"\n")[:-1]
    return b" ".join(lines).decode().split()


def test_what_a_killed_process_had_acknowledged_is_readable(tmp_path: Path):
    random, acknowledged = Random(1), []
    for round_number in range(ROUNDS):
        acknowledged += life(tmp_path / "data", round_number * 1_000_000, random)
        reading = read_log(RealDisk(), tmp_path / "data" / "log")
        found = {frame.record.key for frame in reading}
        assert found >= set(acknowledged)
        assert not reading.scan.missing
        assert not reading.chains.aside()
    assert len(acknowledged) > ROUNDS * 10
