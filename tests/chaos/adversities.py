"""The table of adversities: what each does, what must hold, and what it excuses. The doing is in ``acts.py``."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from tests.chaos import acts
from tests.chaos.scene import Scene

Act: TypeAlias = Callable[[Scene], Awaitable[None]]

HEARTBEAT_MS: Final = 2_000
"""Of the sandbox, where somebody is frozen: for twice as long, and they are silent."""
MISSED: Final = "gateway.heartbeat_missed"


class Adversity(msgspec.Struct, frozen=True, kw_only=True):
    """What is done, and what must hold.

    ``deaf``: whether what is asked meanwhile may stay without an answer (after the end of a life it may in any case);
    ``excused``: misdeeds that it explains; ``mounted``: whether the data folder has to be a filesystem of its own;
    ``slow``: too long for every test run.
    """

    name: str
    does: str
    holds: str
    act: Act
    deaf: bool = True
    excused: tuple[str, ...] = ()
    mounted: bool = False
    slow: bool = False


KEPT: Final = "everything acknowledged is there, once; live again, a new join is worked out"

SIGKILL: Final = Adversity(name="SIGKILL", does="SIGKILL at a random moment", holds=KEPT, act=acts.sigkill)
START_KILLS: Final = Adversity(
    name="start-up kills", does="SIGKILL, then lives killed between spawn and live", holds=KEPT, act=acts.start_kills
)
ALWAYS: Final = (SIGKILL, START_KILLS)
"""In every round."""
TABLE: Final = (
    *ALWAYS,
    Adversity(
        name="SIGTERM",
        does="SIGTERM amid joins",
        holds="it drains, before Docker would kill it, and ends with 0",
        act=acts.sigterm,
    ),
    Adversity(
        name="actors killed",
        does="two of guild, journal, http, caretaker killed by the chaos switch",
        holds="nobody else is disturbed; every ask is answered",
        act=acts.actors_killed,
        deaf=False,
    ),
    Adversity(name="gateway killed", does="the gateway's actor is killed", holds=KEPT, act=acts.gateway_killed),
    Adversity(
        name="frozen",
        does="SIGSTOP for some seconds, SIGCONT",
        holds="the session goes on or a new one begins; " + KEPT,
        act=acts.frozen,
        excused=(MISSED, "interaction.answered_late"),
    ),
    Adversity(
        name="second process",
        does="another process on the same folder",
        holds="it ends with 69 and names the first, which is not disturbed",
        act=acts.second_process,
        deaf=False,
        slow=True,
    ),
    Adversity(
        name="handover",
        does="another process waits for the folder, then the first is ended",
        holds="the second takes over; " + KEPT,
        act=acts.handover,
    ),
    Adversity(
        name="no file grows",
        does="RLIMIT_FSIZE below what log or database need, then lifted, or SIGKILL",
        holds=KEPT,
        act=acts.no_file_grows,
        deaf=False,
    ),
    Adversity(
        name="disk full",
        does="a tiny filesystem is filled, then freed, or SIGKILL",
        holds=KEPT,
        act=acts.disk_full,
        deaf=False,
        mounted=True,
    ),
    Adversity(
        name="start on a full disk",
        does="a life begins on a full disk, then there is room",
        holds="it waits or ends with 69; " + KEPT,
        act=acts.start_on_full_disk,
        mounted=True,
    ),
    Adversity(
        name="start under a limit",
        does="a life begins under RLIMIT_FSIZE, is killed, and the next one has room",
        holds="it waits or ends with 69; " + KEPT,
        act=acts.squeezed_start,
    ),
    Adversity(
        name="log deleted, alive",
        does="the log goes while it runs",
        holds=KEPT,
        act=acts.log_deleted_alive,
        deaf=False,
    ),
    Adversity(
        name="database deleted, alive",
        does="the database goes while it runs",
        holds=KEPT,
        act=acts.database_deleted_alive,
    ),
    Adversity(name="log deleted", does="the log goes between two lives", holds=KEPT, act=acts.log_deleted),
    Adversity(name="database deleted", does="the database goes between lives", holds=KEPT, act=acts.database_deleted),
    Adversity(
        name="checkpoints deleted", does="checkpoints go between lives", holds=KEPT, act=acts.checkpoints_deleted
    ),
    Adversity(name="byte of the log", does="a bit flips in the log between lives", holds=KEPT, act=acts.log_byte),
    Adversity(
        name="byte of the database",
        does="a bit flips in the database between lives",
        holds=KEPT,
        act=acts.database_byte,
    ),
    Adversity(
        name="byte of a checkpoint",
        does="a bit flips in a checkpoint between lives",
        holds=KEPT,
        act=acts.checkpoint_byte,
    ),
    Adversity(
        name="gateway trouble",
        does="the socket is cut, the session invalid, forgotten, or to be resumed",
        holds=KEPT,
        act=acts.gateway_troubles,
    ),
    Adversity(
        name="REST trouble",
        does="5xx, 429, dropped or slow answers, events told twice or late",
        holds="nothing lost, every ask answered",
        act=acts.rest_troubles,
        deaf=False,
    ),
)
