"""Forgetting where no bot runs: what the tree dies of is told, instead of waiting for it for ever."""

from pathlib import Path

import pytest

from actors.alone import forget_alone
from actors.forgetting import ForgetRequest
from actors.journal import Journal
from actors.settings import Settings
from ledger.errors import Stale
from ledger.ids import UserId
from supervisor import Supervisor


async def told(_done: int, _of: int) -> None: ...


def test_what_ends_the_journal_ends_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    async def overtaken(_journal: Journal) -> None:
        raise Stale("another process has taken over")

    monkeypatch.setattr(Journal, "run", overtaken)
    with pytest.raises(Stale, match="taken over"):
        forget_alone(Supervisor, Settings(ledger_data=tmp_path), ForgetRequest(user=UserId("7")), told)
