"""Health, metrics and kills over real sockets, each on a free port of loopback."""

import asyncio
import io
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import msgspec
import pytest
from pydantic import SecretStr

from actors.cli.forget import NotNow, Terminal, _ask_bot
from actors.cli.healthcheck import check_health
from actors.clock import SystemClock
from actors.drills import Drill
from actors.forgetting import ForgetReport, ForgetRequest, Progress
from actors.histogram import Distribution
from actors.journal import JournalStatistics
from actors.keeper import KeeperStatistics
from actors.logs import make_logger
from actors.ops import http
from actors.ops.health import Vitals
from actors.ops.http import OpsServer
from actors.ops.serving import CannotListen
from actors.roster import RosterStatistics
from actors.settings import Endpoint, Settings
from actors.supervision import SupervisorStatistics
from actors.traffic import DispatchTraffic, ErrandOutcome, RequestOutcome, RestTraffic, ShardStatus
from ledger.ids import SessionId, UserId
from ledger.records import Status
from persistence.store import LayerHealth

LOCAL = Endpoint("127.0.0.1", 0)
WELL = Vitals(
    release="1.2.3",
    held=(),
    connected=True,
    shards=(ShardStatus(number=0, session=SessionId("s"), connected=True, latency_s=0.05, awaited=0),),
    awaited=0,
    draining=False,
    standby=False,
    drill=Drill(source="file:///cloud", differences=("guild 1: …",), at_ms=1_700_000_000_500),
    tree=SupervisorStatistics(
        restarts=2,
        dead_letters=1,
        zombies=0,
        parked=(),
        breaker=0,
        phases={"live": 2, "passivated": 1, "blind": 1, "left": 5},
        hung_s=0.0,
    ),
    keeper=KeeperStatistics(age_s=60.5, scrubbed=900, faults=1),
    journal=JournalStatistics(
        waiting=0,
        batches=5,
        records=40,
        recorded=13,
        joins=12,
        verdicts={Status.CERTAIN: 9, Status.UNKNOWN: 2},
        superseding={Status.CERTAIN: 1},
        commit_s=Distribution(bounds=(0.01, 0.1), counts=(3, 1, 1), total=0.5),
        batch_records=Distribution(bounds=(1.0,), counts=(0, 5), total=40.0),
        fenced=0,
        epochs=0,
        ready=True,
        layers=(
            LayerHealth(name="log", healthy=True, gsn=40, behind=0, error=""),
            LayerHealth(name="database", healthy=False, gsn=38, behind=2, error="disk full"),
        ),
    ),
    mailboxes=RosterStatistics(waiting=(0, 5, 2), deepest=4, accepted=90, coalesced=2, handled=83, dropped=1),
    dispatches=DispatchTraffic(
        sessions=1, resumes=2, dispatches={"GUILD_MEMBER_ADD": 12}, unreadable=3, heard_us=1_700_000_000_500_000
    ),
    requests=RestTraffic(
        requests={RequestOutcome.OK: 20, RequestOutcome.FORBIDDEN: 1},
        waited_s=Distribution(bounds=(1.0,), counts=(20, 1), total=2.0),
        waiting=6,
    ),
    errands={ErrandOutcome.AUDIT_READ: 4, ErrandOutcome.WITNESS_FAILED: 2},
)


class Bot:
    """What health is asked of, and what is killed: values that a test sets."""

    def __init__(self) -> None:
        self.now = WELL
        self.killed: list[str] = []
        self.forgotten: list[ForgetRequest] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    def vitals(self) -> Vitals:
        return self.now

    async def forget(self, request: ForgetRequest, progress: Progress) -> ForgetReport:
        self.forgotten.append(request)
        await progress(100, 250)
        await self.may_end.wait()
        return ForgetReport(guilds=2, memberships=3, names=1, payloads=0, remaining=("a thing is left",))

    def kill(self, child: str) -> bool:
        self.killed.append(child)
        return child == "guild/7"


class Answered(msgspec.Struct):
    """An answer: status, body, and the address it came from."""

    status: int
    text: str


class Started(io.StringIO):
    """A log that says when the first line has come."""

    def __init__(self) -> None:
        super().__init__()
        self.line = asyncio.Event()

    def flush(self) -> None:
        self.line.set()


def server(bot: Bot, log: io.StringIO, *, token: str = "", chaos: bool = False, at: Endpoint = LOCAL) -> OpsServer:
    logger = make_logger(Settings(ledger_log="json"), SystemClock(), log)
    guard = SecretStr(token) if token else None
    return OpsServer(endpoint=at, token=guard, health=bot, forget=bot.forget, kill=bot.kill, chaos=chaos, log=logger)


