"""Logs: one form for all lines, no secret in any of them, and no line that stops the bot."""

import json
import logging
import re
from collections.abc import Iterator
from io import StringIO

import pytest

from actors.logs import MASK, adopt_libraries, make_logger
from actors.settings import Settings

TOKEN = "MTk4NjIyNDgz.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"
SETTINGS = Settings.model_validate(
    {"discord_token": TOKEN, "ledger_http_token": 'metrics"secret', "ledger_log": "json"}
)


class StillClock:
    """Always the same moment: 2026-08-01, 12:00:00.042 UTC."""

    def now_ms(self) -> int:
        return 1_785_585_600_042

    def stamp_us(self) -> int:
        return self.now_ms() * 1_000

    def monotonic_s(self) -> float:
        return 0.0


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Broken(StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str, /) -> int:
        raise BrokenPipeError(text)


@pytest.fixture
def libraries() -> Iterator[logging.Logger]:
    """A library's logger; the root logger is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield logging.getLogger("discord.gateway")
    root.handlers, root.level = handlers, level


def fail(text: str) -> None:
    raise RuntimeError(text)


def test_a_line_is_one_json_object_with_time_level_and_event_first():
    stream = StringIO()
    make_logger(SETTINGS, StillClock(), stream).info("join.acknowledged", guild="7", seq=3, joined_at_ms=1)
    assert stream.getvalue() == (
        '{"timestamp":"2026-08-01T12:00:00.042Z","level":"info","event":"join.acknowledged",'
        '"guild":"7","seq":3,"joined_at_ms":1}\n'
    )


def test_what_json_has_no_word_for_is_told_all_the_same():
    stream = StringIO()
    log = make_logger(SETTINGS, StillClock(), stream)
    log.info("letter.buried", error=ValueError("half a \ud800 pair"), code="\ud800", parts={1, 2})
    log.info("letter.buried", error=ValueError("plain"))
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["code"] == "\ud800"
    assert second["error"] == "ValueError('plain')"


def test_each_second_has_its_own_words():
    class Steps(StillClock):
        at_ms = 1_785_585_599_999

        def now_ms(self) -> int:
            self.at_ms += 1
            return self.at_ms

    stream = StringIO()
    log = make_logger(SETTINGS, Steps(), stream)
    for _ in range(2):
        log.info("bot.started")
    times = [json.loads(line)["timestamp"] for line in stream.getvalue().splitlines()]
    assert times == ["2026-08-01T12:00:00.000Z", "2026-08-01T12:00:00.001Z"]


def test_debug_lines_are_left_out():
    stream = StringIO()
    make_logger(SETTINGS, StillClock(), stream).debug("join.recorded")
    assert stream.getvalue() == ""


def test_an_exception_is_structured_and_tells_no_variables():
    stream = StringIO()
    log = make_logger(SETTINGS, StillClock(), stream)
    password = "a value of a variable"
    try:
        fail(f"{len(password)} letters")
    except RuntimeError:
        log.exception("actor.restarted", guild="7")
    line = json.loads(stream.getvalue())
    assert line["level"] == "error"
    assert line["exception"][0]["exc_type"] == "RuntimeError"
    assert line["exception"][0]["frames"][0]["name"] == "test_an_exception_is_structured_and_tells_no_variables"
    assert password not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_appear_in_no_line(libraries: logging.Logger, form: str):
    stream = StringIO()
    settings = SETTINGS.model_copy(update={"ledger_log": form})
    adopt_libraries(settings, StillClock(), stream)
    log = make_logger(settings, StillClock(), stream)
    try:
        fail(f"bad header: Bot {TOKEN}")
    except RuntimeError:
        log.exception("actor.restarted", headers={TOKEN: [f"Bearer {TOKEN}"]}, other='metrics"secret')
        libraries.exception("refused %s", TOKEN)
    assert TOKEN not in stream.getvalue()
    assert 'secret"' not in stream.getvalue()
    assert 'cs"secret' not in stream.getvalue()
    assert 'cs\\"secret' not in stream.getvalue()
    assert MASK in stream.getvalue()


def test_a_library_says_its_piece_in_the_same_form(libraries: logging.Logger):
    stream = StringIO()
    adopt_libraries(SETTINGS, StillClock(), stream)
    libraries.warning("Shard ID %s is %s", 0, "late")
    libraries.debug("a heartbeat")
    assert json.loads(stream.getvalue()) == {
        "timestamp": "2026-08-01T12:00:00.042Z",
        "level": "warning",
        "event": "library.logged",
        "logger": "discord.gateway",
        "message": "Shard ID 0 is late",
    }


def test_on_a_terminal_a_person_reads():
    stream = Terminal()
    settings = SETTINGS.model_copy(update={"ledger_log": None})
    make_logger(settings, StillClock(), stream).info("bot.started")
    assert "bot.started" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_json_is_json_also_on_a_terminal_when_asked_for():
    stream = Terminal()
    make_logger(SETTINGS, StillClock(), stream).info("bot.started")
    assert json.loads(stream.getvalue())["event"] == "bot.started"


def test_a_reader_that_has_gone_stops_nothing():
    make_logger(SETTINGS, StillClock(), Broken()).info("bot.started")
    closed = StringIO()
    closed.close()
    make_logger(SETTINGS, StillClock(), closed).info("bot.started")


def test_on_a_terminal_tables_and_lists_are_words():
    stream = Terminal()
    settings = SETTINGS.model_copy(update={"ledger_log": "console"})
    layers = [{"name": "log", "gsn": 3, "error": ""}, {"name": "database", "gsn": 2, "error": "disk full"}]
    make_logger(settings, StillClock(), stream).info("recovery.finished", layers=tuple(layers), notes=[])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert "layers=name=log gsn=3; name=database gsn=2 error=disk full" in plain.replace("'", "")
    assert "{" not in plain
