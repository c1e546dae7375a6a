"""Stdout that nobody reads: nothing waits for it, nothing is torn, and what can be kept comes later."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import pytest

from actors.outlet import WAITING_CHARACTERS, Outlet


@pytest.fixture
def pipe() -> Iterator[tuple[TextIO, TextIO]]:
    """Its two ends; the reading one is read as long as there is anybody who writes."""
    reading, writing = os.pipe()
    ends = os.fdopen(reading, encoding="utf-8"), os.fdopen(writing, "w", encoding="utf-8")
    yield ends
    for end in reversed(ends):
        with suppress(OSError):
            end.close()


def say(outlet: Outlet, line: str) -> None:
    outlet.write(f"{line}\n")
    outlet.flush()


def test_a_line_is_there_at_once(pipe: tuple[TextIO, TextIO]):
    reading, writing = pipe
    say(Outlet(writing), "one")
    assert reading.readline() == "one\n"


def test_what_nobody_reads_waits_for_nobody_and_comes_whole_and_in_order(pipe: tuple[TextIO, TextIO]):
    reading, writing = pipe
    outlet = Outlet(writing)
    lines = [f"{number} {'é' * 3_000}\n" for number in range(100)]
    for line in lines:
        outlet.write(line)
    assert not outlet.finish(0.01)
    assert [reading.readline() for _ in lines] == lines
    assert outlet.finish()


def test_beyond_the_limit_whole_lines_are_dropped_and_then_it_goes_on(pipe: tuple[TextIO, TextIO]):
    reading, writing = pipe
    outlet = Outlet(writing)
    lines = [f"{number} {'x' * 10_000}\n" for number in range(WAITING_CHARACTERS // 5_000)]
    for line in lines:
        outlet.write(line)
    kept = WAITING_CHARACTERS // 10_100
    assert [reading.readline() for _ in range(kept)] == lines[:kept]
    outlet.missed = lambda dropped: outlet.write(f"{dropped} dropped\n")
    drained = threading.Thread(target=lambda: found.extend(iter(reading.readline, "again\n")))
    found: list[str] = []
    drained.start()
    assert outlet.finish()
    say(outlet, "again")
    drained.join()
    *late, note = found
    assert late == lines[kept : kept + len(late)]
    assert note == f"{len(lines) - kept - len(late)} dropped\n"
    assert kept + len(late) < len(lines)


def test_once_lines_are_dropped_all_are_until_half_is_written(pipe: tuple[TextIO, TextIO]):
    """Else what says how many they were might be dropped itself."""
    reading, writing = pipe
    outlet, said = Outlet(writing), list[int]()
    outlet.missed = said.append
    for _ in range(20):
        outlet.write(f"{'x' * (WAITING_CHARACTERS // 10)}\n")
    outlet.write("short\n")
    assert said == []
    reader = threading.Thread(target=lambda: [reading.readline() for _ in range(9)])
    reader.start()
    assert outlet.finish()
    reader.join()
    outlet.write("short\n")
    assert outlet.finish()
    assert said == [12]


def test_one_line_is_taken_however_long_it_is(pipe: tuple[TextIO, TextIO]):
    reading, writing = pipe
    line = "x" * (2 * WAITING_CHARACTERS) + "\n"
    Outlet(writing).write(line)
    assert reading.readline() == line


def test_where_the_reader_is_gone_nothing_gathers_and_nothing_is_said(pipe: tuple[TextIO, TextIO]):
    reading, writing = pipe
    outlet = Outlet(writing)
    reading.close()
    for _ in range(3):
        say(outlet, "x" * WAITING_CHARACTERS)
        assert outlet.finish()


def test_what_cannot_be_encoded_is_escaped_and_silences_nobody():
    kept = io.BytesIO()
    outlet = Outlet(io.TextIOWrapper(kept, encoding="ascii"))
    for line in ("one", "données \ud83d", "three"):
        say(outlet, line)
    assert outlet.finish()
    assert kept.getvalue() == b"one\ndonn\\u00e9es \\ud83d\nthree\n"


def test_lines_of_several_threads_are_all_there_and_whole(pipe: tuple[TextIO, TextIO]):
    reading, writing = pipe
    outlet = Outlet(writing)
    threads = [
        threading.Thread(target=lambda who=who: [say(outlet, f"{who} {number}") for number in range(500)])
        for who in range(3)
    ]
    for thread in threads:
        thread.start()
    found = [reading.readline() for _ in range(1_500)]
    assert sorted(found) == sorted(f"{who} {number}\n" for who in range(3) for number in range(500))
