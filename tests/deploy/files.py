"""The files that hosts read, as far as they can be read without the hosts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from actors.drain import SHARES_S
from actors.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = ROOT / "docs" / "deploy"
LONGEST_DRAIN_S: Final = sum(SHARES_S.values())
"""No SIGKILL before that."""
OURS: Final = frozenset(name.upper() for name in Settings.model_fields)
THEIRS: Final = ("AWS_", "RAILWAY_")
"""Variables that a store or a host reads."""


class Instruction(msgspec.Struct, frozen=True):
    """A line of the Dockerfile, continuations joined: COPY, and what stands behind it."""

    name: str
    rest: str

    def words(self) -> list[str]:
        return self.rest.split()

    def command(self) -> list[str]:
        """The words of an exec form that ends the line."""
        return msgspec.json.decode(self.rest[self.rest.index("[") :], type=list[str])


def dockerfile() -> list[Instruction]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in lines if line]


def last(name: str) -> Instruction:
    """The instruction that counts of those with this name."""
    return [each for each in dockerfile() if each.name == name][-1]


def copied() -> Iterator[tuple[str, str]]:
    """What the image takes from the clone, and where it puts it."""
    for each in dockerfile():
        if each.name == "COPY" and "--from=" not in each.rest:
            *sources, target = each.words()
            yield from ((source, target) for source in sources)


def of_image() -> dict[str, str]:
    """The image's own environment."""
    return dict(word.split("=", 1) for word in last("ENV").words())


def user_id() -> int:
    [number] = re.findall(r"--uid (\d+)", (ROOT / "Dockerfile").read_text())
    return int(number)


def read_yaml(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def unknown(names: Iterator[str] | list[str]) -> list[str]:
    """Variables that neither the bot nor a store or host reads."""
    return [name for name in names if name not in OURS and not name.startswith(THEIRS)]
