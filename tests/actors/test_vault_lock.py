"""Of two vaults on one folder the second waits, is refused, and names the first."""

import asyncio
import logging
from io import StringIO
from pathlib import Path

import pytest
import structlog

from actors.cli.errors import exit_code_of
from actors.cli.vault import VaultInUse, hold_vault
from persistence.disk import RealDisk
from persistence.folder_objects import FolderObjects
from persistence.offload import inline
from tests.persistence.making import TestRandomness

AWAY = 69


async def test_a_second_vault_on_a_folder_is_refused_and_names_the_first(tmp_path: Path):
    lines, naps = StringIO(), list[float]()
    log = structlog.wrap_logger(
        structlog.PrintLogger(lines), wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
    )

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        await asyncio.sleep(0)

    held = await hold_vault(RealDisk(), tmp_path / "vault", nap, log)
    assert naps == []
    with pytest.raises(VaultInUse, match=r"vault is in use by process \d+ on .+, started ") as refused:
        await hold_vault(RealDisk(), tmp_path / "vault", nap, log)
    assert exit_code_of(refused.value) == AWAY
    assert "--folder" in refused.value.hint
    assert sum(naps) == pytest.approx(10.0)
    assert lines.getvalue().count("folder.awaited") == len(naps)
    held.release()
    (await hold_vault(RealDisk(), tmp_path / "vault", nap, log)).release()


async def test_the_lock_is_no_object(tmp_path: Path):
    held = await hold_vault(RealDisk(), tmp_path, asyncio.sleep, structlog.get_logger())
    objects = FolderObjects(RealDisk(), tmp_path, inline, TestRandomness())
    assert await objects.create("seg/1", b"x")
    assert [key async for key in objects.keys("")] == ["seg/1"]
    held.release()
