"""How this program is called here: a command that is printed has to work when it is typed."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

NAME: Final = "inviteledger"


def command(word: str) -> str:
    """``inviteledger run`` where the name is found, else the path it was started by."""
    started = Path(sys.argv[0])
    if started.name != NAME or shutil.which(NAME):
        return f"{NAME} {word}"
    return f"{os.path.relpath(started)} {word}"
