"""What guild actors want done: fetch a sample, read the member list, go on errands (``actors.guild.Outside``).

Both return at once and are carried out as jobs; what comes of them is told to the guild as a message. A fetch always
has an answer, so that no actor waits for ever. A list of members goes on, page by page, until it is through or its
gateway session is over.
"""

from collections.abc import Iterator
from typing import Final, Literal

from structlog.typing import FilteringBoundLogger

from actors.clock import Sleep
from actors.gateway.errands import Errands
from actors.gateway.failures import Failure, Forbidden, Malformed, reason
from actors.gateway.pacing import Urgency
from actors.gateway.payloads import Member, micros
from actors.gateway.rest import MEMBERS_A_PAGE, Rest
from actors.gateway.welcome import Welcomer
from actors.roster import Roster
from actors.runtime import Jobs
from ledger import messages as m
from ledger.effects import FetchSample, ListMembers, Request, Welcome
from ledger.ids import GuildId, SessionId, UserId
from ledger.ports import Clock, Randomness
from ledger.samples import Sample

FIRST_RETRY_S: Final = 2.0
LONGEST_RETRY_S: Final = 60.0
CRASHED_S: Final = 60.0
"""After a list that ended by an error nobody expects: who joined while we were away stands in it alone."""
BEFORE_ALL: Final = UserId("0")
REVIEWED_AT_ONCE: Final = 500
"""Members that a guild compares in one turn: a record for each of them must not hold the loop up."""


