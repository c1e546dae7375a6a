"""What the data folder stands on: a disk that lasts, or one that goes with the container or the next deploy.

Only signs are read: the operator's word first, then the mount the folder lies on, then variables of known hosts; once
the layers are read, whether one of them knows of a start that the folder has not seen.
What may be lost by it, and the warning, are the supervisor's business.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

MOUNTINFO: Final = Path("/proc/self/mountinfo")
IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
LAYERED: Final = frozenset({"overlay", "aufs", "fuse-overlayfs"})
"""A container's own file system, thrown away with it."""
MOUNTING_HOSTS: Final = {"RAILWAY_PROJECT_ID": "Railway", "FLY_APP_NAME": "Fly", "RENDER": "Render"}
"""Hosts, by a variable that they set, whose volumes appear as mounts of their own."""
VOLUMELESS_HOSTS: Final = {"DYNO": "Heroku"}
_ANONYMOUS: Final = re.compile(r"/volumes/[0-9a-f]{64}/")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")

Kind = Literal["lasting", "ephemeral"]


class Footing(msgspec.Struct, frozen=True):
    """Whether the disk lasts, and the sign that says so."""

    kind: Kind
    why: str


class Mount(msgspec.Struct, frozen=True):
    """A line of mountinfo. ``root``: which part of the file system is mounted; ``point``: where."""

    root: str
    point: Path
    kind: str


def find_footing(data: Path, said: Kind | None, environ: Mapping[str, str], mountinfo: str) -> Footing:
    """On what kind of disk a folder lies.

    Args:
        data: the folder, there or not.
        said: LEDGER_DISK.
        environ: the environment, for hosts.
        mountinfo: the text of ``MOUNTINFO``; empty where there is none.
    """
    if said is not None:
        return Footing(said, "LEDGER_DISK says so")
    folder = Path(os.path.realpath(data))  # Path.resolve raises where links lead in a circle
    mount = mount_of(folder, mountinfo)
    why = _why_ephemeral(folder, mount, environ)
    if why:
        return Footing("ephemeral", why)
    where = f"on {mount.kind}, mounted at {mount.point}" if mount else "no sign of a container"
    return Footing("lasting", where)


def look_back(footing: Footing, said: Kind | None, *, seen: bool, earlier: int) -> Footing:
    """The footing once the layers were read.

    Args:
        footing: what ``find_footing`` found.
        said: LEDGER_DISK.
        seen: whether the folder has seen a start before (``persistence/marker.py``).
        earlier: the epoch that the layers knew of before this start; 0 = none.
    """
    if said is not None or footing.kind == "ephemeral" or seen or not earlier:
        return footing
    return Footing("ephemeral", "a layer elsewhere remembers an earlier start, and the folder does not")


def read_mountinfo() -> str:
    """The kernel's list of mounts; empty on a system that has none."""
    return MOUNTINFO.read_text(errors="replace") if MOUNTINFO.exists() else ""


def mount_of(folder: Path, mountinfo: str) -> Mount | None:
    """The mount that a folder lies on: the deepest one over it, and of two at one place the later."""
    over = [
        mount for line in mountinfo.splitlines() if (mount := _mount(line)) and folder.is_relative_to(mount.point)
    ]
    return max(enumerate(over), key=lambda each: (len(each[1].point.parts), each[0]))[1] if over else None


def _mount(line: str) -> Mount | None:
    """36 35 98:0 /root /point options … - type source options."""
    before, _, after = line.partition(" - ")
    fields, kind = before.split(" "), after.split(" ")[0]
    if len(fields) < 5 or not kind:  # noqa: PLR2004 -- the fifth field is the mount's place
        return None
    return Mount(_plain(fields[3]), Path(_plain(fields[4])), kind)


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def _why_ephemeral(folder: Path, mount: Mount | None, environ: Mapping[str, str]) -> str:
    return _by_mount(mount) if mount and _by_mount(mount) else _by_host(folder, mount, environ)


def _by_mount(mount: Mount) -> str:
    if mount.kind in IN_MEMORY:
        return f"{mount.point} is {mount.kind}: it lies in memory"
    if mount.kind in LAYERED:
        return f"{mount.point} is {mount.kind}: it goes with the container"
    if "kubernetes.io~empty-dir" in mount.root:
        return f"{mount.point} is an emptyDir: it goes with the pod"
    if _ANONYMOUS.search(mount.root):
        return f"{mount.point} is a volume without a name: the next container gets a new one"
    return ""


def _by_host(folder: Path, mount: Mount | None, environ: Mapping[str, str]) -> str:
    for variable, host in VOLUMELESS_HOSTS.items():
        if variable in environ:
            return f"{host} keeps no disk over a restart ({variable} is set)"
    volume = environ.get("RAILWAY_VOLUME_MOUNT_PATH")
    if volume and folder.is_relative_to(Path(volume)):
        return ""
    for variable, host in MOUNTING_HOSTS.items():
        if variable in environ and (mount is None or mount.point == Path("/")):
            return f"on {host} ({variable} is set) {folder} lies on no volume"
    return ""
