"""A guild as Discord knows it: the truth that the bot only hears of, late, and in part.

Members, invites and their counters, and which invite each join really used. Discord's clock differs from ours.
"""

from bisect import bisect_right, insort
from collections.abc import Callable
from random import Random
from typing import Final, TypeAlias

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.ids import NO_COUNTER, VANITY, GuildId, InviteCode, RoleId, UserId
from ledger.members import REJOINED_FLAG
from tests.simulation.outside import FORBIDDEN, Shown

S: Final = 1_000_000
VIP_ROLE: Final = RoleId("77")


Identity: TypeAlias = tuple[InviteCode, int]
"""An invite: its code, and when it was made by Discord's clock; a code can come back."""
NO_INVITE: Final[Identity] = (VANITY, 0)
"""Of the vanity URL, and of a join by no invite."""


class Joined(msgspec.Struct):
    """A join that really happened: by which code, which and whose invite that was, and when (our seconds)."""

    code: InviteCode
    invite: Identity
    inviter: UserId | None
    at_s: float


class Town:
    """Args:
    guild: whose it is.
    random: chooses what people do.
    now_us: Discord's clock, microseconds.
    now_s: ours.
    """

    def __init__(self, guild: GuildId, random: Random, now_us: Callable[[], int], now_s: Callable[[], float]) -> None:
        self.guild = guild
        self.random = random
        self.there = self.available = self.readable = self.answering = True
        self.invites: dict[InviteCode, r.Counter] = {}
        self.vanity = r.Vanity(code="acme", uses=5) if random.random() < 0.3 else None
        self.members: dict[UserId, int] = {}
        self._here: list[int] = []
        self.vips: set[UserId] = set()
        self.joins: dict[tuple[UserId, int], Joined] = {}
        self.times: dict[UserId, list[int]] = {}
        self._once_here: set[UserId] = set()
        self._codes: list[InviteCode] = []
        self._now_us = now_us
        self.now_s = now_s
        self._last_us = 0
        self._people = int(guild) * 10_000
        for _ in range(random.randint(1, 4)):
            self.make_invite()
        for _ in range(random.randint(0, 5)):
            self._come(self.somebody_new(), self.stamp_us())

    # What people do

    def somebody_new(self) -> UserId:
        self._people += 1
        return UserId(str(self._people))

    def join(self, user: UserId) -> tuple[int, r.Counter | None]:
        """The joined_at, and the invite that this used up, if it did."""
        self.expire()
        code = self._pick_source()
        joined_at_us = self.stamp_us()
        used = self.invites.get(code)
        invite = (code, used.created_at_us) if used else NO_INVITE
        self._come(user, joined_at_us)
        self.times.setdefault(user, []).append(joined_at_us)
        self.joins[user, joined_at_us] = Joined(code, invite, used.inviter if used else None, self.now_s())
        return joined_at_us, self._use(code)

    def flags(self, user: UserId) -> int:
        """Discord's member flags."""
        return REJOINED_FLAG if user in self._once_here else 0

    def roles(self, user: UserId) -> tuple[RoleId, ...]:
        return (VIP_ROLE,) if user in self.vips else ()

    def leave(self, user: UserId) -> None:
        del self.members[user]
        self._here.remove(int(user))
        self.vips.discard(user)
        self._once_here.add(user)

    def make_invite(self, code: InviteCode | None = None) -> r.Counter:
        """A new invite; by a ``code`` that was given before, if one is named."""
        random = self.random
        if code is None:
            code = InviteCode(f"c{len(self._codes)}")
            self._codes.append(code)
        created_us = self.stamp_us()
        self.invites[code] = invite = r.Counter(
            code=code,
            created_at_us=created_us,
            uses=0,
            max_uses=random.randint(1, 4) if random.random() < 0.3 else 0,
            expires_at_us=created_us + random.randint(10, 200) * S if random.random() < 0.2 else None,
            inviter=UserId(str(random.randint(1, 3))),
        )
        return invite

    def old_code(self) -> InviteCode | None:
        """A code that no invite has now."""
        free = [code for code in self._codes if code not in self.invites]
        return self.random.choice(free) if free else None

    def any_invite(self) -> InviteCode | None:
        return self.random.choice(list(self.invites)) if self.invites else None

    def any_member(self) -> UserId | None:
        return self.random.choice(list(self.members)) if self.members else None

    def expire(self) -> None:
        now_us = self._now_us()
        for code, invite in tuple(self.invites.items()):
            if invite.expires_at_us is not None and invite.expires_at_us <= now_us:
                del self.invites[code]

    def stamp_us(self) -> int:
        """Discord's time; no two are equal, nor are they as REST tells them, to the millisecond."""
        self._last_us = max(self._last_us + 2_000, self._now_us())
        return self._last_us

    # What can be asked

    def shown(self) -> Shown | str:
        """The counters, as a bot may read them."""
        if not self.answering or not self.available:
            return "no answer"
        if not self.readable or not self.there:
            return FORBIDDEN
        self.expire()
        return Shown(tuple(self.invites.values()), self.vanity)

    def listed(self, after: UserId, limit: int) -> tuple[m.ListedMember, ...] | str:
        """A page of the member list."""
        if not self.answering or not self.available or not self.there:
            return "no answer"
        start = bisect_right(self._here, int(after))
        users = [UserId(str(number)) for number in self._here[start : start + limit]]
        return tuple(
            m.ListedMember(user=user, joined_at_us=self.members[user], flags=self.flags(user), roles=self.roles(user))
            for user in users
        )

    def _come(self, user: UserId, joined_at_us: int) -> None:
        if user not in self.members:
            insort(self._here, int(user))
        self.members[user] = joined_at_us

    def _pick_source(self) -> InviteCode:
        choices = [*self.invites]
        if self.vanity is not None:
            choices.append(VANITY)
        if not choices or self.random.random() < 0.1:
            return NO_COUNTER
        return self.random.choice(choices)

    def _use(self, code: InviteCode) -> r.Counter | None:
        if code == VANITY and self.vanity is not None:
            self.vanity = msgspec.structs.replace(self.vanity, uses=self.vanity.uses + 1)
        invite = self.invites.get(code)
        if invite is None:
            return None
        if invite.max_uses and invite.uses + 1 >= invite.max_uses:
            return self.invites.pop(code)
        self.invites[code] = msgspec.structs.replace(invite, uses=invite.uses + 1)
        return None
