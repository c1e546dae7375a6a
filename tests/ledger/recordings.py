"""Recorded worlds: a guild's story is told to its end first, and can then be played to anybody, again and again.

Where ``worlds.py`` makes up a world while one program lives in it, a ``Recording`` depends on no program: everybody
hears the same events at the same moments, and whoever asks for the invites gets what Discord would answer then. The
truth stays in it: who joined by what, and who deleted what. Worlds keep to what docs/attribution.md takes for granted
(clocks differ by less than 2 s, events are late by less than that); Discord's list may fail or lag for a while.
"""

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final, Literal, TypeAlias

import msgspec

from ledger.ids import NO_COUNTER, VANITY, InviteCode, UserId
from ledger.records import Counter, Vanity

SECOND: Final = 1_000_000
START_US: Final = 1_700_000_000_000_000
QUIET_US: Final = 20 * SECOND
"""Nobody joins for so long after the bot has come."""
REST_US: Final = 180 * SECOND
"""Between two bursts."""
BURST: Final = 30
MAX_LAG_US: Final = 3 * SECOND
LOGGED_LATE_US: Final = 2 * SECOND
"""An entry of the audit log is younger than the invite that it tells of, by less than that."""
TOLD_LATE_US: Final = 8 * SECOND
"""It is told live later than it was made, by less than that."""

Lags: TypeAlias = Literal["never", "at times", "always"]
Join: TypeAlias = tuple[UserId, int]
"""A member and Discord's joined_at."""


class Joined(msgspec.Struct, frozen=True):
    """GUILD_MEMBER_ADD."""

    user: UserId
    joined_at_us: int


class Left(msgspec.Struct, frozen=True):
    """GUILD_MEMBER_REMOVE."""

    user: UserId


class Born(msgspec.Struct, frozen=True):
    """INVITE_CREATE."""

    invite: Counter


class Died(msgspec.Struct, frozen=True):
    """INVITE_DELETE, of an invite that was deleted or used up; expiry is not told."""

    code: InviteCode


class Logged(msgspec.Struct, frozen=True):
    """GUILD_AUDIT_LOG_ENTRY_CREATE with action 42; ``at_us`` by Discord's clock."""

    code: InviteCode
    at_us: int
    by: UserId


class Made(msgspec.Struct, frozen=True):
    """GUILD_AUDIT_LOG_ENTRY_CREATE with action 40; ``at_us`` by Discord's clock."""

    invite: Counter
    at_us: int


Event: TypeAlias = Joined | Left | Born | Died | Logged | Made


class Heard(msgspec.Struct, frozen=True):
    """An event, and when it arrives (our clock)."""

    at_us: int
    event: Event


class Used(msgspec.Struct, frozen=True):
    """How somebody joined, really: ``code`` may be VANITY or NI. Our clock."""

    code: InviteCode
    at_us: int
    created_at_us: int = 0
    inviter: UserId | None = None


class Deletion(msgspec.Struct, frozen=True):
    """Somebody deleted an invite: audit entry 42. Our clock."""

    at_us: int
    code: InviteCode
    created_at_us: int
    by: UserId


class Listing(msgspec.Struct, frozen=True):
    """All counters of a moment."""

    counters: tuple[Counter, ...]
    vanity: Vanity


class Answer(msgspec.Struct, frozen=True):
    """What came of asking for the counters; None: it failed."""

    at_us: int
    listing: Listing | None


