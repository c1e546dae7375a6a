"""A mutant's trial: a forked process in which one function has other code, and the tests that reach it run.

The parent imports and collects, but runs nothing: no loop and no thread is inherited half. Which tests reach which
function, and how long they take, a first child finds out, which must also find all of them green. What lies outside
functions (constants, tables, defaults) cannot be exchanged in a module that others have imported from: such a mutant
is tried by a process of its own that imports the mutated text in the module's place. No file ever changes.
"""

import contextlib
import gc
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Final

import msgspec
import pytest

ROOT: Final = Path(__file__).parent.parent.parent
MEMORY_BYTES: Final = 3 << 30
"""A mutant that eats more is stopped by the system."""
OPTIONS: Final = ("-qq", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "--assert=plain", "--timeout=30")
NOTICED: Final = 1
"""The exit code of a trial in which a test failed."""
FRESH: Final = 3
"""... and of one that needs an interpreter of its own."""


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"  # a test failed, and failed again
    HUNG = "hung"  # not done in time: counted as killed, and said
    BROKE = "broke"  # it cannot even be imported: as above
    SURVIVED = "survived"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. ``tests``: a digest of the module and its tests as they were; ``said``: the test that failed."""

    fate: Fate
    seconds: float
    tests: str
    said: str = ""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """A test without any mutant: how long it took, and the functions (``module:Class.name``) that it called."""

    seconds: float
    calls: frozenset[str]


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A forked process. ``report``: what it says to the parent."""

    pid: int
    started_s: float
    limit_s: float
    report: int

    def ended(self) -> tuple[int | None, bytes] | None:
        """Its exit code, None if it was stopped because its time was up, and what it said; None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), self._said()
        if time.monotonic() - self.started_s <= self.limit_s:
            return None
        self.stop()
        os.waitpid(self.pid, 0)
        return None, self._said()

    def stop(self) -> None:
        """Ends it, and whatever it has started, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _said(self) -> bytes:
        with os.fdopen(self.report, "rb") as pipe:
            return pipe.read()


def forked(work: Callable[[int], int], limit_s: float, *, aloud: bool = False) -> Child:
    """Runs ``work`` in a process of its own; it is given a pipe to the parent (64 kB are read at most).

    Its result is the exit code; 70 when it raised.
    """
    report, written = os.pipe()
    started_s = time.monotonic()
    pid = os.fork()
    if pid:
        os.close(written)
        return Child(pid=pid, started_s=started_s, limit_s=limit_s, report=report)
    code = 70
    try:
        os.setsid()
        os.close(report)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        if not aloud:
            _hush()
        code = work(written)
    except BaseException:  # noqa: BLE001 -- whatever it is, the fork must not go on as the parent
        os.write(written, traceback.format_exc()[-2_000:].encode())
    finally:
        sys.stdout.flush()
        os._exit(code)


def _hush() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


class Collected:
    """The session of tests in the parent: collected, never run."""

    def __init__(self, session: pytest.Session) -> None:
        self.items = {item.nodeid: item for item in session.items}

    def among(self, tests: Sequence[str]) -> list[str]:
        """The tests of these files, or of these functions, by name."""
        return [nodeid for nodeid in self.items if nodeid.startswith(tuple(tests))]

    def failed_of(self, nodeids: Sequence[str]) -> Iterator[str]:
        """Runs these tests, here and now; names those that fail."""
        for nodeid in nodeids:
            item = self.items[nodeid]
            if any(report.failed for report in _run(item)):
                yield nodeid


def _run(item: pytest.Item) -> list[pytest.TestReport]:
    reports: list[pytest.TestReport] = []
    keeper = _Keeper(reports)
    item.config.pluginmanager.register(keeper)
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    item.config.pluginmanager.unregister(keeper)
    return reports


class _Keeper:
    def __init__(self, reports: list[pytest.TestReport]) -> None:
        self._reports = reports

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.append(report)


def with_collected(files: Sequence[str], use: Callable[[Collected], None]) -> None:
    """Collects the files and calls ``use`` where pytest would run them."""
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"

    class Instead:
        came = False

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            self.came = True
            functions_by_file()
            gc.freeze()
            use(Collected(session))
            return True

    instead = Instead()
    code = pytest.main([*OPTIONS, *files], plugins=[instead])
    if not instead.came:
        raise SystemExit(f"the tests could not be collected: pytest ended with {code}")


def measured(collected: Collected, nodeids: Sequence[str], modules: Sequence[str], into: Path) -> int:
    """Runs all of them green, and writes down what each reaches (a map from its name to ``Reach``)."""
    names = {str(path_of(module)): module for module in modules}
    found: dict[str, Reach] = {}
    for nodeid in nodeids:
        calls: set[str] = set()
        started_s = time.perf_counter()
        with _watching(names, calls):
            failed = list(collected.failed_of([nodeid]))
        if failed:
            raise AssertionError(f"{nodeid} fails without any mutant")
        found[nodeid] = Reach(seconds=round(time.perf_counter() - started_s, 3), calls=frozenset(calls))
    into.write_bytes(msgspec.json.encode(found))
    return 0


@contextlib.contextmanager
def _watching(names: dict[str, str], calls: set[str]) -> Iterator[None]:
    def called(frame: FrameType, _event: str, _arg: object) -> None:
        module = names.get(frame.f_code.co_filename)
        if module is not None:
            calls.add(f"{module}:{function_of(frame.f_code.co_qualname)}")

    before = sys.gettrace()
    sys.settrace(called)  # type: ignore[arg-type]  # calls only: no line is traced
    try:
        yield
    finally:
        sys.settrace(before)


def function_of(qualname: str) -> str:
    """The outermost function of a name: where code is exchanged."""
    return qualname.partition(".<locals>")[0]


def path_of(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


@cache
def functions_by_file() -> dict[str, list[FunctionType]]:
    """All functions that there are; looked for once, by the parent: the children inherit what was found."""
    found: dict[str, list[FunctionType]] = {}
    gc.unfreeze()  # else what was collected by then is not among the objects
    for each in gc.get_objects():
        if isinstance(each, FunctionType):
            found.setdefault(each.__code__.co_filename, []).append(each)
    return found


def exchanged(module: str, source: str) -> bool:
    """Gives every function of the module the code of this text; False when none differs, or one cannot."""
    path = str(path_of(module))
    fresh = dict(_functions(compile(source, path, "exec", dont_inherit=True)))
    changed = False
    for function in functions_by_file().get(path, ()):
        code = fresh.get(function.__code__.co_qualname)
        if code is None or code == function.__code__:
            continue
        try:
            function.__code__ = code
        except ValueError:
            return False
        changed = True
    return changed


def _functions(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    """All code of functions that lie in no function."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_flags & 0x2:  # CO_NEWLOCALS: a function's; a class's has none
                yield each.co_qualname, each
            else:
                yield from _functions(each)


def trial(collected: Collected, module: str, source: str, nodeids: Sequence[str], report: int) -> int:
    """In a fork of the parent: the exchanged code against its tests."""
    if not exchanged(module, source):
        return FRESH
    for nodeid in collected.failed_of(nodeids):
        os.write(report, nodeid.encode())
        return NOTICED
    return 0
