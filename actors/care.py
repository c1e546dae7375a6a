"""What tells nobody of itself, and is looked for: a turn that hangs, a guild at rest, many deaths at once.

The caretaker goes round; what a death leads to is ``supervisor.py``'s business.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.guild import GuildActor
from actors.journal import Journal
from actors.mailbox import Stage
from actors.runtime import Jobs
from actors.supervision import Child, GuildChild
from ledger.ids import GuildId
from ledger.ports import Clock

ROUND_S: Final = 5.0
"""The caretaker goes round so often."""
HUNG_S: Final = 60.0
"""A turn that has not moved for so long, while the journal does, is ended; the message is handled again."""
REST_S: Final = 1_800.0
"""A guild that was told nothing for so long is passivated."""
BREAKER_WINDOW_S: Final = 10.0
BREAKER_CHILDREN: Final = 3
"""At least so many children, and …"""
BREAKER_SHARE: Final = 0.2
"""… this share of all, died of their own within the window: then it is not theirs."""
FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 60.0


class Stillness:
    """Since when the mark of each name is the same."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[object, float]] = {}

    def of(self, name: str, mark: object, now_s: float) -> float:
        """Seconds for which the mark has been this one, as far as it was looked at."""
        known, since_s = self._since.get(name, (None, now_s))
        if known != mark:
            since_s = now_s
        self._since[name] = (mark, since_s)
        return now_s - since_s


class Breaker:
    """Open while many children die of their own at once: the cause is common (memory, a disk, a bug in shared code).

    While it is open their deaths are charged to nobody, so that no budget is spent and nobody is parked, and all of
    them wait. Each opening that follows soon after another pauses for twice as long.
    """

    def __init__(self) -> None:
        self._deaths: deque[tuple[float, str]] = deque()
        self._closes_s = 0.0
        self._pause_s = FIRST_PAUSE_S
        self.openings = 0

    def note(self, name: str, children: int, now_s: float) -> bool:
        """Counts a death of the child's own, one of so many ``children``; True when this opens the breaker."""
        self._deaths.append((now_s, name))
        while self._deaths[0][0] < now_s - BREAKER_WINDOW_S:
            self._deaths.popleft()
        dead = len({each for _, each in self._deaths})
        if self.is_open(now_s) or dead < max(BREAKER_CHILDREN, BREAKER_SHARE * children):
            return False
        self._open(now_s)
        return True

    def is_open(self, now_s: float) -> bool:
        return now_s < self._closes_s

    def wait_s(self, now_s: float) -> float:
        """Seconds until it closes; 0 when it is closed."""
        return max(0.0, self._closes_s - now_s)

    def _open(self, now_s: float) -> None:
        soon = self.openings and now_s - self._closes_s < LONGEST_PAUSE_S
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s) if soon else FIRST_PAUSE_S
        self._closes_s = now_s + self._pause_s
        self._deaths.clear()
        self.openings += 1


class Caretaker:
    """Goes round the guilds, and looks at the journal.

    Args:
        guilds: the children, as they are now.
        journal: whether it moves, and takes anything.
        jobs: for checkpoints of guilds that go to rest.
        begin: starts a life of a child.
        kill: ends one.
        clock: tells for how long nothing has moved.
        sleep: between rounds.
        log: where it is told.
    """

    def __init__(
        self,
        *,
        guilds: Mapping[GuildId, GuildChild],
        journal: Journal,
        jobs: Jobs,
        begin: Callable[[Child], None],
        kill: Callable[[Child], bool],
        clock: Clock,
        sleep: Sleep,
        log: FilteringBoundLogger,
    ) -> None:
        self.hung_s = 0.0
        """For so long the journal has not moved, once that is too long; else 0."""
        self._guilds = guilds
        self._journal = journal
        self._jobs = jobs
        self._begin = begin
        self._kill = kill
        self._clock = clock
        self._sleep = sleep
        self._log = log
        self._stillness = Stillness()
        self._tired: dict[GuildChild, GuildActor] = {}

    async def run(self) -> None:
        """One life: rounds, until it is cancelled."""
        while True:
            await self._sleep(ROUND_S)
            self.go_round()

    def go_round(self) -> None:
        """Ends turns that hang, tries parked guilds again, lets guilds rest that are told nothing."""
        now_s = self._clock.monotonic_s()
        self._look_at_journal(now_s)
        nobody_rests = not self._tired
        for child in self._guilds.values():
            if child.parked:
                if now_s >= child.probe_at_s and child.task is None and child.timer is None:
                    self._begin(child)
            elif child.task is not None:
                self._look_at(child, now_s)
        if nobody_rests and self._tired:
            self._jobs.start(self._let_all_rest(), "rest")

    def _look_at_journal(self, now_s: float) -> None:
        """Only told of: what hangs there is a disk, and a second life would hang beside it."""
        was_s, pulse = self.hung_s, self._journal.pulse()
        still_s = self._stillness.of("journal", pulse, now_s)
        self.hung_s = still_s if pulse.busy and still_s >= HUNG_S else 0.0
        if self.hung_s and not was_s:
            self._log.error("journal.hung", seconds=round(still_s), waiting=self._journal.statistics().waiting)

    def _look_at(self, child: GuildChild, now_s: float) -> None:
        address = child.address
        idle, handled = address.is_idle(), address.statistics().handled
        mark = (address.holder, address.stage, handled, idle)  # not what arrives: more may come behind a hung turn
        still_s = self._stillness.of(child.spec.name, mark, now_s)
        if idle:
            restored = address.stage is Stage.IDLE
            if restored and child.actor and child.actor.may_rest(idle=still_s >= REST_S) and self._journal.is_ready():
                self._tired[child] = child.actor
        elif still_s >= HUNG_S and self._journal.is_ready() and not self._journal.pulse().busy:
            self._log.error("turn.hung", guild=child.guild, stage=address.stage.value, seconds=round(still_s))
            self._kill(child)

    async def _let_all_rest(self) -> None:
        """One after the other: a join that comes meanwhile waits for one checkpoint, not for those of all guilds."""
        try:
            for child, actor in tuple(self._tired.items()):
                await self._let_rest(child, actor)
        finally:
            self._tired.clear()

    async def _let_rest(self, child: GuildChild, actor: GuildActor) -> None:
        """Ends a life that is not needed, if its state is kept and nothing came meanwhile."""
        await actor.keep_checkpoint()
        task = child.task
        if task is None or child.actor is not actor or not child.address.is_idle():
            return
        if not (actor.is_kept() and actor.may_rest(idle=True)):
            return  # some messages change what is true, and record nothing
        child.asleep, child.actor, child.task = actor.presence, None, None
        child.address.hand_over()
        child.address.doze(lambda: self._begin(child))
        task.cancel()
        self._log.info("guild.passivated", guild=child.guild, seq=actor.state.seq, phase=child.phase())
