"""The simulated gateway: what happens in towns comes to the process in order, late, sometimes twice, sometimes never.

Rules. Dispatches of a session are numbered as they are told and never overtake one another. A session that is lost
takes with it what was on its way; the next one begins with READY and a GUILD_CREATE a guild. A session that is
resumed keeps its name and its dispatches, and repeats some. Nothing is told of a guild that is unavailable, or that
the bot was removed from.
"""

from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

import msgspec

from actors.mailbox import Admission
from ledger import messages as m
from ledger.ids import GuildId, SessionId
from ledger.ports import Clock
from supervisor import Supervisor
from tests.simulation.agenda import Agenda
from tests.simulation.town import Town

REPEATED: Final = 6
"""So many of the newest dispatches may be repeated by a RESUME."""


class Heard(msgspec.Struct, frozen=True):
    """Where a dispatch comes from, and when it was in our hands."""

    session: SessionId
    number: int
    arrived_us: int


Made = Callable[[Heard], m.Message]
"""A dispatch, told as a message."""


class Gateway:
    """Args:
    agenda: when what is told.
    towns: whose dispatches they are.
    random: delays.
    name: of its sessions.

    ``also``: whoever hears the same over sessions of its own.
    """

    def __init__(self, agenda: Agenda, towns: Mapping[GuildId, Town], random: Random, name: str = "s") -> None:
        self.session = SessionId("")
        self.also: Gateway | None = None
        self._name = name
        self.dropped = 0
        self._agenda = agenda
        self._towns = towns
        self._random = random
        self._sessions = 0
        self._number = 0
        self._under_way: deque[tuple[float, GuildId, Made]] = deque()
        self._recent: deque[tuple[int, GuildId, Made]] = deque(maxlen=REPEATED)
        self._held_until_s = 0.0
        self._supervisor: Supervisor | None = None
        self._clock: Clock | None = None

    # The connection

    def connect(self, supervisor: Supervisor, clock: Clock) -> None:
        """A process is there and identifies."""
        self._supervisor, self._clock = supervisor, clock
        self.identify()

    def disconnect(self) -> None:
        """The process is gone, and its session with it."""
        self._supervisor = self._clock = None
        self._forget_session()

    def identify(self) -> None:
        """A new session: READY, and after a while each guild that is available."""
        supervisor = self._supervisor
        if supervisor is None:
            return
        self._forget_session()
        self._sessions += 1
        self.session = SessionId(f"{self._name}{self._sessions}")
        for guild in supervisor.roster.here():
            if not self._towns[guild].there:
                self._tell(guild, lambda heard: m.RemoveGuild(at_us=heard.arrived_us))
        for town in self._towns.values():
            if town.there and town.available:
                self.come_up(town)

    def hold(self, seconds: float) -> None:
        """The connection is lost and resumed after a while, with some of what was told before."""
        self._held_until_s = self._agenda.now_s() + seconds
        again = list(self._recent)[-self._random.randint(1, REPEATED) :]
        session = self.session
        self._agenda.after(seconds, lambda: self._resume(session, again))

    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._under_way

    # What is told

    def come_up(self, town: Town) -> None:
        """GUILD_CREATE."""
        vanity = town.vanity is not None
        self.dispatch(town, lambda heard: m.GuildCameUp(session=heard.session, at_us=heard.arrived_us, vanity=vanity))

    def dispatch(self, town: Town, made: Made) -> bool:
        """Tells the process of something, if it can be told at all."""
        if self.also is not None:
            self.also.dispatch(town, made)
        if self._supervisor is None or not town.there or not town.available:
            self.dropped += 1
            return False
        due_s = self._agenda.now_s() + self._delay_s()
        if self._under_way:
            due_s = max(due_s, self._under_way[-1][0])
        self._under_way.append((due_s, town.guild, made))
        self._wait(due_s)
        return True

    def repeat(self) -> None:
        """The newest dispatches are told twice."""
        self._resume(self.session, list(self._recent)[-self._random.randint(1, 3) :])

    def _forget_session(self) -> None:
        self.dropped += len(self._under_way)
        self._under_way.clear()
        self._recent.clear()
        self._number = 0
        self._held_until_s = 0.0

    def _resume(self, session: SessionId, again: list[tuple[int, GuildId, Made]]) -> None:
        if session != self.session or self._supervisor is None:
            return
        for number, guild, made in again:
            self._hand_over(guild, made, number)
        self._deliver()

    def _wait(self, due_s: float) -> None:
        self._agenda.at(max(due_s, self._held_until_s), self._deliver)

    def _deliver(self) -> None:
        now_s = self._agenda.now_s()
        if now_s < self._held_until_s:
            return
        while self._under_way and self._under_way[0][0] <= now_s:
            _, guild, made = self._under_way.popleft()
            self._tell(guild, made)

    def _tell(self, guild: GuildId, made: Made) -> None:
        self._number += 1
        self._recent.append((self._number, guild, made))
        self._hand_over(guild, made, self._number)

    def _hand_over(self, guild: GuildId, made: Made, number: int) -> None:
        supervisor, clock = self._supervisor, self._clock
        if supervisor is None or clock is None:
            return
        message = made(Heard(self.session, number, clock.stamp_us()))
        if supervisor.roster.tell(guild, message) in (Admission.GAP, Admission.CLOSED):
            self.dropped += 1

    def _delay_s(self) -> float:
        """Mostly quick, sometimes late, never later than the death margin of two seconds."""
        return self._random.choice((0.02, 0.1, 0.4, 1.8)) * self._random.random()