class Span(msgspec.Struct, frozen=True):
    """A time, its end excluded."""

    since_us: int
    until_us: int

    def holds(self, at_us: int) -> bool:
        return self.since_us <= at_us < self.until_us


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One story, which ``made_by`` tells again; ``creations``, ``deletions``: what the audit log holds; ``absences``:
    nobody listens; ``failing``, ``lagging``: the list.
    """

    made_by: str
    seed: int
    by_hand: bool
    skew_us: int
    truth: dict[Join, Used]
    heard: tuple[Heard, ...]
    listings: tuple[tuple[int, Listing], ...]
    presences: tuple[tuple[int, Join | None, UserId | None], ...]
    creations: tuple[Made, ...]
    deletions: tuple[Deletion, ...]
    absences: tuple[Span, ...]
    failing: tuple[Span, ...]
    lagging: tuple[Span, ...]

    def __repr__(self) -> str:
        return self.made_by

    def ask(self, asked_us: int) -> Answer:
        """What Discord answers to somebody who asks for the counters now, whoever it is."""
        luck = random.Random(f"{self.seed}/{asked_us}")
        shown_us = self.shown_us(asked_us)
        answered_us = shown_us + luck.randrange(10_000, 150_000)
        if any(span.holds(shown_us) for span in self.failing):
            return Answer(answered_us, None)
        lagging = any(span.holds(shown_us) for span in self.lagging)
        return Answer(answered_us, self.listing_at(shown_us - (luck.randrange(MAX_LAG_US) if lagging else 0)))

    def shown_us(self, asked_us: int) -> int:
        """Of which moment the answer is, where the list does not lag."""
        return asked_us + 1 + random.Random(f"{self.seed}/shown/{asked_us}").randrange(20_000, 200_000)

    def listing_at(self, at_us: int) -> Listing:
        """The counters of a moment, without invites that have expired."""
        listing = self.listings[max(0, bisect_right(self.listings, at_us, key=lambda each: each[0]) - 1)][1]
        alive = tuple(each for each in listing.counters if not is_expired(each, at_us + self.skew_us))
        return msgspec.structs.replace(listing, counters=alive)

    def members_at(self, at_us: int) -> list[Join]:
        """Who is there of those who joined since the beginning."""
        here: dict[UserId, int] = {}
        for when_us, joined, left in self.presences:
            if when_us > at_us:
                break
            if joined:
                here[joined[0]] = joined[1]
            if left:
                here.pop(left, None)
        return list(here.items())

    def is_listening(self, at_us: int) -> bool:
        return not any(span.holds(at_us) for span in self.absences)


def is_expired(invite: Counter, now_us: int) -> bool:
    """By Discord's clock."""
    return invite.expires_at_us is not None and invite.expires_at_us <= now_us


def record(
    seed: int,
    *,
    per_minute: float = 20,
    joins: int = 30,
    lags: Lags = "at times",
    by_hand: bool = False,
    hidden: float = 0,
) -> Recording:
    """A story of ``joins`` joins, in bursts of 30 with so many a minute.

    ``lags``: how often Discord's list does; ``by_hand``: who used an invite waits until somebody lets them in;
    ``hidden``: what share of new invites is made in channels that the bot may not manage, so that only the audit log
    tells of them.
    """
    made_by = (
        f"record({seed}, per_minute={per_minute}, joins={joins}, lags={lags!r}, by_hand={by_hand}, hidden={hidden})"
    )
    return _Story(seed, per_minute, joins, by_hand=by_hand, hidden=hidden).told(made_by, lags)


