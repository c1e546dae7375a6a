"""Stdout that nobody reads: nothing waits for it, nothing is torn, and what can be kept comes later."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import pytest

from actors.outlet import WAITING_CHARACTERS, Outlet


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe's reading end, and a stream into it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    stream = os.fdopen(writing, "w", encoding="utf-8")
    yield reading, stream
    with suppress(OSError):
        stream.close()
    with suppress(OSError):
        os.close(reading)


def say(outlet: Outlet, line: str) -> None:
    outlet.write(f"{line}\n")
    outlet.flush()


def read(reading: int, outlet: Outlet) -> list[str]:
    """All that was kept, as somebody finds it who begins to read."""
    data = b""
    while True:
        outlet.flush()
        try:
            data += os.read(reading, 100_000)
        except BlockingIOError:
            return data.decode().splitlines()


def test_a_line_is_there_at_once(pipe: tuple[int, TextIO]):
    reading, stream = pipe
    say(Outlet(stream), "one")
    assert os.read(reading, 100) == b"one\n"


def test_what_nobody_reads_waits_for_nobody_and_comes_whole_and_in_order(pipe: tuple[int, TextIO]):
    reading, stream = pipe
    outlet = Outlet(stream)
    lines = [f"{number} {'é' * 3_000}" for number in range(100)]
    for line in lines:
        say(outlet, line)
    assert read(reading, outlet) == lines


def test_beyond_the_limit_whole_lines_are_dropped_and_then_it_goes_on(pipe: tuple[int, TextIO]):
    reading, stream = pipe
    outlet = Outlet(stream)
    lines = [f"{number} {'x' * 10_000}" for number in range(WAITING_CHARACTERS // 5_000)]
    for line in lines:
        say(outlet, line)
    found = read(reading, outlet)
    assert found == lines[: len(found)]
    assert WAITING_CHARACTERS // 10_100 < len(found) < len(lines)
    say(outlet, "again")
    assert read(reading, outlet) == ["again"]


def test_where_the_reader_is_gone_that_is_an_error_and_nothing_gathers(pipe: tuple[int, TextIO]):
    reading, stream = pipe
    outlet = Outlet(stream)
    os.close(reading)
    for _ in range(3):
        with pytest.raises(BrokenPipeError):
            say(outlet, "x" * (WAITING_CHARACTERS - 1))
        outlet.write("x" * WAITING_CHARACTERS)
        with pytest.raises(BrokenPipeError):
            outlet.flush()
