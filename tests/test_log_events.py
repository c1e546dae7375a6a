"""Every log event of the program stands in docs/operations.md as the code writes it, and nothing else does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.logs import LIBRARY_EVENT

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
LOGGERS = {"log", "_log", "logger", "_logger"}
LIBRARY_LEVELS = {"info", "warning", "error"}

Event = tuple[set[str], set[str]]
"""The levels and the fields of an event, over all places that write it."""


def sources() -> list[Path]:
    return [*(ROOT / "actors").rglob("*.py"), ROOT / "supervisor.py"]


def log_calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """The calls of a module that write a line, each with its method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name in LOGGERS:
                yield node, node.func.attr


def names_of(event: ast.expr) -> list[str]:
    """The literals an event's name is one of."""
    match event:
        case ast.Constant(value=str(name)):
            return [name]
        case ast.IfExp(body=body, orelse=orelse):
            return [*names_of(body), *names_of(orelse)]
        case _:
            pytest.fail(f"line {event.lineno}: {ast.unparse(event)} is no literal")


def fields_of(call: ast.Call, method: str) -> set[str]:
    named = {keyword.arg for keyword in call.keywords if keyword.arg}
    raised = method == "exception" or "exc_info" in named
    return (named - {"exc_info"}) | ({"exception"} if raised else set())


def written() -> dict[str, Event]:
    events: dict[str, Event] = {LIBRARY_EVENT: (LIBRARY_LEVELS, {"logger", "message"})}
    for path in sources():
        for call, method in log_calls(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            for name in names_of(call.args[0]):
                levels, fields = events.setdefault(name, (set(), set()))
                levels.add(LEVELS[method])
                fields |= fields_of(call, method)
    return events


def told() -> dict[str, Event]:
    table = PAGE.split("## Log events")[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "| `" in line[:3]]
    assert all(len(row) == 5 and all(row[3:]) for row in rows), "five cells a row, a meaning and an advice in each"
    return {row[0].strip("`"): (set(row[1].split(" or ")), {f for f in row[2].split(", ") if f}) for row in rows}


def test_every_event_in_the_code_is_in_the_table():
    assert written().keys() - told().keys() == set()


def test_every_event_in_the_table_is_in_the_code():
    assert told().keys() - written().keys() == set()


def test_levels_and_fields_are_those_of_the_code():
    code, page = written(), told()
    differ = {name: (code[name], page[name]) for name in code.keys() & page.keys() if code[name] != page[name]}
    assert differ == {}


def test_the_table_is_sorted_and_names_are_nouns_and_what_happened():
    names = list(told())
    assert names == sorted(names)
    assert all(name.count(".") == 1 and name == name.lower() for name in names)


def test_the_page_tells_to_look_for_events_that_there_are():
    advice = PAGE.split("## When something is wrong")[1].split("## Log events")[0]
    nouns = {name.split(".")[0] for name in told()}
    code = "".join(re.findall(r"```sh\n(.*?)```", advice, re.DOTALL))
    looked_for = {name for name in re.findall(r"[a-z]+\.[a-z_]+", code) if name.split(".")[0] in nouns - {"bot"}}
    assert looked_for - told().keys() == set()
    assert len(looked_for) > 10
