"""What a simulated process asks a simulated Discord: counters and member lists, each after a random time.

It keeps the contract of ``actors.guild.Outside`` as ``gateway/outside.py`` does: both return at once, a fetch always
has an answer, a list goes on page by page until it is through or its session is over.
"""

from collections.abc import Callable
from random import Random
from typing import Final, Protocol

import msgspec

from actors.guild import Outside
from actors.roster import Roster
from ledger import messages as m
from ledger.ids import GuildId, SessionId, UserId
from ledger.ports import Clock
from ledger.records import Counter, Vanity
from ledger.samples import Sample
from tests.simulation.loop import SimLoop

FORBIDDEN: Final = "forbidden"
BEFORE_ALL: Final = UserId("0")


class Shown(msgspec.Struct, frozen=True):
    """A guild's counters at one moment."""

    counters: tuple[Counter, ...]
    vanity: Vanity | None = None


class Discord(Protocol):
    """What can be asked of it. The truth, as of now."""

    def counters(self, guild: GuildId) -> Shown | str:
        """The counters, or why they are not to be had (``FORBIDDEN`` or another word)."""
        ...

    def members(self, guild: GuildId, after: UserId, limit: int) -> tuple[m.ListedMember, ...] | str:
        """Members by rising ids (as numbers), behind one; or why they are not to be had."""
        ...


class SimOutside(Outside):
    """Args:
    loop: where time passes.
    roster: whom to tell.
    discord: whom to ask.
    clock: stamps what is sent and heard.
    latency_s: how long one way of a request takes.
    page: members a page of the list.
    """

    def __init__(
        self,
        loop: SimLoop,
        roster: Roster,
        discord: Discord,
        clock: Clock,
        *,
        latency_s: Callable[[Random], float] | None = None,
        page: int = 1_000,
    ) -> None:
        self._loop = loop
        self._roster = roster
        self._discord = discord
        self._clock = clock
        self._latency_s = latency_s or quick
        self._page = page
        self._listing: dict[GuildId, m.ListMembers] = {}
        self._again: set[tuple[GuildId, m.ListMembers]] = set()
        self.welcomed: list[GuildId] = []

    def fetch_sample(self, guild: GuildId, effect: m.FetchSample) -> None:
        self._loop.call_later(effect.after_s, self._ask, guild, effect)

    def list_members(self, guild: GuildId, effect: m.ListMembers) -> None:
        if self._listing.get(guild) == effect:
            self._again.add((guild, effect))
            return
        self._listing[guild] = effect
        self._ask_page(guild, effect, self._clock.stamp_us(), BEFORE_ALL)

    def welcome(self, guild: GuildId, effect: m.Welcome) -> None:
        del effect
        self.welcomed.append(guild)

    def run_errand(self, guild: GuildId, effect: m.Request) -> None:
        """Nobody answers: what is asked beside the counters is not simulated."""

    def refresh(self, guild: GuildId, then: Callable[[m.SampleArrived], None]) -> None:
        """Fetches the counters for a person; nothing comes of it where they are not to be had."""
        greeting = self._roster.greeting(guild)
        if greeting is not None:
            self._later(self._show_person, guild, greeting.session, self._clock.stamp_us(), then)

    # A sample: asked for, shown as of some moment, heard

    def _ask(self, guild: GuildId, effect: m.FetchSample) -> None:
        if not self._is_current(guild, effect.session):
            self._fail(guild, effect, "the session is over")
            return
        self._later(self._show, guild, effect, self._clock.stamp_us())

    def _show(self, guild: GuildId, effect: m.FetchSample, requested_us: int) -> None:
        shown = self._discord.counters(guild)
        if isinstance(shown, str):
            self._later(self._fail, guild, effect, shown)
        else:
            self._later(self._answer, guild, effect, requested_us, shown)

    def _answer(self, guild: GuildId, effect: m.FetchSample, requested_us: int, shown: Shown) -> None:
        sample = self._sample(effect.session, requested_us, shown)
        self._roster.tell(guild, m.SampleArrived(sample=sample, request=effect.request))

    def _show_person(
        self, guild: GuildId, session: SessionId, requested_us: int, then: Callable[[m.SampleArrived], None]
    ) -> None:
        shown = self._discord.counters(guild)
        if isinstance(shown, Shown):
            self._later(self._answer_person, session, requested_us, shown, then)

    def _answer_person(
        self, session: SessionId, requested_us: int, shown: Shown, then: Callable[[m.SampleArrived], None]
    ) -> None:
        then(m.SampleArrived(sample=self._sample(session, requested_us, shown), request=None))

    def _sample(self, session: SessionId, requested_us: int, shown: Shown) -> Sample:
        return Sample(
            requested_us=requested_us,
            answered_us=self._clock.stamp_us(),
            session=session,
            counters=shown.counters,
            vanity=shown.vanity,
        )

    def _fail(self, guild: GuildId, effect: m.FetchSample, why: str) -> None:
        failed = m.SampleFailed(
            request=effect.request, reason=why, forbidden=why == FORBIDDEN, at_us=self._clock.stamp_us()
        )
        self._roster.tell(guild, failed)

    # The member list

    def _ask_page(self, guild: GuildId, effect: m.ListMembers, started_us: int, after: UserId) -> None:
        if self._is_current(guild, effect.session):
            self._later(self._show_page, guild, effect, started_us, after)
        else:
            self._end_list(guild, effect)

    def _show_page(self, guild: GuildId, effect: m.ListMembers, started_us: int, after: UserId) -> None:
        rows = self._discord.members(guild, after, self._page)
        if isinstance(rows, str):
            self._loop.call_later(2.0, self._ask_page, guild, effect, started_us, after)
        else:
            self._later(self._tell_page, guild, effect, started_us, after, rows)

    def _tell_page(
        self,
        guild: GuildId,
        effect: m.ListMembers,
        started_us: int,
        after: UserId,
        rows: tuple[m.ListedMember, ...],
    ) -> None:
        upto = rows[-1].user if len(rows) >= self._page else ""
        page = m.ReviewMembers(
            session=effect.session,
            members=rows,
            after=after,
            upto=upto,
            started_us=started_us,
            at_us=self._clock.stamp_us(),
        )
        self._roster.tell(guild, page)
        if upto:
            self._ask_page(guild, effect, started_us, UserId(upto))
        else:
            self._end_list(guild, effect)

    def _end_list(self, guild: GuildId, effect: m.ListMembers) -> None:
        again = (guild, effect) in self._again
        self._again.discard((guild, effect))
        if again and self._is_current(guild, effect.session):
            self._ask_page(guild, effect, self._clock.stamp_us(), BEFORE_ALL)
        elif self._listing.get(guild) is effect:
            del self._listing[guild]

    def _is_current(self, guild: GuildId, session: SessionId) -> bool:
        greeting = self._roster.greeting(guild)
        return greeting is not None and greeting.session == session

    def _later(self, step: Callable[..., None], *args: object) -> None:
        self._loop.call_later(self._latency_s(self._loop.random), step, *args)


def quick(random: Random) -> float:
    """Mostly tens of milliseconds, sometimes a second."""
    return random.expovariate(30.0) if random.random() < 0.9 else random.uniform(0.2, 1.0)
