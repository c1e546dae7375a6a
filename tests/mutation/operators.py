"""Mutants of a module: one small change each, as an edit of its text.

What is changed: comparisons, boolean and arithmetic operators, numbers, ``not``, conditions (forced both ways),
results, statements (left out), neighbouring arguments that look alike (swapped), fields of a ``replace`` (left out),
handlers of errors (the error goes on), ``min``/``max`` and ``any``/``all``. What is not: annotations and aliases of
types, texts, docstrings, assertions, lines of the log, what an error says; no test should hold those to the letter.
"""

import ast
import copy
import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """The text between ``start`` and ``end`` (characters) of a module's source becomes ``becomes``.

    ``id`` stays the same while the function around it does not change; ``where``: the name of that function, the
    outermost one, or of the class; ``in_function``: not outside all of them.
    """

    id: str
    module: str
    where: str
    in_function: bool
    line: int
    operator: str
    start: int
    end: int
    becomes: str

    def applied(self, source: str) -> str:
        return source[: self.start] + self.becomes + source[self.end :]


FLIPPED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OTHER: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
NAMES: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
TYPES: Final = frozenset({"isinstance", "NewType", "TypeVar", "cast"})

Change = tuple[ast.AST, str, str]
"""A node, the operator's name, and what stands in the node's place."""


def mutants(module: str, source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its text."""
    starts = _line_starts(source)
    found: list[Mutant] = []
    twins: dict[str, int] = {}
    for (where, in_function), node, operator, becomes in _changes(ast.parse(source), ("", False)):
        start, end = _place(node, starts, source)
        what = f"{module}|{where}|{operator}|{source[start:end]}|{becomes}"
        twins[what] = twins.get(what, 0) + 1
        digest = hashlib.sha256(f"{what}|{twins[what]}".encode()).hexdigest()[:10]
        line = getattr(node, "lineno", 0)
        found.append(
            Mutant(
                id=digest,
                module=module,
                where=where or "<module>",
                in_function=in_function,
                line=line,
                operator=operator,
                start=start,
                end=end,
                becomes=becomes,
            )
        )
    return sorted(found, key=lambda each: (each.start, each.end, each.id))


def _line_starts(source: str) -> list[int]:
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


def _place(node: ast.AST, starts: list[int], source: str) -> tuple[int, int]:
    """Columns of the syntax tree are bytes; ours are characters."""
    lines = source.splitlines(keepends=True)

    def at(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    assert isinstance(node, ast.stmt | ast.expr | ast.excepthandler)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)


Where = tuple[str, bool]


def _changes(node: ast.AST, where: Where) -> Iterator[tuple[Where, ast.AST, str, str]]:
    for child in _parts(node):
        inside = _inside(child, where)
        yield from ((inside, *change) for change in _of(child))
        yield from _changes(child, inside)


def _inside(node: ast.AST, where: Where) -> Where:
    name, in_function = where
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() if not in_function:
            return f"{name}.{node.name}".strip("."), True
        case ast.ClassDef() if not in_function:
            return f"{name}.{node.name}".strip("."), False
        case _:
            return where


def _parts(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901 -- one arm a kind of node
    """What of a node is looked into: nothing that only speaks to people or to the type checker."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from (*node.args.defaults, *(each for each in node.args.kw_defaults if each), *node.body)
        case ast.ClassDef():
            if not any(_name(base) in ("Protocol", "TypedDict") for base in node.bases):
                yield from node.body
        case ast.AnnAssign():
            if node.value is not None and _name(node.annotation) != "TypeAlias":
                yield node.value
        case ast.match_case():
            yield from (*([node.guard] if node.guard else []), *node.body)
        case ast.Assert() | ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            pass
        case ast.Call() if _name(node.func) in TYPES or _is_log(node):
            pass
        case ast.Assign() if isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr):
            if not _is_alias(node):
                yield node.value
        case _:
            yield from ast.iter_child_nodes(node)


def _is_alias(node: ast.Assign) -> bool:
    return isinstance(node.targets[0], ast.Name) and node.targets[0].id.lstrip("_")[:1].isupper()


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
        case ast.Subscript():
            return _name(node.value)
        case ast.Call():
            return _name(node.func)
        case _:
            return ""