class _Story:
    """What Discord does, step by step."""

    def __init__(self, seed: int, per_minute: float, joins: int, *, by_hand: bool, hidden: float) -> None:
        self.random = random.Random(f"{seed}/{per_minute}/{joins}")
        self.log_random = random.Random(f"{seed}/log")  # of its own: what the log tells changes no world
        self.seed = seed
        self.by_hand = by_hand
        self.hidden = hidden
        self.unmanaged: set[InviteCode] = set()
        self.now_us = START_US
        self.skew_us = self.random.randint(-SECOND, SECOND)
        self.invites: dict[InviteCode, Counter] = {}
        self.vanity = 5
        self.truth: dict[Join, Used] = {}
        self.heard: list[Heard] = []
        self.listings: list[tuple[int, Listing]] = []
        self.presences: list[tuple[int, Join | None, UserId | None]] = []
        self.creations: list[Made] = []
        self.deletions: list[Deletion] = []
        self._agenda: list[tuple[int, int, Callable[[], object]]] = []
        self._order = count()
        self._people = count(1_000)
        self._codes = count(1)
        self._times = self._plan(per_minute, joins)

    def told(self, made_by: str, lags: Lags) -> Recording:
        self._run()
        return Recording(
            made_by=made_by,
            seed=self.seed,
            by_hand=self.by_hand,
            skew_us=self.skew_us,
            truth=self.truth,
            heard=tuple(sorted(self.heard, key=lambda each: each.at_us)),
            listings=tuple(self.listings),
            presences=tuple(self.presences),
            creations=tuple(self.creations),
            deletions=tuple(self.deletions),
            absences=(self._span_over(joins=5),),
            failing=tuple(self._span_over(joins=3) for _ in range(1 + len(self._times) // 100)),
            lagging=self._lagging(lags),
        )

    def _plan(self, per_minute: float, joins: int) -> Sequence[int]:
        """When people join."""
        at_us, times = START_US + QUIET_US, list[int]()
        for number in range(joins):
            at_us += REST_US if number % BURST == BURST - 1 else 0
            at_us += round(self.random.expovariate(per_minute / 60) * SECOND)
            times.append(at_us)
        return times

    def _span_over(self, joins: int) -> Span:
        """A time in which about so many join."""
        first = self.random.randrange(len(self._times))
        since_us = self._times[first] - self.random.randrange(SECOND)
        return Span(since_us, max(self._times[min(first + joins, len(self._times)) - 1], since_us + 10 * SECOND))

    def _lagging(self, lags: Lags) -> tuple[Span, ...]:
        """At times: while about one in ten joins."""
        at_times = tuple(self._span_over(joins=10) for _ in range(1 + len(self._times) // 100))
        always = Span(START_US, self.now_us + REST_US)
        return {"never": (), "at times": at_times, "always": (always,)}[lags]

    def _run(self) -> None:
        for _ in range(6):
            self._make_invite(at_us=START_US - 3_600 * SECOND, uses=self.random.randrange(40))
        self._show()
        for number, at_us in enumerate(self._times):
            self._at(at_us, self._choose_a_joiner(number, at_us))
            if number % 20 == 10:
                self._at(at_us - self.random.randrange(10 * SECOND), self._make_another)
            if number % 25 == 20:
                self._at(at_us - self.random.randrange(2 * SECOND), self._delete_one)
        while self._agenda:
            self.now_us, _, step = heappop(self._agenda)
            step()
            self._show()

    def _at(self, when_us: int, step: Callable[[], object]) -> None:
        heappush(self._agenda, (when_us, next(self._order), step))

    def _show(self) -> None:
        vanity = Vanity(code="acme", uses=self.vanity)
        self.listings.append((self.now_us, Listing(tuple(self.invites.values()), vanity)))

    # Invites

    def _make_invite(self, at_us: int, *, uses: int = 0, max_uses: int = 0, lives_s: int = 0) -> Counter:
        code = InviteCode(f"c{next(self._codes)}")
        created_at_us = at_us + self.skew_us
        self.invites[code] = Counter(
            code=code,
            created_at_us=created_at_us,
            uses=uses,
            max_uses=max_uses,
            expires_at_us=created_at_us + lives_s * SECOND if lives_s else None,
            inviter=UserId(str(self.random.randint(1, 4))),
        )
        if at_us >= START_US:
            self._tell_of(self.invites[code])
        return self.invites[code]

    def _tell_of(self, invite: Counter) -> None:
        if self.log_random.random() < self.hidden:
            self.unmanaged.add(invite.code)
        else:
            self._tell(Born(invite))
        logged_us = self.now_us + self.log_random.randrange(self.log_random.choice([10_000, LOGGED_LATE_US]))
        told_us = logged_us + self.log_random.randrange(self.log_random.choice([50_000, TOLD_LATE_US]))
        self.creations.append(Made(invite, logged_us + self.skew_us))
        self.heard.append(Heard(told_us, self.creations[-1]))

    def _tell_death(self, code: InviteCode) -> None:
        if code not in self.unmanaged:
            self._tell(Died(code))

    def _make_another(self) -> None:
        """Limited, short-lived, or both."""
        kind = self.random.randrange(3)
        self._make_invite(
            self.now_us,
            max_uses=self.random.randint(2, 4) if kind != 1 else 0,
            lives_s=self.random.randint(20, 300) if kind else 0,
        )

    def _delete_one(self) -> None:
        alive = self._alive()
        if not alive:
            return
        code = self.random.choice(alive)
        invite = self.invites.pop(code)
        self.deletions.append(Deletion(self.now_us, code, invite.created_at_us, UserId("1")))
        self._tell_death(code)
        self._tell(Logged(code, self.now_us + self.skew_us, UserId("1")))
        if len(alive) < 7:
            self._at(self.now_us + 5 * SECOND, lambda: self._make_invite(self.now_us))

    def _alive(self) -> list[InviteCode]:
        now_us = self.now_us + self.skew_us
        self.invites = {code: each for code, each in self.invites.items() if not is_expired(each, now_us)}
        return list(self.invites)

    # People

    def _choose_a_joiner(self, number: int, at_us: int) -> Callable[[], None]:
        """Every seventh was sent an invite of their own a little before."""
        if number % 7 != 3:
            return lambda: self._join(UserId(str(next(self._people))), None)
        made: list[InviteCode] = []
        sent_us = max(START_US + SECOND, at_us - self.random.randint(3, 60) * SECOND)
        self._at(sent_us, lambda: made.append(self._make_invite(self.now_us, max_uses=1).code))
        return lambda: self._join(UserId(str(next(self._people))), made[0])

    def _join(self, user: UserId, own: InviteCode | None) -> None:
        alive = self._alive()
        code = own if own in alive else self._pick([each for each in alive if self.invites[each].max_uses != 1])
        invite = self.invites.get(code)
        used = Used(code, self.now_us, invite.created_at_us if invite else 0, invite.inviter if invite else None)
        self._use(code)
        if self.by_hand:
            self._at(self.now_us + self.random.randint(5, 1_800) * SECOND, lambda: self._welcome(user, used))
        else:
            self._welcome(user, used)

    def _welcome(self, user: UserId, used: Used) -> None:
        join = (user, self.now_us + self.skew_us)
        self.truth[join] = used
        self.presences.append((self.now_us, join, None))
        self._tell(Joined(*join))
        if self.random.random() < 0.05:
            self._at(self.now_us + self.random.randint(5, 120) * SECOND, lambda: self._leave(user))

    def _pick(self, alive: Sequence[InviteCode]) -> InviteCode:
        luck = self.random.random()
        if luck < 0.08 or not alive:
            return NO_COUNTER
        return VANITY if luck < 0.18 else self.random.choice(alive)

    def _use(self, code: InviteCode) -> None:
        if code == VANITY:
            self.vanity += 1
        if code not in self.invites:
            return
        invite = self.invites[code]
        self.invites[code] = msgspec.structs.replace(invite, uses=invite.uses + 1)
        if invite.max_uses and invite.uses + 1 >= invite.max_uses:
            del self.invites[code]
            self._tell_death(code)

    def _leave(self, user: UserId) -> None:
        self.presences.append((self.now_us, None, user))
        self._tell(Left(user))
        if self.random.random() < 0.5:
            self._at(self.now_us + 10 * SECOND, lambda: self._join(user, None))

    def _tell(self, event: Event) -> None:
        self.heard.append(Heard(self.now_us + self._delay(), event))

    def _delay(self) -> int:
        """Mostly quick, seldom late, always less than 2 s."""
        late = self.random.random() < 0.1
        return self.random.randrange(200_000, 1_800_000) if late else self.random.randrange(20_000, 200_000)
