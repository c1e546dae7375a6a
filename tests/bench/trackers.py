"""How the field attributes joins: each way as a small bot that hears the same events and gets the same answers as we.

All keep the invites in a cache, ask for them anew at each join, and compare; each join asks for itself, as event
handlers do. Where something rose, somebody is named; where nothing did, the join stays open. They differ in one thing
each, so that the table shows what that costs. Written from the descriptions in issue 6; nobody's code was copied.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from ledger.ids import VANITY, InviteCode, UserId
from ledger.records import Counter
from tests.ledger.listeners import Listener, Stage
from tests.ledger.recordings import Answer, Born, Died, Event, Join, Joined, Listing, is_expired


class Claim(msgspec.Struct, frozen=True):
    """By what somebody is said to have joined."""

    code: InviteCode
    inviter: UserId | None


class FirstRose(Listener):
    """The first code whose counter rose, else the vanity URL, else an invite with one use left that is gone."""

    at: int = 0
    """Which of several."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.claims: dict[Join, Claim | None] = {}
        self.cache: dict[InviteCode, Counter] | None = None
        self.vanity = 0

    def come(self) -> None:
        self.cache = None
        self.stage.ask(lambda _, answer: self._learn(answer))

    def hear(self, event: Event) -> None:
        match event:
            case Joined(user=user, joined_at_us=joined_at_us):
                self.stage.ask(lambda _, answer: self._attribute((user, joined_at_us), answer))
            case Born(invite=invite) if self.cache is not None:
                self.cache[invite.code] = invite
            case Died(code=code):
                self.forget(code)
            case _:
                pass

    def forget(self, code: InviteCode) -> None:
        """INVITE_DELETE: the next comparison will see that the invite is gone."""

    def fail(self) -> None:
        """The list could not be fetched: what was known stays."""

    def _learn(self, answer: Answer) -> None:
        if answer.listing is None:
            self.fail()
        else:
            self._keep(answer.listing)

    def _attribute(self, join: Join, answer: Answer) -> None:
        known = self.cache is not None and answer.listing is not None
        self.claims[join] = self._name(answer.listing) if known and answer.listing is not None else None
        self._learn(answer)

    def _keep(self, listing: Listing) -> None:
        self.cache = {each.code: each for each in listing.counters}
        self.vanity = listing.vanity.uses

    def _name(self, listing: Listing) -> Claim | None:
        risen = [each for each in listing.counters if each.uses > self._uses_of(each.code)]
        if risen:
            return self._choose(risen)
        if listing.vanity.uses > self.vanity:
            return Claim(VANITY, None)
        used_up = self._used_up(listing)
        return self._choose(used_up) if used_up else None

    def _choose(self, invites: Sequence[Counter]) -> Claim:
        chosen = invites[self.at]
        return Claim(chosen.code, chosen.inviter)

    def _uses_of(self, code: InviteCode) -> int:
        before = (self.cache or {}).get(code)
        return before.uses if before else 0

    def _used_up(self, listing: Listing) -> list[Counter]:
        listed = {each.code for each in listing.counters}
        gone = [each for code, each in (self.cache or {}).items() if code not in listed]
        return [each for each in gone if each.max_uses == each.uses + 1 and not is_expired(each, self.stage.now_us)]


class LastRose(FirstRose):
    """The loop that is not left when a code was found: the last one stands."""

    at = -1


class DeletesForgotten(FirstRose):
    """INVITE_DELETE takes the invite out of the cache; who used it up is not to be found there any more."""

    def forget(self, code: InviteCode) -> None:
        if self.cache is not None:
            self.cache.pop(code, None)

    def _used_up(self, listing: Listing) -> list[Counter]:
        del listing
        return []


class Overwritten(FirstRose):
    """A fetch that failed is taken for a guild without invites: then every counter has risen from 0."""

    def fail(self) -> None:
        self.cache = {}
        self.vanity = 0


Tracker: TypeAlias = FirstRose
TRACKERS: Final[tuple[tuple[str, str, type[Tracker]], ...]] = (
    ("first that rose", "the first of several codes", FirstRose),
    ("last that rose", "a loop that goes on to the last code", LastRose),
    ("deletes forgotten", "who is deleted leaves the cache at once", DeletesForgotten),
    ("overwritten", "a failed fetch empties the cache", Overwritten),
)