class Client:
    """Asks a running server."""

    def __init__(self, session: aiohttp.ClientSession, port: int, started: dict[str, object]) -> None:
        self._session = session
        self.port = port
        self.started = started

    async def ask(
        self, path: str, method: str = "GET", token: str = "", body: bytes | None = None, **more: str
    ) -> Answered:
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | {
            name.replace("_", "-"): value for name, value in more.items()
        }
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._session.request(method, url, headers=headers, data=body) as answer:
            return Answered(answer.status, await answer.text())


@asynccontextmanager
async def serving(bot: Bot, *, token: str = "", chaos: bool = False, at: Endpoint = LOCAL) -> AsyncIterator[Client]:
    log = Started()
    running = asyncio.create_task(server(bot, log, token=token, chaos=chaos, at=at).run())
    try:
        async with asyncio.timeout(5), aiohttp.ClientSession() as session:
            await log.line.wait()
            started = json.loads(log.getvalue())
            yield Client(session, started["port"], started)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_the_real_port_is_told():
    async with serving(Bot()) as client:
        assert client.port > 0
        assert client.started["event"] == "http.started"
        assert client.started["host"] == "127.0.0.1"


async def test_it_is_alive_as_long_as_it_answers():
    async with serving(Bot()) as client:
        answer = await client.ask("/livez")
        assert (answer.status, json.loads(answer.text)) == (200, {"alive": True, "pid": os.getpid()})


async def test_readiness_says_what_there_is():
    async with serving(Bot()) as client:
        ready = await client.ask("/readyz")
        assert ready.status == 200
        assert json.loads(ready.text) == {
            "ready": True,
            "standby": False,
            "why": [],
            "gateway_connected": True,
            "journal_ready": True,
            "layers": {"log": "ok", "database": "disk full"},
            "guilds_live": 3,
            "guilds_not_live": 1,
            "guilds_awaited": 0,
        }


async def test_a_process_that_stands_by_is_ready_once_it_hears_discord():
    bot = Bot()
    waiting = msgspec.structs.replace(WELL.journal, ready=False)
    bot.now = msgspec.structs.replace(WELL, standby=True, journal=waiting)
    async with serving(bot) as client:
        ready = await client.ask("/readyz")
        assert (ready.status, json.loads(ready.text)["standby"]) == (200, True)
        bot.now = msgspec.structs.replace(bot.now, connected=False)
        assert (await client.ask("/readyz")).status == 503


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"connected": False}, "the gateway is not connected"),
        ({"awaited": 2}, "guilds of READY that have not come yet: 2"),
        ({"draining": True}, "the bot is stopping"),
        ({"journal": msgspec.structs.replace(WELL.journal, ready=False)}, "no layer takes records"),
    ],
)
async def test_each_reason_makes_unready(change: dict[str, object], why: str):
    bot = Bot()
    bot.now = msgspec.structs.replace(WELL, **change)
    async with serving(bot) as client:
        unready = await client.ask("/readyz")
        assert unready.status == 503
        assert json.loads(unready.text)["why"] == [why]


async def test_metrics_are_read_when_they_are_asked_for():
    bot = Bot()
    async with serving(bot) as client:
        lines = (await client.ask("/metrics")).text.splitlines()
        for line in (
            "inviteledger_joins_acknowledged_total 12.0",
            "inviteledger_actor_restarts_total 2.0",
            'inviteledger_mailbox_messages{lane="members"} 5.0',
            'inviteledger_guilds{phase="live"} 2.0',
            'inviteledger_guilds{phase="parked"} 0.0',
            'inviteledger_guilds{phase="passivated"} 1.0',
            'inviteledger_guilds{phase="left"} 5.0',
            'inviteledger_layer_healthy{layer="database"} 0.0',
            'inviteledger_layer_gsn{layer="database"} 38.0',
        ):
            assert line in lines
        bot.now = msgspec.structs.replace(WELL, journal=msgspec.structs.replace(WELL.journal, joins=13))
        assert "inviteledger_joins_acknowledged_total 13.0" in (await client.ask("/metrics")).text


async def test_a_token_guards_all_but_health():
    async with serving(Bot(), token="much-wanted", chaos=True) as client:
        assert (await client.ask("/livez")).status == 200
        assert (await client.ask("/readyz")).status == 200
        assert (await client.ask("/metrics")).status == 401
        assert (await client.ask("/metrics", token="much-wantee")).status == 401
        assert (await client.ask("/chaos/kill/guild/7", "POST")).status == 401
        assert (await client.ask("/nothing")).status == 401
        assert (await client.ask("/metrics", token="much-wanted")).status == 200


async def test_without_a_token_only_health_is_open_to_the_outside():
    bot = Bot()
    async with serving(bot, chaos=True, at=Endpoint("0.0.0.0", 0)) as client:
        assert (await client.ask("/readyz")).status == 200
        assert (await client.ask("/metrics")).status == 403
        assert (await client.ask("/chaos/kill/guild/7", "POST")).status == 403
    assert bot.killed == []


