"""What help, version and tables are printed on."""

from typing import Any, NoReturn

from rich.console import Console

from actors.cli.piping import printing


class Page(Console):
    """A console that raises ``OutputLost`` as ``printing`` does, to which a reader that leaves is no error either."""

    def print(self, *objects: object, **how: Any) -> None:  # noqa: ANN401 -- the library's many options
        with printing(self.file):
            super().print(*objects, **how)

    def on_broken_pipe(self) -> NoReturn:
        """The library's own way is to end the program with 1."""
        raise BrokenPipeError
