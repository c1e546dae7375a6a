"""The keeper: has every layer give back what was written, so that a backup is known to be one before it is needed.

Rules. The *pass*, every half hour: what was recorded since the last one is read back from every layer and compared;
each guild that moved has a checkpoint written and read back everywhere. The *drain* sends the cloud the checkpoints
that it lacks, in half of the time there is, and reads back what no pass has seen yet in the other half. The *scrub*
goes through all there is, old as well, once a week. The cloud is *packed* as soon as a minute finds enough loose.
All of it in pieces between two batches, with pauses: nobody waits for it. What could not be proved is said, and stays
to be done; nothing is lost by being killed at any place. How a layer is read and mended: ``actors/proving.py``.
"""

import asyncio
from contextlib import suppress
from math import ceil
from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.drain import Drain, Step
from actors.journal import Journal
from actors.proving import Prover
from actors.standing import Inside, NotRunning
from ledger.errors import Corrupt, StorageError
from ledger.ids import GuildId
from ledger.ports import Clock
from persistence.layer import FencedLayer
from persistence.proofs import Walk
from persistence.store import Store

ROUND_S: Final = 60.0
"""The keeper goes round so often: one piece of the scrub, what is to be packed, and the pass when it is due."""
PASS_S: Final = 1_800.0
SCRUB_S: Final = 4 * 86_400.0
"""In so long everything is read once if nothing comes between; rounds with a pass take longer: a week at most."""
PAUSE_S: Final = 0.02
"""Between two pieces, each of which takes a few milliseconds of the journal's time."""
GUILD_PAUSE_S: Final = 0.1
"""Between two guilds' checkpoints: those of 5,000 guilds take about ten minutes."""


class KeeperStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The keeper in numbers. ``age_s``: since everything was last read back, by a pass or at the start.

    ``scrubbed``: records of old that were read again; ``faults``: how often something was not what was written.
    """

    age_s: float
    scrubbed: int
    faults: int


class Keeper:
    """A child of the root; one life after the other goes on where the last one was.

    Args:
        store: what is proved.
        journal: through which the layers nearby are read.
        inside: writes guilds' checkpoints.
        clock, sleep: when a pass is due, and the pauses.
        log: where each pass is told of.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        inside: Inside,
        *,
        clock: Clock,
        sleep: Sleep,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._journal = journal
        self._inside = inside
        self._clock = clock
        self._sleep = sleep
        self._log = log
        self._prover = Prover(store, journal, log)
        self._passes: dict[str, Walk] = {}
        self._scrubs: dict[str, Walk] = {}
        self._due: set[GuildId] = set()
        self._seen: int | None = None
        self._whole_at_s = self._passed_at_s = clock.monotonic_s()
        self._scrubbed = 0
        self._life: asyncio.Task[object] | None = None

    async def run(self) -> None:
        """One life: until it is cancelled.

        Raises:
            Stale: when another process writes the history now.
        """
        self._life = asyncio.current_task()
        while True:
            await self._sleep(ROUND_S)
            if self._journal.is_ready():
                await self.go_round()

    async def go_round(self) -> None:
        """A piece of the scrub, a pack where enough is loose, and the pass when it is due."""
        self._look()
        await self.scrub()
        await self._pack({})  # what keeps it from that is the pass's to say, which tries as well
        if self._clock.monotonic_s() - self._passed_at_s >= PASS_S:
            await self.verify()

    async def verify(self) -> None:
        """The pass."""
        began_s, troubles = self._clock.monotonic_s(), dict[str, str]()
        self._prover.said.clear()
        self._look()
        records = await self._prove_records(PAUSE_S, troubles)
        guilds = await self._prove_guilds(troubles)
        await self._pack(troubles)
        self._passed_at_s = self._clock.monotonic_s()
        self._tell(records, guilds, began_s, troubles)

    async def finish(self, drain: Drain) -> None:
        """The drain, once nothing is recorded any more: what no pass has done, as far as the time goes.

        A cloud may be another process's by now: it gets checkpoints, which disturb nobody, and no records.
        """
        async with drain.limit(Step.READING):
            await self._end_life()
        if not self._journal.is_ready():
            return
        self._prover.mends = False
        began_s, troubles = self._clock.monotonic_s(), dict[str, str]()
        records = guilds = 0
        done = False
        async with drain.limit(Step.READING):
            self._look()
            await self._send_checkpoints(drain.left_s(Step.READING) / 2, troubles)
            records = await self._prove_records(0.0, troubles)
            guilds = await self._read_checkpoints(troubles)
            done = True
        following = self._store.following
        if following is not None and following.behind():
            troubles[following.layer.name] = f"it lacks {following.behind()} records"
        if not done:
            troubles["time"] = "not done before the bot had to end"
        self._tell(records, guilds, began_s, troubles)

    async def scrub(self) -> None:
        """The next piece of each layer, so that all of it is read in a week; from its end it begins anew."""
        with suppress(StorageError, Corrupt):  # what is away is the pass's to say
            await self._prover.scrub_cloud(self._place(), ROUND_S / SCRUB_S)
        for layer, walk in self._scrubs.items():
            end = self._prover.gsn_of(layer)
            if walk.gsn >= end:
                walk.restart(0)
            before = walk.gsn
            try:
                await self._walk(layer, walk, min(end, before + max(1, ceil(end * ROUND_S / SCRUB_S))), PAUSE_S)
            except (StorageError, Corrupt):
                continue  # told where it is a fault; what is away is the pass's to say
            finally:
                self._scrubbed += walk.gsn - before

    def statistics(self) -> KeeperStatistics:
        return KeeperStatistics(
            age_s=self._clock.monotonic_s() - self._whole_at_s,
            scrubbed=self._scrubbed,
            faults=self._prover.faults,
        )

    # Records

    def _look(self) -> None:
        """Notes which guilds have moved, and from where on a layer that was not seen before is to be read."""
        seen = self._store.witness.since if self._seen is None else self._seen
        self._due |= {guild for guild in self._store.guilds() if self._store.head_of(guild).gsn > seen}
        self._seen = self._store.newest_gsn()
        for layer in self._prover.names():
            if layer not in self._passes:
                self._passes[layer] = self._prover.first_walk(layer)
                self._scrubs[layer] = Walk(self._store.witness, int(self._prover.gsn_of(layer) * self._place()))

    def _place(self) -> float:
        """Where in the history (0 to 1) a process begins its scrub: the date tells.

        So one that is redeployed each day comes through all of it, too.
        """
        return self._clock.now_ms() / 1_000 % SCRUB_S / SCRUB_S

    async def _prove_records(self, pause_s: float, troubles: dict[str, str]) -> int:
        """Reads back what each layer got since the last pass: how many records it was at most."""
        records = 0
        for layer, walk in self._passes.items():
            before = walk.gsn
            try:
                await self._walk(layer, walk, self._prover.gsn_of(layer), pause_s)
            except (StorageError, Corrupt) as error:
                troubles[layer] = str(error)
            records = max(records, walk.gsn - before)
        return records

    async def _walk(self, layer: str, walk: Walk, upto: int, pause_s: float) -> None:
        while walk.gsn < upto:
            await self._prover.step(layer, walk, upto)
            await self._sleep(pause_s)

    # Guilds

    async def _prove_guilds(self, troubles: dict[str, str]) -> int:
        """Checkpoints of all who moved, in every layer; how many guilds it was."""
        proved = 0
        for guild in sorted(self._due.union(self._behind_in_cloud())):
            try:
                whole = await self._prove_guild(guild, troubles)
            except StorageError as error:
                troubles["checkpoints"] = str(error)
                break
            if whole:
                self._due.discard(guild)
                proved += 1
            await self._sleep(GUILD_PAUSE_S)
        return proved

    async def _prove_guild(self, guild: GuildId, troubles: dict[str, str]) -> bool:
        """Whether a checkpoint at its head is in every layer: not where it begins just now, or is parked."""
        try:
            kept = await self._inside.keep_checkpoint(guild)
        except NotRunning:
            whole = await self._has_checkpoint(guild)
        else:
            failed = {layer: why for layer, why in kept.layers.items() if why and layer in self._store.near()}
            troubles.update(failed)
            whole = not failed
        await self._send_checkpoint(guild, troubles)
        return whole

    async def _has_checkpoint(self, guild: GuildId) -> bool:
        """Whether every layer nearby gives back a checkpoint at the guild's head."""
        found = [await self._prover.newest(layer, guild) for layer in self._store.near()]
        head = self._store.head_of(guild)
        return all(each is not None and each.header.seq == head.seq for each in found)

    async def _read_checkpoints(self, troubles: dict[str, str]) -> int:
        """As a drain has just written them."""
        proved = 0
        for guild in sorted(self._due):
            try:
                whole = await self._has_checkpoint(guild)
            except StorageError as error:
                troubles["checkpoints"] = str(error)
                break
            if whole:
                self._due.discard(guild)
                proved += 1
        return proved

    def _behind_in_cloud(self) -> list[GuildId]:
        """Guilds of which the cloud's newest checkpoint is not of their head; who has most behind it comes first."""
        cloud = self._cloud()
        if cloud is None:
            return []
        behind = {
            guild: self._store.head_of(guild).seq - cloud.checkpoint_seq(guild) for guild in self._store.guilds()
        }
        return sorted((guild for guild in behind if behind[guild] > 0), key=behind.__getitem__, reverse=True)

    async def _send_checkpoints(self, within_s: float, troubles: dict[str, str]) -> None:
        """To a cloud that has all records; those that there is no time for are left out."""
        following = self._store.following
        if following is None or following.behind():
            return
        try:
            async with asyncio.timeout(within_s):
                for guild in self._behind_in_cloud():
                    await self._send_checkpoint(guild, troubles)
        except TimeoutError:
            return
        except StorageError as error:
            troubles["checkpoints"] = str(error)

    async def _send_checkpoint(self, guild: GuildId, troubles: dict[str, str]) -> None:
        """A guild's newest checkpoint goes to the cloud, which has to give it back; what fails waits for a pass."""
        cloud = self._cloud()
        if cloud is None or cloud.name in troubles:
            return
        checkpoint = await self._prover.newest(self._store.near()[0], guild)
        if checkpoint is None or checkpoint.header.seq <= cloud.checkpoint_seq(guild):
            return
        try:
            await cloud.save_checkpoint(checkpoint)
            place = (checkpoint.header.epoch, checkpoint.header.seq)
            kept = await cloud.checkpoint(guild, place)
        except StorageError as error:
            troubles[cloud.name] = str(error)
            return
        if kept is None or kept.header.digest != checkpoint.header.digest:
            self._prover.tell(cloud.name, f"checkpoint of guild {guild} at seq {checkpoint.header.seq}")

    async def _pack(self, troubles: dict[str, str]) -> None:
        cloud = self._cloud()
        if cloud is None or cloud.name in troubles:
            return
        try:
            while await cloud.pack():
                for walks in (self._passes, self._scrubs):
                    walks[cloud.name].restart(walks[cloud.name].gsn)  # what it was reading may be gone
                await self._sleep(PAUSE_S)
        except StorageError as error:
            troubles[cloud.name] = str(error)

    def _cloud(self) -> FencedLayer | None:
        """If it is this process that writes there."""
        following = self._store.following
        return following.layer if following is not None and following.fenced else None

    # What is told

    def _tell(self, records: int, guilds: int, began_s: float, troubles: dict[str, str]) -> None:
        now_s = self._clock.monotonic_s()
        proved = [layer for layer in self._prover.names() if layer not in troubles]
        seconds = round(now_s - began_s, 3)
        if not troubles:
            self._whole_at_s = now_s
        if not troubles and not self._due:
            self._log.info("backup.verified", records=records, guilds=guilds, layers=proved, seconds=seconds)
            return
        self._log.warning(
            "backup.incomplete",
            records=records,
            guilds=guilds,
            layers=proved,
            seconds=seconds,
            left=max(self._prover.gsn_of(layer) - walk.gsn for layer, walk in self._passes.items()),
            guilds_left=len(self._due),
            why=troubles,
        )

    async def _end_life(self) -> None:
        """Whatever was under way is given up; what it had proved is proved."""
        if self._life is not None and not self._life.done():
            self._life.cancel()
            await asyncio.wait({self._life})
