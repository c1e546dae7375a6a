"""What help and version are printed on."""

from typing import Any

from rich.console import Console

from actors.cli.piping import printing


class Page(Console):
    """A console that raises ``OutputLost`` as ``printing`` does."""

    def print(self, *objects: object, **how: Any) -> None:  # noqa: ANN401 -- the library's many options
        with printing(self.file):
            super().print(*objects, **how)
