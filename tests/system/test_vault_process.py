"""The vault as a process of its own: what it acknowledged survives its end, however it ends."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from actors.cli.scoreboard import exported
from ledger.errors import Stale
from ledger.ids import SessionId, UserId
from ledger.records import InternalCause, JoinRecorded, Record
from persistence.cloud import CloudLayer
from persistence.objects import Unreachable
from persistence.offload import inline
from persistence.vault_objects import VaultObjects
from tests.actors.written import Sealer
from tests.persistence.making import RED, TestClock, TestRandomness
from tests.system.conftest import Stage

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-a-vault"
LATER = f"Authorization: Bearer {TOKEN}\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"


class Process:
    """One life of a vault. ``lines``: what it has logged so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[dict[str, object]] = []
        self.port = 0

    async def line(self, event: str) -> dict[str, object]:
        """Reads on until a line with this event."""
        assert self._process.stdout is not None
        while raw := await self._process.stdout.readline():
            self.lines.append(json.loads(raw))
            if self.lines[-1]["event"] == event:
                return self.lines[-1]
        pytest.fail(f"ended before {event}: {self.lines}")

    def client(self) -> VaultObjects:
        return VaultObjects(f"http://127.0.0.1:{self.port}", TOKEN)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        return await self._process.wait()


@asynccontextmanager
async def vault(folder: Path, *words: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    said = {"LEDGER_CLOUD_TOKEN": TOKEN, "LEDGER_LOG": "json"} if environ is None else environ
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "supervisor", "vault", "--listen", "127.0.0.1:0", "--folder", str(folder), *words),
        env={**bare, **said, "PYTHONPATH": str(ROOT)},
        cwd=folder.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    life = Process(process)
    try:
        life.port = int(str((await life.line("vault.started"))["port"]))
        yield life
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def begin_upload(life: Process, key: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A PUT of 100 bytes, of which 50 are sent once the vault waits for them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", life.port)
    writer.write(f"PUT /v1/objects/{key} HTTP/1.1\r\nHost: vault\r\n{LATER}".encode())
    assert b" 100 " in await reader.readline()
    writer.write(b"x" * 50)
    await writer.drain()
    return reader, writer


async def listed(client: VaultObjects) -> list[str]:
    return [key async for key in client.keys("")]


async def test_what_was_acknowledged_survives_kill_9_and_half_an_upload_does_not(tmp_path: Path):
    async with vault(tmp_path / "kept") as life:
        client = life.client()
        for number in range(50):
            assert await client.create(f"seg/{number:03}", b"%d" % number * number)
        await client.put("pulse/1", b"7")
        _, writer = await begin_upload(life, "seg/half")
        waiting = asyncio.gather(*(client.create(f"late/{n}", b"late") for n in range(20)), return_exceptions=True)
        await asyncio.sleep(0)
        life.signal(signal.SIGKILL)
        late = [each is True for each in await waiting]
        assert await life.ended() == -signal.SIGKILL
        writer.close()
        with pytest.raises(Unreachable):
            await client.get("seg/001")
        await client.close()
    async with vault(tmp_path / "kept") as life:
        client = life.client()
        found = await listed(client)
        assert [key for key in found if key.startswith("seg/")] == [f"seg/{number:03}" for number in range(50)]
        for number in range(50):
            assert await client.get(f"seg/{number:03}") == b"%d" % number * number
        assert await client.get("pulse/1") == b"7"
        for number, acknowledged in enumerate(late):
            assert not acknowledged or await client.get(f"late/{number}") == b"late"
        await client.close()


async def test_sigterm_waits_for_what_is_in_hand(tmp_path: Path):
    async with vault(tmp_path / "kept") as life:
        reader, writer = await begin_upload(life, "seg/1")
        life.signal(signal.SIGTERM)
        assert (await life.line("vault.draining"))["requests"] == 1
        client = life.client()
        with pytest.raises(Unreachable, match="the vault is stopping"):
            await client.create("seg/2", b"two")
        await client.close()
        writer.write(b"y" * 50)
        assert await reader.readline() == b"\r\n"
        assert b" 204 " in await reader.readline()
        writer.close()
        await life.line("vault.stopped")
        assert await life.ended() == 0
    async with vault(tmp_path / "kept") as life:
        client = life.client()
        assert await client.get("seg/1") == b"x" * 50 + b"y" * 50
        assert await listed(client) == ["seg/1"]
        await client.close()


def joined(seq: int) -> Record:
    event = JoinRecorded(user=UserId(str(seq)), joined_at_us=seq, arrived_us=seq, session=SessionId("s"))
    cause = InternalCause(what="test")
    return Record(gsn=0, guild=RED, seq=seq, epoch=1, at_ms=0, cause=cause, key=f"join/{seq}", event=event, last=seq)


async def test_a_bots_cloud_lives_in_it_and_comes_out_as_one_document(tmp_path: Path):
    seal = Sealer()
    async with vault(tmp_path / "kept") as life:
        client = life.client()
        layer = CloudLayer(client, inline, TestRandomness(), TestClock(), "bot")
        await layer.open()
        await layer.begin(1, "lineage")
        for seq in range(1, 4):
            await layer.append(seal([[joined(seq)]]))
        other = CloudLayer(client, inline, TestRandomness(1_000), TestClock(), "newcomer")
        await other.open()
        await other.begin(2, "lineage")
        with pytest.raises(Stale):
            await layer.append(seal([[joined(4)]]))
        await client.close()
        life.signal(signal.SIGKILL)
        await life.ended()
    async with vault(tmp_path / "kept") as life, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{life.port}/get_discord_data_backup"
        async with session.get(url) as answer:
            assert answer.status == 401
        async with session.get(url, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            whole = json.loads(await answer.read())
    (guild,) = whole["guilds"]
    assert [join["user"] for join in guild["joins"]] == ["1", "2", "3"]
    assert ([record["gsn"] for record in whole["records"]], whole["complete"]) == ([1, 2, 3], True)


async def test_without_a_token_it_serves_this_machine_only(tmp_path: Path):
    async with vault(tmp_path / "kept", environ={"LEDGER_LOG": "json"}) as life:
        client = VaultObjects(f"http://127.0.0.1:{life.port}", "")
        assert await client.create("seg/1", b"one")
        await client.close()


async def test_a_bot_whose_data_is_gone_comes_back_from_a_vault(stage: Stage, tmp_path: Path):
    async with vault(tmp_path / "kept") as life:
        where = {"LEDGER_CLOUD": f"http://127.0.0.1:{life.port}", "LEDGER_CLOUD_TOKEN": TOKEN, "LEDGER_ACK": "cloud"}
        stage.bot = stage.make_bot("bot.log", **where)
        await stage.bot.start(guilds=1)
        joins = [stage.world.join(stage.guild, via=stage.invite.code) for _ in range(5)]
        await stage.bot.until(lambda: len(stage.bot.acknowledged) == 5, "joins")
        assert (
            await stage.bot.stop() == 0
        )  # it says goodbye to whoever comes next, who else would wait for half a minute
        shutil.rmtree(stage.data)
        await stage.bot.start(guilds=1)
        assert stage.bot.acknowledged <= exported(stage.data).keys()
        lines = await stage.worked_out(*joins)
        assert await stage.bot.stop() == 0
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{life.port}/get_discord_data_backup"
            async with session.get(url, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
                whole = json.loads(await answer.read())
        (guild,) = whole["guilds"]
        assert guild["joins"] == [json.loads(msgspec.json.encode(line)) for line in lines]
        assert TOKEN not in stage.said()
