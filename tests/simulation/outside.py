"""What a simulated process asks a simulated Discord: counters and member lists, each after a random time.

It keeps the contract of ``actors.guild.Outside`` as ``gateway/outside.py`` does: both return at once, a fetch always
has an answer, a list goes on page by page until it is through or its session is over.
"""

from collections.abc import Callable, Collection
from random import Random
from typing import Final, Protocol, assert_never

import msgspec

from actors.guild import Outside
from actors.roster import Roster
from ledger import messages as m
from ledger.effects import (
    AnnounceJoin,
    AskWitness,
    FetchSample,
    ListMembers,
    ReadAudit,
    Request,
    SweepMembers,
    Welcome,
)
from ledger.ids import GuildId, InviteCode, SessionId, UserId
from ledger.ports import Clock
from ledger.records import Counter, Status, Vanity
from ledger.samples import Sample
from tests.simulation.loop import SimLoop

FORBIDDEN: Final = "forbidden"
BEFORE_ALL: Final = UserId("0")


class Shown(msgspec.Struct, frozen=True):
    """A guild's counters at one moment."""

    counters: tuple[Counter, ...]
    vanity: Vanity | None = None


class Shelf(msgspec.Struct):
    """A message in the log channel: of which join it shows which verdict. ``lost``: the answer never comes."""

    message: str
    opened_us: int
    verdict: int
    said: tuple[Status, InviteCode | None]
    lost: bool = False


class Discord(Protocol):
    """What can be asked of it. The truth, as of now."""

    def counters(self, guild: GuildId) -> Shown | str:
        """The counters, or why they are not to be had (``FORBIDDEN`` or another word)."""
        ...

    def members(self, guild: GuildId, after: UserId, limit: int) -> tuple[m.ListedMember, ...] | str:
        """Members by rising ids (as numbers), behind one; or why they are not to be had."""
        ...


class Errands(Protocol):
    """What else can be asked of it, and shown in it."""

    def logged(self, guild: GuildId, effect: ReadAudit, at_us: int) -> m.AuditArrived | str:
        """What the audit log shows then; or why it cannot be read."""
        ...

    def searched(self, guild: GuildId, users: Collection[UserId]) -> tuple[m.SearchedMember, ...] | str:
        """What the member search knows of these; or why it does not answer."""
        ...

    def swept(self, guild: GuildId, after: tuple[int, int], limit: int) -> tuple[m.SearchedMember, ...] | str:
        """The same of all members by rising joined_at, behind a place."""
        ...

    def post(self, guild: GuildId, effect: AnnounceJoin) -> Shelf | str:
        """Puts a message into the channel, or edits it; or why that is not to be done."""
        ...