def _is_log(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and _name(node.func.value) in ("_log", "log")


def _of(node: ast.AST) -> Iterator[Change]:  # noqa: C901, PLR0912 -- one arm a kind of node
    match node:
        case ast.Compare():
            yield from _comparisons(node)
        case ast.BoolOp():
            yield from _booleans(node)
        case ast.BinOp():
            if type(node.op) in OTHER:
                yield node, "arithmetic", _text(ast.BinOp(node.left, OTHER[type(node.op)](), node.right))
        case ast.UnaryOp():
            if isinstance(node.op, ast.Not | ast.USub):
                yield node, "sign" if isinstance(node.op, ast.USub) else "not", _text(node.operand)
        case ast.Constant():
            yield from _constants(node)
        case ast.If() | ast.While() | ast.IfExp():
            yield node.test, "condition", "False"
            if not isinstance(node, ast.While):
                yield node.test, "condition", "True"
        case ast.comprehension():
            yield from ((test, "condition", "True") for test in node.ifs)
        case ast.Call():
            yield from _calls(node)
        case ast.ExceptHandler():
            if not isinstance(node.body[0], ast.Raise):
                yield node.body[0], "handler", "raise"
        case ast.stmt():
            yield from _statements(node)
        case _:
            pass


def _comparisons(node: ast.Compare) -> Iterator[Change]:
    for at, operator in enumerate(node.ops):
        flipped = copy.deepcopy(node)
        flipped.ops[at] = FLIPPED[type(operator)]()
        yield node, "comparison", _text(flipped)


def _booleans(node: ast.BoolOp) -> Iterator[Change]:
    other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield node, "boolean", _text(ast.BoolOp(other, node.values))
    for at in range(len(node.values)):
        rest = [value for place, value in enumerate(node.values) if place != at]
        yield node, "operand", _text(rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))


def _constants(node: ast.Constant) -> Iterator[Change]:
    if isinstance(node.value, bool):
        yield node, "constant", str(not node.value)
    elif isinstance(node.value, int | float):
        yield node, "number", f"({node.value!r} + 1)"
        yield node, "number", f"({node.value!r} - 1)"


def _calls(node: ast.Call) -> Iterator[Change]:
    name = _name(node.func)
    if name in TYPES or _is_log(node):
        return
    if name in NAMES and isinstance(node.func, ast.Name):
        yield node.func, "function", NAMES[name]
    for at, (left, right) in enumerate(zip(node.args, node.args[1:], strict=False) if name not in NAMES else ()):
        if _are_alike(left, right):
            swapped = copy.deepcopy(node)
            swapped.args[at : at + 2] = [copy.deepcopy(right), copy.deepcopy(left)]
            if ast.unparse(swapped) != ast.unparse(node):
                yield node, "swap", _text(swapped)
    if name == "replace":
        for at in range(len(node.keywords)):
            without = copy.deepcopy(node)
            del without.keywords[at]
            yield node, "field", _text(without)


def _are_alike(left: ast.expr, right: ast.expr) -> bool:
    """Whether one may be taken for the other: two numbers, two fates (``_H``), two times of one unit (``…_us``)."""
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
        return type(left.value) is type(right.value)
    kinds = [_name(each).rpartition("_")[2] for each in (left, right) if isinstance(each, ast.Name | ast.Attribute)]
    return len(kinds) == 2 and (kinds[0] == kinds[1] or all(kind.isupper() and len(kind) == 1 for kind in kinds))


def _statements(node: ast.stmt) -> Iterator[Change]:
    match node:
        case ast.Expr():
            told = isinstance(node.value, ast.Constant) or (isinstance(node.value, ast.Call) and _is_log(node.value))
            if not told:
                yield node, "statement", "pass"
        case ast.AugAssign() | ast.Delete() | ast.Raise():
            yield node, "statement", "pass"
        case ast.Assign():
            if any(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
                yield node, "statement", "pass"
        case ast.Return() if node.value is not None and not isinstance(node.value, ast.Constant):
            yield node, "result", "return None"
        case ast.Continue():
            yield node, "statement", "pass"
        case ast.Break():
            yield node, "statement", "continue"
        case _:
            pass


def _text(node: ast.expr) -> str:
    return f"({ast.unparse(node)})"
