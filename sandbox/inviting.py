"""Invites: they are made, changed, used, deleted, they expire, and some let in only whom they name.

What follows from a use (a member comes) is in `world`.
"""

from collections.abc import Iterable
from random import Random
from typing import Final

from sandbox import payloads
from sandbox.changes import Changes
from sandbox.clock import Clock
from sandbox.event import Event
from sandbox.models import (
    VANITY,
    AuditAction,
    Channel,
    Guild,
    Invite,
    InviteFlag,
    JobState,
    Role,
    TargetJob,
    User,
    Vanity,
)

MAX_INVITES: Final = 1_000


class Inviting(Changes):
    def __init__(self, clock: Clock, rng: Random) -> None:
        super().__init__(clock, rng)
        self._guild_of_code: dict[str, Guild] = {}

    def add_invite(
        self,
        guild: Guild,
        inviter: User | None = None,
        *,
        code: str | None = None,
        max_uses: int = 0,
        max_age_s: int = 0,
        uses: int = 0,
        temporary: bool = False,
        flags: InviteFlag = InviteFlag.NONE,
        channel: Channel | None = None,
        reason: str | None = None,
        roles: Iterable[Role] = (),
        targets: Iterable[User] | None = None,
    ) -> Invite:
        """A new invite (INVITE_CREATE, audit entry 40). No inviter: a widget's. `uses`: as if used before.

        `roles` are given to who accepts it; `targets` alone may (None: anybody).
        """
        invite = Invite(
            code=code or self.ids.code(),
            channel=channel or guild.channel,
            inviter=inviter,
            created_at_us=self.clock.tick_us(),
            max_uses=max_uses,
            max_age_s=max_age_s,
            base_uses=uses,
            temporary=temporary,
            flags=flags,
            role_ids=tuple(role.id for role in roles),
        )
        if targets is not None:
            self.set_targets(invite, [user.id for user in targets])
        self._open_invite(guild, invite)
        self._audit(guild, AuditAction.INVITE_CREATE, inviter, invite=invite, reason=reason)
        return invite

    def delete_invite(self, guild: Guild, code: str, by: User | None = None, *, reason: str | None = None) -> Invite:
        """Somebody (the owner, unless told) deletes it: INVITE_DELETE and audit entry 42."""
        invite = self.live_invite(guild, code)
        self._close_invite(guild, invite)
        self._audit(guild, AuditAction.INVITE_DELETE, by or guild.owner, invite=invite, reason=reason)
        return invite

    def expire_invite(self, guild: Guild, code: str) -> Invite:
        """It runs out now. Discord says nothing; the list stops showing it."""
        invite = self.live_invite(guild, code)
        invite.gone_at_us = self.clock.tick_us()
        return invite

    def live_invite(self, guild: Guild, code: str) -> Invite:
        invite = guild.by_code.get(code)
        if invite is None or not invite.alive_at(self.clock.now_us()):
            raise ValueError(f"no live invite {code} in {guild.name}")
        return invite

    def invites_at(self, guild: Guild, at_us: int | None = None) -> list[Invite]:
        """The invites alive at that moment (now); their counters of then are `uses_at`."""
        moment = self.clock.now_us() if at_us is None else at_us
        return [invite for invite in guild.invites if invite.alive_at(moment)][:MAX_INVITES]

    def find_invite(self, code: str) -> tuple[Guild, Invite] | None:
        guild = self._guild_of_code.get(code)
        invite = guild.by_code[code] if guild else None
        return (guild, invite) if guild and invite and invite.alive_at(self.clock.now_us()) else None

    def set_vanity(self, guild: Guild, code: str | None, *, uses: int = 0) -> None:
        """Another vanity code, or none (GUILD_UPDATE). Its counter starts at `uses`."""
        guild.vanity = Vanity(code=code, base_uses=uses)
        if code and "VANITY_URL" not in guild.features:
            guild.features.append("VANITY_URL")
        self._emit(guild, "GUILD_UPDATE", payloads.guild(guild))

    def set_targets(self, invite: Invite, users: Iterable[int], state: JobState = JobState.COMPLETED) -> None:
        """A list of who alone may accept it is handed in. Until it is read, and where that fails, the old one holds.

        Discord says nothing of who may accept an invite meanwhile; this is the worse of what may be: a new invite is
        open to all.
        """
        job = TargetJob(users=frozenset(users), created_at_us=self.clock.tick_us(), state=state)
        invite.job = job
        if state is JobState.COMPLETED:
            self.finish_job(invite)

    def finish_job(self, invite: Invite) -> None:
        """The list that was handed in last is in force.

        Raises:
            ValueError: when there was none.
        """
        if invite.job is None:
            raise ValueError(f"{invite.code} was given no list of users")
        invite.job.state, invite.job.completed_at_us = JobState.COMPLETED, self.clock.tick_us()
        invite.targets = invite.job.users

    # Inside

    def _open_invite(self, guild: Guild, invite: Invite) -> None:
        guild.invites.append(invite)
        guild.by_code[invite.code] = invite
        self._guild_of_code[invite.code] = guild
        self._emit(guild, "INVITE_CREATE", payloads.invite_create(guild, invite), channel=invite.channel)

    def _close_invite(self, guild: Guild, invite: Invite) -> None:
        invite.gone_at_us = self.clock.tick_us()
        self._emit(guild, "INVITE_DELETE", payloads.invite_delete(guild, invite), channel=invite.channel)

    def _use(self, guild: Guild, user: User, via: str | None) -> Invite | None:
        if via is None:
            return None
        if via != VANITY:
            invite = self.live_invite(guild, via)
            if invite.targets is not None and user.id not in invite.targets:
                raise ValueError(f"{user.name} is none of those whom {via} lets in")
            invite.used_at_us.append(self.clock.tick_us())
            return invite
        if guild.vanity.code is None:
            raise ValueError(f"{guild.name} has no vanity code")
        guild.vanity.used_at_us.append(self.clock.tick_us())
        return None

    def _spend(self, guild: Guild, invite: Invite | None) -> list[Event]:
        if invite is None or not invite.used_up:
            return []
        invite.gone_at_us = self.clock.tick_us()
        return [Event(name="INVITE_DELETE", data=payloads.invite_delete(guild, invite))]