class SimOutside(Outside):
    """Args:
    loop: where time passes.
    roster: whom to tell.
    discord: whom to ask.
    clock: stamps what is sent and heard.
    latency_s: how long one way of a request takes.
    page: members a page of the list.
    errands: who answers those; None = nobody does.
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
        errands: Errands | None = None,
    ) -> None:
        self._loop = loop
        self._roster = roster
        self._discord = discord
        self._clock = clock
        self._latency_s = latency_s or quick
        self._page = page
        self._errands = errands
        self._listing: dict[GuildId, ListMembers] = {}
        self._again: set[tuple[GuildId, ListMembers]] = set()
        self.welcomed: list[GuildId] = []

    def fetch_sample(self, guild: GuildId, effect: FetchSample) -> None:
        self._loop.call_later(effect.after_s, self._ask, guild, effect)

    def list_members(self, guild: GuildId, effect: ListMembers) -> None:
        if self._listing.get(guild) == effect:
            self._again.add((guild, effect))
            return
        self._listing[guild] = effect
        self._ask_page(guild, effect, self._clock.stamp_us(), BEFORE_ALL)

    def welcome(self, guild: GuildId, effect: Welcome) -> None:
        del effect
        self.welcomed.append(guild)

    def run_errand(self, guild: GuildId, effect: Request) -> None:
        if self._errands is None:
            return
        wait_s = max(0.0, (effect.due_us - self._clock.stamp_us()) / 1_000_000)
        self._loop.call_later(wait_s, self._later, self._carry_out, self._errands, guild, effect)

    def refresh(self, guild: GuildId, then: Callable[[m.SampleArrived], None]) -> None:
        """Fetches the counters for a person; nothing comes of it where they are not to be had."""
        greeting = self._roster.greeting(guild)
        if greeting is not None:
            self._later(self._show_person, guild, greeting.session, self._clock.stamp_us(), then)

    # A sample: asked for, shown as of some moment, heard

    def _ask(self, guild: GuildId, effect: FetchSample) -> None:
        if not self._is_current(guild, effect.session):
            self._fail(guild, effect, "the session is over")
            return
        self._later(self._show, guild, effect, self._clock.stamp_us())

    def _show(self, guild: GuildId, effect: FetchSample, requested_us: int) -> None:
        shown = self._discord.counters(guild)
        if isinstance(shown, str):
            self._later(self._fail, guild, effect, shown)
        else:
            self._later(self._answer, guild, effect, requested_us, shown)

    def _answer(self, guild: GuildId, effect: FetchSample, requested_us: int, shown: Shown) -> None:
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

    def _fail(self, guild: GuildId, effect: FetchSample, why: str) -> None:
        failed = m.SampleFailed(
            request=effect.request, reason=why, forbidden=why == FORBIDDEN, at_us=self._clock.stamp_us()
        )
        self._roster.tell(guild, failed)

    # Errands: done as of some moment, heard of later

    def _carry_out(self, errands: Errands, guild: GuildId, effect: Request) -> None:
        answer = self._done(errands, guild, effect, self._clock.stamp_us())
        self._later(self._roster.tell, guild, answer)

    def _done(  # noqa: PLR0911 -- one answer a kind
        self, errands: Errands, guild: GuildId, effect: Request, at_us: int
    ) -> m.Message:
        match effect:
            case ReadAudit():
                found = errands.logged(guild, effect, at_us)
                if isinstance(found, str):
                    forbidden = found == FORBIDDEN
                    return m.AuditFailed(number=effect.number, reason=found, forbidden=forbidden, at_us=at_us)
                return found
            case AskWitness():
                rows = errands.searched(guild, effect.users)
                if isinstance(rows, str):
                    return m.WitnessFailed(number=effect.number, reason=rows, at_us=at_us)
                return m.WitnessAnswered(number=effect.number, rows=rows, at_us=at_us)
            case SweepMembers():
                rows = errands.swept(guild, (effect.after_us, int(effect.after or 0)), self._page)
                if isinstance(rows, str):
                    return m.WitnessFailed(number=effect.number, reason=rows, at_us=at_us)
                done = len(rows) < self._page
                return m.WitnessAnswered(number=effect.number, rows=rows, at_us=at_us, swept=True, done=done)
            case AnnounceJoin():
                return self._announced(effect, self._shown(errands, guild, effect), at_us)
            case _:
                assert_never(effect)

    def _shown(self, errands: Errands, guild: GuildId, effect: AnnounceJoin) -> Shelf | str:
        """As the announcer does it: what stood there already is edited, unless it says the same."""
        shelf, said = errands.post(guild, effect), (effect.period.status, effect.period.code)
        if effect.message or isinstance(shelf, str) or shelf.lost or shelf.said == said:
            return shelf
        return errands.post(guild, msgspec.structs.replace(effect, message=shelf.message))

    def _announced(self, effect: AnnounceJoin, shelf: Shelf | str, at_us: int) -> m.Message:
        if isinstance(shelf, str) or shelf.lost:
            reason = shelf if isinstance(shelf, str) else "the answer was lost"
            return m.AnnouncingFailed(number=effect.number, reason=reason, at_us=at_us)
        return m.Announced(
            number=effect.number,
            user=effect.user,
            opened_us=effect.period.opened_us,
            verdict=effect.period.verdicts,
            channel=effect.channel,
            message=shelf.message,
            at_us=at_us,
        )

    # The member list

    def _ask_page(self, guild: GuildId, effect: ListMembers, started_us: int, after: UserId) -> None:
        if self._is_current(guild, effect.session):
            self._later(self._show_page, guild, effect, started_us, after)
        else:
            self._end_list(guild, effect)

    def _show_page(self, guild: GuildId, effect: ListMembers, started_us: int, after: UserId) -> None:
        rows = self._discord.members(guild, after, self._page)
        if isinstance(rows, str):
            self._loop.call_later(2.0, self._ask_page, guild, effect, started_us, after)
        else:
            self._later(self._tell_page, guild, effect, started_us, after, rows)

    def _tell_page(
        self,
        guild: GuildId,
        effect: ListMembers,
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

    def _end_list(self, guild: GuildId, effect: ListMembers) -> None:
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
