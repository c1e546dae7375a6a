"""The world: guilds, people, invites, and everything that happens to them. Drive it, then compare with `truth`.

Rules:
- Methods are plain calls: when one returns, the thing has happened and its events are in `feed` (told, or held).
- Events go out only for what the bot may see (`stage`).
- A call that cannot happen on Discord (a dead invite, a second join) raises ValueError.

Not here: HTTP, sockets, faults of the network.
"""

from collections.abc import Iterable
from random import Random
from typing import Final

from sandbox import payloads
from sandbox.changes import Changes
from sandbox.clock import Clock
from sandbox.event import Event
from sandbox.models import (
    NI,
    VANITY,
    AuditAction,
    Channel,
    Guild,
    Invite,
    InviteFlag,
    Join,
    JoinSource,
    Leave,
    Member,
    MemberFlag,
    Role,
    User,
    Vanity,
)
from sandbox.wire import iso

MAX_INVITES: Final = 1_000


class World(Changes):
    """Everything that happens. `truth` has one line for each join, `leaves` one for each leave."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        super().__init__(clock, rng)
        self.truth: list[Join] = []
        self.leaves: list[Leave] = []
        self._guild_of_code: dict[str, Guild] = {}

    # Invites

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
    ) -> Invite:
        """A new invite (INVITE_CREATE, audit entry 40). No inviter: a widget's. `uses`: as if used before."""
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
        )
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

    # Joins and leaves

    def join(
        self,
        guild: Guild,
        user: User | None = None,
        via: str | None = None,
        *,
        delete_first: bool = False,
        hold: bool = False,
        silent: bool = False,
        pending: bool = False,
        roles: Iterable[Role] = (),
        by: User | None = None,
        way: JoinSource | None = None,
    ) -> Join:
        """A member comes by an invite's code, by `VANITY`, or by no invite at all (None).

        Args:
            guild: where to.
            user: who; a new user if None.
            via: raises that source's counter. A used-up invite goes, with INVITE_DELETE.
            delete_first: that INVITE_DELETE comes before the GUILD_MEMBER_ADD instead of after.
            hold: keep these events in `feed.held` until `feed.release()`.
            silent: the GUILD_MEMBER_ADD is lost for ever.
            pending: rules not accepted yet; see `approve`.
            roles: given at the door, as role invites do.
            by: who added it, if it is a bot (audit entry 28); the owner, unless told.
            way: how they come in where it is by no invite; discovery, unless told (a bot: added as a bot).

        Raises:
            ValueError: when the code is dead, the user is a member already, or there is both an invite and a way.
        """
        newcomer = user or self.add_user()
        if newcomer.id in guild.members:
            raise ValueError(f"{newcomer.name} is a member of {guild.name} already")
        if via is not None and way is not None:
            raise ValueError(f"{newcomer.name} comes by {via}, so not by {way.name}")
        invite = self._use(guild, via)
        member = self._enter(guild, newcomer, via, invite, pending=pending, roles=roles)
        member.source = _source(newcomer, via) if way is None else way
        told = [] if silent else [Event(name="GUILD_MEMBER_ADD", data=self._about(guild, member))]
        spent = self._spend(guild, invite)
        for event in [*spent, *told] if delete_first else [*told, *spent]:
            place = invite.channel if invite and event in spent else None
            self._emit(guild, event.name, event.data, hold=hold, channel=place)
        if newcomer.bot:
            self._audit(guild, AuditAction.BOT_ADD, by or guild.owner, target_id=newcomer.id)
        return self._remember(guild, member, via, invite)

    def add_bot(self, guild: Guild, by: User | None = None) -> Join:
        """Somebody (the owner, unless told) adds a new bot: GUILD_MEMBER_ADD and audit entry 28."""
        return self.join(guild, self.add_user(bot=True), by=by)

    def repeat_join(self, guild: Guild, user: User, *, joined_at_us: int | None = None) -> None:
        """GUILD_MEMBER_ADD once more for a member, perhaps with another `joined_at`. No counter moves."""
        event = self._about(guild, guild.members[user.id])
        if joined_at_us is not None:
            event["joined_at"] = iso(joined_at_us)
        self._emit(guild, "GUILD_MEMBER_ADD", event)

    def approve(self, guild: Guild, user: User) -> None:
        """A pending member accepts the rules (GUILD_MEMBER_UPDATE)."""
        guild.members[user.id].pending = False
        self._emit(guild, "GUILD_MEMBER_UPDATE", self._about(guild, guild.members[user.id]))

    def set_roles(self, guild: Guild, user: User, roles: Iterable[Role]) -> None:
        member = guild.members[user.id]
        member.roles = [role.id for role in roles]
        self._emit(guild, "GUILD_MEMBER_UPDATE", self._about(guild, member))

    def leave(self, guild: Guild, user: User, *, hold: bool = False, silent: bool = False) -> Leave:
        """A member goes (GUILD_MEMBER_REMOVE)."""
        return self._depart(guild, user, kicked=False, hold=hold, silent=silent)

    def kick(self, guild: Guild, user: User, by: User | None = None) -> Leave:
        """A member is sent away: as `leave`, with audit entry 20."""
        leave = self._depart(guild, user, kicked=True)
        self._audit(guild, AuditAction.MEMBER_KICK, by or guild.owner, target_id=user.id)
        return leave

    def delete_account(self, user: User) -> None:
        """They leave everywhere; what is left is a user named `deleted_user_…`."""
        for guild in self.guilds.values():
            if user.id in guild.members:
                self.leave(guild, user)
        user.name, user.deleted = f"deleted_user_{self.ids.code().lower()}", True

    # Inside

    def _open_invite(self, guild: Guild, invite: Invite) -> None:
        guild.invites.append(invite)
        guild.by_code[invite.code] = invite
        self._guild_of_code[invite.code] = guild
        self._emit(guild, "INVITE_CREATE", payloads.invite_create(guild, invite), channel=invite.channel)

    def _close_invite(self, guild: Guild, invite: Invite) -> None:
        invite.gone_at_us = self.clock.tick_us()
        self._emit(guild, "INVITE_DELETE", payloads.invite_delete(guild, invite), channel=invite.channel)

    def _use(self, guild: Guild, via: str | None) -> Invite | None:
        if via is None:
            return None
        if via != VANITY:
            invite = self.live_invite(guild, via)
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

    def _enter(
        self,
        guild: Guild,
        user: User,
        via: str | None,
        invite: Invite | None,
        *,
        pending: bool,
        roles: Iterable[Role],
    ) -> Member:
        member = self.founder.seat(guild, user, *roles)
        member.pending = pending
        member.code = guild.vanity.code if via == VANITY else via
        member.inviter = invite.inviter if invite else None
        member.flags = self._flags(guild, user, invite)
        return member

    def _flags(self, guild: Guild, user: User, invite: Invite | None) -> MemberFlag:
        rejoin = MemberFlag.DID_REJOIN if user.id in guild.past else MemberFlag.NONE
        guest = invite is not None and InviteFlag.GUEST in invite.flags
        return rejoin | MemberFlag.IS_GUEST if guest else rejoin

    def _remember(self, guild: Guild, member: Member, via: str | None, invite: Invite | None) -> Join:
        join = Join(
            guild_id=guild.id,
            user_id=member.user.id,
            joined_at=iso(member.joined_at_us),
            joined_at_us=member.joined_at_us,
            via=via or NI,
            way=member.source,
            inviter_id=invite.inviter.id if invite and invite.inviter else None,
            invite_created_at_us=invite.created_at_us if invite else None,
            bot=member.user.bot,
            rejoin=MemberFlag.DID_REJOIN in member.flags,
            connected=self.is_connected(guild.id),
        )
        self.truth.append(join)
        return join

    def _depart(self, guild: Guild, user: User, *, kicked: bool, hold: bool = False, silent: bool = False) -> Leave:
        member = guild.past[user.id] = guild.members.pop(user.id)
        leave = Leave(
            guild_id=guild.id,
            user_id=user.id,
            joined_at_us=member.joined_at_us,
            left_at_us=self.clock.tick_us(),
            kicked=kicked,
        )
        self.leaves.append(leave)
        if not silent:
            event = {"guild_id": str(guild.id), "user": payloads.user(user)}
            self._emit(guild, "GUILD_MEMBER_REMOVE", event, hold=hold)
        return leave


def _source(user: User, via: str | None) -> JoinSource:
    if user.bot:
        return JoinSource.BOT
    if via is None:
        return JoinSource.DISCOVERY
    return JoinSource.VANITY if via == VANITY else JoinSource.INVITE