async def test_a_guild_is_killed_under_chaos_only():
    bot = Bot()
    async with serving(bot) as client:
        assert (await client.ask("/chaos/kill/guild/7", "POST")).status == 404
    async with serving(bot, chaos=True) as client:
        assert (await client.ask("/chaos/kill/guild/7", "GET")).status == 405
        killed = await client.ask("/chaos/kill/guild/7", "POST")
        assert (killed.status, json.loads(killed.text)) == (200, {"child": "guild/7", "killed": True})
        assert (await client.ask("/chaos/kill/guild/8", "POST")).status == 404
    assert bot.killed == ["guild/7", "guild/8"]


async def test_chaos_is_not_served_to_the_outside_even_with_the_token():
    bot = Bot()
    async with serving(bot, token="much-wanted", chaos=True, at=Endpoint("0.0.0.0", 0)) as client:
        assert (await client.ask("/chaos/kill/guild/7", "POST", "much-wanted")).status == 404
        assert client.started["chaos"] is False
    assert bot.killed == []


async def test_a_taken_address_is_an_error_with_its_fix():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = Endpoint("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(CannotListen, match="cannot listen on") as caught:
            await server(Bot(), io.StringIO(), at=at).run()
    assert "LEDGER_HTTP" in caught.value.hint


@pytest.mark.parametrize(("awaited", "code"), [(0, 0), (3, 1)])
async def test_the_healthcheck_command_asks_for_readiness(awaited: int, code: int):
    bot = Bot()
    bot.now = msgspec.structs.replace(WELL, awaited=awaited)
    async with serving(bot) as client:
        out = io.StringIO()
        asked = await asyncio.to_thread(check_health, Endpoint("127.0.0.1", client.port), out)
        assert asked == code
        assert json.loads(out.getvalue())["guilds_awaited"] == awaited


JSON = "application/json"
ANNA = b'{"user":"7"}'


async def test_forgetting_tells_that_it_goes_on_also_while_a_guild_does_not_answer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "PROGRESS_S", 0.001)
    bot = Bot()
    bot.may_end.clear()
    async with serving(bot) as client, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{client.port}/forget"
        async with session.post(url, data=ANNA, headers={"Content-Type": JSON}) as answer:
            told = [json.loads(await answer.content.readline()) for _ in range(3)]
            bot.may_end.set()
            *_, last = (await answer.text()).splitlines()
    assert [(line["done"], line["of"]) for line in told] == [(100, 250)] * 3
    assert json.loads(last)["report"]["remaining"] == ["a thing is left"]
    assert bot.forgotten == [ForgetRequest(user=UserId("7"))]


async def test_a_bot_that_does_not_know_its_history_yet_says_so_instead_of_knowing_nobody(tmp_path: Path):
    bot = Bot()
    bot.now = msgspec.structs.replace(WELL, journal=msgspec.structs.replace(WELL.journal, ready=False))
    async with serving(bot) as client:
        settings = Settings(ledger_data=tmp_path, ledger_http=f"127.0.0.1:{client.port}")
        terminal = Terminal(io.StringIO(), io.StringIO(), io.StringIO())
        with pytest.raises(NotNow, match="nobody was forgotten: the bot reads its history"):
            await asyncio.to_thread(_ask_bot, settings, ForgetRequest(user=UserId("7")), terminal)
    assert bot.forgotten == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (ANNA, {"Content_Type": "text/plain"}, 403),
        (ANNA, {"Content_Type": JSON, "Origin": "http://127.0.0.1"}, 403),
        (b"{}", {"Content_Type": JSON}, 400),
        (b'{"user":"anna"}', {"Content_Type": JSON}, 400),
        (b'{"user":"7","guilt":"8"}', {"Content_Type": JSON}, 400),
        (b"{", {"Content_Type": JSON}, 400),
    ],
)
async def test_a_web_page_or_a_wrong_request_makes_nobody_forgotten(
    body: bytes, headers: dict[str, str], status: int
):
    bot = Bot()
    async with serving(bot) as client:
        assert (await client.ask("/forget", "POST", body=body, **headers)).status == status
    assert bot.forgotten == []


async def test_forgetting_needs_the_token_where_there_is_one():
    bot = Bot()
    async with serving(bot, token="a-long-token-0123456789") as client:
        refused = await client.ask("/forget", "POST", body=ANNA, Content_Type=JSON)
        taken = await client.ask("/forget", "POST", "a-long-token-0123456789", body=ANNA, Content_Type=JSON)
    assert (refused.status, taken.status, len(bot.forgotten)) == (401, 200, 1)