class Fetcher:
    """Carries out the effects of guild actors.

    Args:
        rest: whom to ask.
        welcomer: greets guilds.
        errands: carries out what is asked beside the counters.
        roster: whom to tell.
        jobs: where the work runs.
        clock: stamps messages.
        sleep: between tries.
        randomness: for jitter.
        log: for what went wrong.
    """

    def __init__(
        self,
        *,
        rest: Rest,
        welcomer: Welcomer,
        errands: Errands,
        roster: Roster,
        jobs: Jobs,
        clock: Clock,
        sleep: Sleep,
        randomness: Randomness,
        log: FilteringBoundLogger,
    ) -> None:
        self._rest = rest
        self._welcomer = welcomer
        self._errands = errands
        self._roster = roster
        self._jobs = jobs
        self._clock = clock
        self._sleep = sleep
        self._randomness = randomness
        self._log = log
        self._sampled: dict[GuildId, SessionId] = {}
        self._listing: dict[GuildId, ListMembers] = {}
        self._again: set[tuple[GuildId, ListMembers]] = set()
        self._stopped = False

    def fetch_sample(self, guild: GuildId, effect: FetchSample) -> None:
        """Fetches all counters ``effect.after_s`` seconds from now."""
        if not self._stopped:
            self._jobs.start_later(effect.after_s, lambda: self._fetch(guild, effect), f"sample/{guild}")

    def list_members(self, guild: GuildId, effect: ListMembers) -> None:
        """Reads the member list; while one is being read for the same session, once more after it."""
        if self._stopped:
            return
        if self._listing.get(guild) == effect:
            self._again.add((guild, effect))
            return
        self._listing[guild] = effect
        self._jobs.start(self._list(guild, effect), f"members/{guild}")

    def welcome(self, guild: GuildId, effect: Welcome) -> None:
        """Says in the guild that the bot is new there."""
        if not self._stopped:
            self._jobs.start(self._welcomer.greet(guild, effect), f"welcome/{guild}")

    def run_errand(self, guild: GuildId, effect: Request) -> None:
        """Asks Discord what the errand says, in its time."""
        self._errands.run(guild, effect)

    def stop(self) -> None:
        """Takes no more work; what is under way is the owner's of the jobs to end."""
        self._stopped = True
        self._errands.stop()

    async def _fetch(self, guild: GuildId, effect: FetchSample) -> None:
        answer: Sample | Failure = Malformed(why="the fetch crashed")
        try:
            answer = await self._sample(guild, effect.session)
        finally:
            if not self._stopped:
                self._answer(guild, effect, answer)

    async def _sample(self, guild: GuildId, session: SessionId) -> Sample | Failure:
        greeting = self._roster.greeting(guild)
        if greeting is None or greeting.session != session:
            return Malformed(why="the session is over")
        urgency = Urgency.LIVE if self._sampled.get(guild) == session else Urgency.STARTING
        return await self._rest.sample(guild, session, vanity=greeting.vanity, urgency=urgency)

    def _answer(self, guild: GuildId, effect: FetchSample, answer: Sample | Failure) -> None:
        if isinstance(answer, Sample):
            self._sampled[guild] = effect.session
            self._log.debug("sample.fetched", guild=guild, counters=len(answer.counters))
            self._roster.tell(guild, m.SampleArrived(sample=answer, request=effect.request))
            return
        self._log.warning("sample.failed", guild=guild, reason=reason(answer), failures=effect.request.failures)
        failed = m.SampleFailed(
            request=effect.request,
            reason=reason(answer),
            forbidden=isinstance(answer, Forbidden),
            at_us=self._clock.stamp_us(),
        )
        self._roster.tell(guild, failed)

    async def _list(self, guild: GuildId, effect: ListMembers) -> None:
        """The whole list, again while that was asked for meanwhile; and later once more, where it crashed."""
        through = False
        try:
            await self._pages(guild, effect)
            while (guild, effect) in self._again:
                self._again.discard((guild, effect))
                await self._pages(guild, effect)
            through = True
        finally:
            self._again.discard((guild, effect))
            if self._listing.get(guild) is effect:
                del self._listing[guild]
            if not (through or self._stopped):
                self._jobs.start_later(CRASHED_S, lambda: self._list(guild, effect), f"members/{guild}")

    async def _pages(self, guild: GuildId, effect: ListMembers) -> None:
        started_us, after, failures, listed = self._clock.stamp_us(), BEFORE_ALL, 0, 0
        while self._is_current(guild, effect.session):
            page = await self._rest.members(guild, after)
            if not isinstance(page, tuple):
                failures += 1
                await self._wait(guild, page, failures)
                continue
            for review in _reviews(effect.session, page, after, started_us, self._clock.stamp_us()):
                self._roster.tell(guild, review)
            failures, listed = 0, listed + len(page)
            if len(page) < MEMBERS_A_PAGE:
                self._log.info("members.listed", guild=guild, members=listed)
                return
            after = page[-1].user.id

    async def _wait(self, guild: GuildId, failure: Failure, failures: int) -> None:
        pause_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(failures - 1, 10))
        pause_s *= self._randomness.uniform(0.5, 1.0)
        self._log.warning(
            "members.list_failed", guild=guild, reason=reason(failure), tries=failures, again_s=round(pause_s, 1)
        )
        await self._sleep(pause_s)

    def _is_current(self, guild: GuildId, session: SessionId) -> bool:
        greeting = self._roster.greeting(guild)
        return greeting is not None and greeting.session == session and not self._stopped


def _reviews(
    session: SessionId, page: tuple[Member, ...], after: UserId, started_us: int, at_us: int
) -> Iterator[m.ReviewMembers]:
    """A page in parts, which follow each other without a gap; the last part of the last page has no end."""
    for start in range(0, max(1, len(page)), REVIEWED_AT_ONCE):
        part = page[start : start + REVIEWED_AT_ONCE]
        is_last = len(page) < MEMBERS_A_PAGE and start + len(part) == len(page)
        upto: UserId | Literal[""] = "" if is_last else part[-1].user.id
        yield m.ReviewMembers(
            session=session,
            members=tuple(_listed(row, micros(row.joined_at)) for row in part if row.joined_at),
            after=after,
            upto=upto,
            started_us=started_us,
            at_us=at_us,
        )
        after = upto or after


def _listed(row: Member, joined_at_us: int) -> m.ListedMember:
    return m.ListedMember(
        user=row.user.id, joined_at_us=joined_at_us, bot=row.user.bot, flags=row.flags, roles=row.roles
    )
