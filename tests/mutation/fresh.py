"""A trial in an interpreter of its own, for what lies outside functions: the mutated text is imported in the module's
place, before anybody else imports it. ``python -m tests.mutation.fresh MODULE FILE REPORT TEST…``.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

from tests.mutation.running import NOTICED, ROOT, Collected, path_of, with_collected


class Impostor(importlib.abc.MetaPathFinder):
    """Finds a module whose text is not that of its file."""

    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if name != self._module:
            return None
        return importlib.util.spec_from_loader(name, _Loader(name, str(path_of(name)), self._source))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.get_filename(fullname), "exec", dont_inherit=True)


def become(module: str, text: Path, nodeids: Sequence[str], report: int) -> int:
    """In a fork: goes on as the new interpreter."""
    os.set_inheritable(report, True)  # noqa: FBT003 -- it has no other name
    os.chdir(ROOT)
    arguments = ["-m", "tests.mutation.fresh", module, str(text), str(report), *nodeids]
    os.execv(sys.executable, [sys.executable, *arguments])
    return 70


def main(module: str, text: str, report: str, *nodeids: str) -> int:
    sys.meta_path.insert(0, Impostor(module, Path(text).read_text(encoding="utf-8")))
    importlib.import_module(module)
    code = 0

    def use(collected: Collected) -> None:
        nonlocal code
        for nodeid in collected.failed_of([nodeid for nodeid in nodeids if nodeid in collected.items]):
            os.write(int(report), nodeid.encode())
            code = NOTICED
            return

    with_collected(sorted({nodeid.partition("::")[0] for nodeid in nodeids}), use)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Exception:  # noqa: BLE001 -- a mutant that cannot be imported is not one that a test noticed
        sys.exit(70)
