"""What Discord keeps of a town beside its counters: the audit log, the member search, the log channel.

All of it is true, but late, incomplete and flaky as the seed says; in some seeds the search lies.
"""

from collections.abc import Collection
from random import Random
from typing import Final

import msgspec

from ledger import messages as m
from ledger.effects import AnnounceJoin
from ledger.ids import NO_COUNTER, VANITY, InviteCode, UserId
from ledger.records import Counter, Report
from tests.simulation.outside import FORBIDDEN, Shelf
from tests.simulation.town import Joined, Town

LOGGED_S: Final = 4.0
"""The audit log has what happened within so long."""
DISCOVERY: Final = 3
INVITE: Final = 5
VANITY_URL: Final = 6


class Manners(msgspec.Struct, frozen=True):
    """How far Discord's other answers can be relied on. ``fails``, ``loses``: so many requests, answers;
    ``lag_s``: before the search knows a member; ``stale``: so many rows are of an earlier membership; ``lies``: so
    many rows name any invite; ``hides``: of so many invites only the counters and the audit log tell.
    """

    fails: float = 0.0
    loses: float = 0.0
    lag_s: float = 0.0
    stale: float = 0.0
    lies: float = 0.0
    hides: float = 0.0


def manners(random: Random, *, faulty: bool) -> Manners:
    """A seed's. In a seed without faults everything is answered, and true."""
    drawn = Manners(
        fails=random.choice((0.0, 0.1, 0.4)),
        loses=random.choice((0.0, 0.2, 0.5)),
        lag_s=random.choice((0.0, 2.0, 15.0)),
        stale=random.choice((0.0, 0.3)),
        lies=random.choice((0.0, 0.0, 0.0, 0.3)),
        hides=random.choice((0.0, 0.3)),
    )
    return drawn if faulty else Manners(lag_s=drawn.lag_s, hides=drawn.hides)


class Archive:
    """One town's. ``over``: everything is answered now."""

    def __init__(self, town: Town, manners: Manners, random: Random) -> None:
        self.town = town
        self.manners = manners
        self.over = False
        self.deduplicated = 0
        self.shelves: dict[int, Shelf] = {}
        self._random = random
        self._deleted: list[tuple[float, m.DeletedInvite]] = []
        self._created: list[tuple[float, m.CreatedInvite]] = []
        self._hidden: set[tuple[InviteCode, int]] = set()

    @property
    def is_truthful(self) -> bool:
        return not self.manners.lies

    def note_deletion(self, code: InviteCode, at_us: int, now_s: float) -> m.DeletedInvite:
        """A person deletes an invite."""
        deleted = m.DeletedInvite(code=code, at_us=at_us, by=UserId("9"))
        self._deleted.append((now_s + self._random.uniform(0.0, LOGGED_S), deleted))
        return deleted

    def note_creation(self, invite: Counter) -> bool:
        """Somebody makes an invite; whether the bot is told of it, and of its end: in some channels it may not be."""
        is_hidden = self._random.random() < self.manners.hides
        if is_hidden:
            self._hidden.add((invite.code, invite.created_at_us))
        created = m.CreatedInvite(
            code=invite.code,
            at_us=invite.created_at_us,
            max_uses=invite.max_uses,
            max_age_s=(invite.expires_at_us - invite.created_at_us) // 1_000_000 if invite.expires_at_us else 0,
            by=invite.inviter,
        )
        self._created.append((self.town.now_s() + self._random.uniform(0.0, LOGGED_S), created))
        return not is_hidden

    def is_hidden(self, invite: Counter) -> bool:
        return (invite.code, invite.created_at_us) in self._hidden

    def logged(self, number: int, at_us: int) -> m.AuditArrived | str:
        """The audit log, as it is read then."""
        trouble = self._trouble() or ("" if self.town.readable else FORBIDDEN)
        now_s = self.town.now_s()
        return trouble or m.AuditArrived(
            number=number,
            requested_us=at_us,
            deletions=tuple(each for since_s, each in self._deleted if since_s <= now_s),
            creations=tuple(each for since_s, each in self._created if since_s <= now_s),
        )

    def searched(self, users: Collection[UserId]) -> tuple[m.SearchedMember, ...] | str:
        trouble = self._trouble()
        if trouble:
            return trouble
        return tuple(row for user in users if user in self.town.members and (row := self._row(user)) is not None)

    def swept(self, after: tuple[int, int], limit: int) -> tuple[m.SearchedMember, ...] | str:
        trouble = self._trouble()
        if trouble:
            return trouble
        places = sorted((joined_us, int(user)) for user, joined_us in self.town.members.items())
        users = [UserId(str(user)) for joined_us, user in places if (joined_us, user) > after][:limit]
        return tuple(
            m.SearchedMember(user=user, joined_at_us=at_us, report=self._report(self.town.joins.get((user, at_us))))
            for user in users
            for at_us in (self.town.members[user],)
        )

    def post(self, effect: AnnounceJoin) -> Shelf | str:
        """A new message whose nonce is known is the old one, unchanged; whoever edits sees what they wrote."""
        trouble = self._trouble()
        if trouble:
            return trouble
        period = effect.period
        shelf, is_new = self.shelves.get(period.opened_us), not effect.message
        if shelf is None or not is_new:
            said, stood = (period.status, period.code), shelf
            shelf = Shelf(f"m{period.opened_us}", period.opened_us, period.verdicts, said)
            if stood is None or stood.verdict <= period.verdicts:  # the announcer sends one after the other
                self.shelves[period.opened_us] = shelf
        else:
            self.deduplicated += 1
        lost = not self.over and self._random.random() < self.manners.loses
        return msgspec.structs.replace(shelf, lost=lost)

    def _trouble(self) -> str:
        if not self.town.answering or not self.town.available or not self.town.there:
            return "no answer"
        return "not this time" if not self.over and self._random.random() < self.manners.fails else ""

    def _row(self, user: UserId) -> m.SearchedMember | None:
        at_us = self.town.members[user]
        joined = self.town.joins.get((user, at_us))
        if joined is not None and not self.over and self.town.now_s() < joined.at_s + self.manners.lag_s:
            return None
        earlier = [old_us for old_us in self.town.times.get(user, ()) if old_us < at_us]
        if earlier and not self.over and self._random.random() < self.manners.stale:
            at_us = earlier[-1]
        return m.SearchedMember(
            user=user, joined_at_us=at_us, report=self._report(self.town.joins.get((user, at_us)))
        )

    def _report(self, joined: Joined | None) -> Report:
        if joined is None:
            return Report(0)
        if self._random.random() < self.manners.lies and self.town.invites:
            code = self._random.choice(list(self.town.invites))
            return Report(INVITE, code, self.town.invites[code].inviter)
        if joined.code == NO_COUNTER:
            return Report(DISCOVERY)
        if joined.code == VANITY:
            return Report(VANITY_URL, InviteCode("acme"))
        return Report(INVITE, joined.code, joined.inviter)
