"""A filesystem of its own for one data folder, small enough to be filled; only where mounting is allowed."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MIB: Final = 64
"""SQLite's WAL alone may take four; quarantine keeps what was damaged."""
PIECE_BYTES: Final = 1 << 16
BALLAST: Final = "ballast"


@contextmanager
def tiny_disk(folder: Path) -> Iterator[bool]:
    """Mounts a tmpfs on the folder for as long as the block lasts; False, and nothing is mounted, where it cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={MIB}m", "tmpfs", str(folder))
    try:
        yield mounted
    finally:
        if mounted:
            _run("umount", "--lazy", str(folder))


@contextmanager
def filled(folder: Path, free_bytes: int) -> Iterator[None]:
    """Fills the filesystem with ballast up to about so many bytes."""
    ballast = folder / BALLAST
    try:
        _fill(ballast, free_bytes)
        yield
    finally:
        ballast.unlink(missing_ok=True)


def _fill(ballast: Path, free_bytes: int) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PIECE_BYTES))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        os.ftruncate(file.fileno(), max(0, file.tell() - free_bytes))


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
