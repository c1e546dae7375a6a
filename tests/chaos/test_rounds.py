"""Two short rounds of chaos, one of them under uvloop; ``make chaos`` plays longer ones for as long as there is time.

SIGKILL and SIGKILL in start-up are in both; the other kinds come by the seed, the slow ones left out.
"""

from pathlib import Path

import pytest

from tests.chaos.adversities import TABLE
from tests.chaos.patience import Patience
from tests.chaos.round import draw, play

BRIEF = tuple(each for each in TABLE if not each.slow)
PATIENCE = Patience(live_s=60.0, drain_s=60.0, answer_s=30.0, take_s=30.0)
"""No figure of speed: the machine may be busy with other tests."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("seed", "uvloop"), [("tests/1", False), ("tests/14", True)], ids=["asyncio", "uvloop"])
async def test_in_a_round_of_real_trouble_nothing_acknowledged_is_lost(tmp_path: Path, seed: str, *, uvloop: bool):
    plan = draw(seed, BRIEF, most=4, uvloop=uvloop, patience=PATIENCE, calm=True)
    report = await play(plan, tmp_path, lambda _: None)
    assert report.faults == (), (report.seed, report.faults)
    assert report.done["SIGKILL"]
    assert report.done["SIGKILL in a start"]
    assert report.tally.acknowledged
