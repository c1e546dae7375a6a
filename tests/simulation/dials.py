"""What a seed chooses: how big the world is, how the bot is set, and what goes wrong.

Dials are values: a failing seed is shrunk by turning them down, and kept as JSON. Each part of a run draws from a
stream of its own (``stream``), so that a run with fewer faults tells the same story.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import ModuleType
from typing import Final

import msgspec

import supervisor
from actors import care, checkpointing, handover, journal, mailbox, requests
from ledger import errands, evolve, witness
from persistence import following, local, recovery
from persistence.merging import MERGE_FILES

_SHORT_BYTES: Final = 10_000
NEARBY: Final = (
    "kill_guild",
    "kill_journal",
    "kill_caretaker",
    "zombie_guild",
    "zombie_journal",
    "hang",
    "disk_full",
    "disk_fails",
    "slow_disk",
    "database_fails",
    "database_away",
    "raise_once",
    "raise_always",
    "raise_everywhere",
    "raise_in_evolve",
    "storm",
    "session_lost",
    "resumed",
    "outage",
    "removed",
    "forbidden",
    "no_answers",
    "power",
    "rot",
)
CLOUDED: Final = ("cloud_away", "cloud_slow", "cloud_loses", "cloud_late", "kill_uploader", "wipe", "rival")
"""Only where there is a cloud."""
AGAIN_US: Final = (1_000_000, 3_000_000, 10_000_000, 30_000_000)
"""Instead of the second witness's long waits, so that a run is through all of them."""
FAULTS: Final = (*NEARBY, *CLOUDED)
"""Kinds of faults; ``faults.py`` says what each does."""


class Dials(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    ``lives``: of the process before the one that heals, each ended by a power cut or a drain; ``happenings``: things
    that happen in a guild in a life; ``life_s``: how long a life is; ``fault_every_s``: the mean pause between two
    faults of a kind; ``kill_every``: the mean number of the loop's steps between two kills;
    ``queued_bytes``, ``piece_records``: of what waits for the cloud; ``silent_s``: how long a
    newcomer waits for whoever holds the history.
    """

    seed: int
    guilds: int
    lives: int
    happenings: int
    life_s: float
    faults: tuple[str, ...]
    fault_every_s: float
    kill_every: int
    named: tuple[str, ...]
    batch_records: int
    checkpoint_bytes: int
    checkpoint_age_s: float
    rest_s: float
    segment_bytes: int
    lane: int
    recoveries: int
    page: int
    busy_disk: bool
    cloud: bool = False
    queued_bytes: int = 8_388_608
    piece_records: int = 10_000
    silent_s: float = 30.0

    @property
    def merge_files(self) -> int:
        """So many files of the log are merged: where they are short, few."""
        return 2 if self.segment_bytes < _SHORT_BYTES else MERGE_FILES


def stream(seed: int, name: str) -> Random:
    """The randomness of one part of a run."""
    return Random(f"{seed}/{name}")


def draw(seed: int) -> Dials:
    """The dials of a seed. Every twelfth run has no faults at all, every third a cloud."""
    near = draw_nearby(seed)
    return with_cloud(near) if seed % 3 == 2 else near


def draw_nearby(seed: int) -> Dials:
    """The same without a cloud."""
    random = stream(seed, "dials")
    guilds = random.choice((1, 1, 2, 3, 5, 12))
    life_s = random.choice((4.0, 15.0, 60.0))
    share = random.choice((0.15, 0.3, 0.5)) if random.random() < 11 / 12 else 0.0
    return Dials(
        seed=seed,
        guilds=guilds,
        lives=random.choice((1, 1, 2, 2, 3)),
        happenings=max(8, random.choice((40, 100, 300)) // guilds),
        life_s=life_s,
        faults=tuple(kind for kind in NEARBY if random.random() < share),
        fault_every_s=life_s / random.choice((1, 3, 8)),
        kill_every=random.choice((100, 400, 1_500)),
        named=random.choice((("log", "database"),) * 5 + (("log",),)),
        batch_records=random.choice((1, 5, 1_000)),
        checkpoint_bytes=random.choice((1_000, 8_000, 64_000)),
        checkpoint_age_s=random.choice((2.0, 30.0, 300.0)),
        rest_s=random.choice((10.0, 60.0, 1_800.0)),
        segment_bytes=random.choice((3_000, 20_000, 16_777_216)),
        lane=random.choice((6, 24, 4_096)),
        recoveries=random.choice((1, 3, 50)),
        page=random.choice((5, 20, 1_000)),
        busy_disk=random.random() < 0.5,
    )


def with_cloud(dials: Dials) -> Dials:
    """The same run with a cloud, and what may go wrong with it."""
    random = stream(dials.seed, "cloud")
    share = random.choice((0.3, 0.5)) if dials.faults else 0.0
    return msgspec.structs.replace(
        dials,
        cloud=True,
        faults=(*dials.faults, *(kind for kind in CLOUDED if random.random() < share)),
        named=random.choice((*(dials.named,) * 2, ("log", "database", "cloud"))),
        queued_bytes=random.choice((2_000, 8_388_608)),
        piece_records=random.choice((20, 10_000)),
        silent_s=random.choice((1.0, dials.life_s / 4, 30.0)),
    )


@contextmanager
def tuned(dials: Dials) -> Iterator[None]:
    """Sets the bot's constants as the dials say; they are as before afterwards."""
    lanes = (dials.lane,) * len(mailbox.Lane)
    wanted: tuple[tuple[ModuleType, str, object], ...] = (
        (requests, "MAX_BATCH_RECORDS", dials.batch_records),
        (checkpointing, "CHECKPOINT_BYTES", dials.checkpoint_bytes),
        (checkpointing, "CHECKPOINT_AGE_S", dials.checkpoint_age_s),
        (care, "REST_S", dials.rest_s),
        (care, "ROUND_S", dials.life_s / 20),
        (care, "HUNG_S", dials.life_s / 6),
        (journal, "WAIT_FOR_LAYER_S", dials.life_s / 4),
        (supervisor, "FIRST_PROBE_S", dials.life_s / 6),
        (mailbox, "CAPACITY", lanes),
        (supervisor, "MAX_RECOVERIES", dials.recoveries),
        (recovery, "FEED_RECORDS", 7),
        (following, "QUEUED_BYTES", dials.queued_bytes),
        (following, "PIECE_RECORDS", dials.piece_records),
        (handover, "SILENT_S", dials.silent_s),
        (handover, "BEAT_S", dials.silent_s / 3),
        (local, "_CHUNK_RECORDS", 5),
        (evolve, "HEARD_OF_US", 2_000_000),
        (errands, "ABSENT_AGAIN_US", AGAIN_US),
        (witness, "ABSENT_AGAIN_US", AGAIN_US),
        (witness, "FAILED_AGAIN_US", AGAIN_US),
    )
    before = [(module, name, getattr(module, name)) for module, name, _ in wanted]
    for module, name, value in wanted:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
