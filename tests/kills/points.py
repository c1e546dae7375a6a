"""The inventory: every place in our code at which a coroutine may be left waiting, read from the source.

A *point* is one ``await``, ``async for`` (also in a comprehension), or the way in or out of an ``async with``. Some
can never be left waiting (the block of a deadline, the way out of a lock): ``Point.waits``. Where a suspended
coroutine stands is told by the position of its instruction, so that two awaits in one line are two points; what one
``async with`` enters together has one way in and one out.
"""

import ast
import dis
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from types import CodeType
from typing import Final, TypeAlias

import msgspec

ROOT: Final = Path(__file__).parents[2]
KERNEL: Final = (
    "actors/acknowledging.py",
    "actors/alone.py",
    "actors/asks.py",
    "actors/care.py",
    "actors/cloud_side.py",
    "actors/forgetting.py",
    "actors/guild.py",
    "actors/handover.py",
    "actors/journal.py",
    "actors/keeper.py",
    "actors/mailbox.py",
    "actors/opening.py",
    "actors/program.py",
    "actors/proving.py",
    "actors/reads.py",
    "actors/roster.py",
    "actors/runtime.py",
    "actors/salvager.py",
    "actors/supervision.py",
    "actors/uploader.py",
    "persistence/branches.py",
    "persistence/following.py",
    "persistence/holes.py",
    "persistence/leading.py",
    "persistence/local.py",
    "persistence/offload.py",
    "persistence/recovery.py",
    "persistence/rehydration.py",
    "persistence/salvage.py",
    "persistence/seats.py",
    "persistence/sqlite*.py",
    "persistence/store.py",
    "persistence/terms.py",
    "supervisor.py",
)
"""Stores of objects are adapters; the cloud's protocol has a model of its own, killed anywhere (tests/fencing)."""
GATEWAY: Final = ("actors/gateway/*.py",)

Position: TypeAlias = tuple[str, int, int | None, int | None, int | None, str]
"""File, lines and columns of an instruction, and whether it goes into or out of something."""


class Point(msgspec.Struct, frozen=True, order=True):
    """``number`` counts within the function, so that a name survives changes elsewhere in the file."""

    module: str
    function: str
    number: int
    line: int
    what: str
    waits: bool = True

    @property
    def name(self) -> str:
        """E.g. ``actors/journal.py:Journal.run#2``."""
        return f"{self.module}:{self.function}#{self.number}"

    def __str__(self) -> str:
        return f"{self.name} (line {self.line}: {self.what})"


def inventory(patterns: Sequence[str]) -> dict[Position, Point]:
    """Every point of the files that match, by the position at which a frame stands when it waits there."""
    found: dict[Position, Point] = {}
    for path in sorted(path for pattern in patterns for path in ROOT.glob(pattern)):
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        module = str(path.relative_to(ROOT))
        for function, number, node, where in _numbered(ast.parse(source)):
            text = _first_line(lines, node)
            point = Point(
                module, function, number, node.lineno, f"{text}{where and f' ({where})'}", _waits(node, where)
            )
            at = (str(path), node.lineno, node.end_lineno, node.col_offset, node.end_col_offset, where)
            found[at] = point
    return found


def position(code: CodeType, instruction: int) -> Position:
    """Where a frame stands (``f_lasti``), in the words of the inventory."""
    return _positions(code)[instruction // 2]


@cache
def _positions(code: CodeType) -> tuple[Position, ...]:
    """In and out of an ``async with`` have one position; what was asked for before the waiting tells them apart."""
    ways = {dis.opmap["GET_AWAITABLE"]: ("", "in", "out")}
    found: list[Position] = []
    way = ""
    for at, where in enumerate(code.co_positions()):
        opcode, argument = code.co_code[2 * at], code.co_code[2 * at + 1]
        if opcode in ways:
            way = ways[opcode][argument]
        elif opcode == dis.opmap["GET_ANEXT"]:
            way = ""
        first, last, left, right = where
        found.append((code.co_filename, first or 0, last, left, right, way))
    return tuple(found)


def _numbered(tree: ast.AST) -> Iterator[tuple[str, int, ast.expr | ast.stmt, str]]:
    counters: dict[str, Iterator[int]] = {}
    for function, node in _awaits(tree, ()):
        for where in ("in", "out") if isinstance(node, ast.AsyncWith) else ("",):
            yield function, next(counters.setdefault(function, count(1))), node, where


def _awaits(node: ast.AST, inside: tuple[str, ...]) -> Iterator[tuple[str, ast.expr | ast.stmt]]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        inside = (*inside, getattr(node, "name", "<lambda>"))
    if isinstance(node, ast.Await | ast.AsyncFor) or (isinstance(node, _COMPREHENSIONS) and _is_async(node)):
        yield ".".join(inside), node
    if isinstance(node, ast.AsyncWith):
        yield ".".join(inside), node
    for child in ast.iter_child_nodes(node):
        yield from _awaits(child, inside)


_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _is_async(node: ast.AST) -> bool:
    return any(each.is_async for each in getattr(node, "generators", ()))


def _waits(node: ast.expr | ast.stmt, where: str) -> bool:
    """Whether it can be left waiting: on the way into a deadline, or out of it or a lock, nobody is."""
    if not isinstance(node, ast.AsyncWith):
        return True
    entered = [ast.unparse(item.context_expr) for item in node.items]
    return not all(text.startswith(AT_ONCE[where]) for text in entered)


_DEADLINES: Final = ("asyncio.timeout(", "limit", "drain.limit(")
_LEFT_AT_ONCE: Final = (
    "self._one_checkpoint",
    "self._beating",
    "self.alone",
    "self.following.alone",
    "self._queues[",
    "entry.turn",
    "self._pacer.permit(",
    "self._recoveries.one(",
)
AT_ONCE: Final = {
    "in": (*_DEADLINES, "AsyncExitStack(", "committing(", "Inquiry(", "client"),
    "out": (*_DEADLINES, *_LEFT_AT_ONCE),
}
"""What is entered, or left, without waiting, by how its text begins."""


def _first_line(lines: Sequence[str], node: ast.expr | ast.stmt) -> str:
    """As ``ast.get_source_segment`` gives it, which splits the whole file each time; our lines are ASCII there."""
    end = node.end_col_offset if node.end_lineno == node.lineno else None
    return lines[node.lineno - 1][node.col_offset : end]
