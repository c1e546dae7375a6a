"""The world: guilds, people and what happens to them (invites: `inviting`). Drive it, then compare with `truth`.

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
from sandbox.clock import Clock
from sandbox.event import Event
from sandbox.inviting import Inviting
from sandbox.models import (
    NI,
    VANITY,
    Applicant,
    AuditAction,
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
)
from sandbox.wire import iso

APPROVAL: Final = "MEMBER_VERIFICATION_MANUAL_APPROVAL"
"""The feature of a guild that lets in whom somebody approves."""


class World(Inviting):
    """Everything that happens. `truth` has one line for each join, `leaves` one for each leave."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        super().__init__(clock, rng)
        self.truth: list[Join] = []
        self.leaves: list[Leave] = []

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
            roles: given at the door; those of a role invite are anyhow.
            by: who added it, if it is a bot (audit entry 28); the owner, unless told.
            way: how they come in where it is by no invite; discovery, unless told (a bot: added as a bot).

        Raises:
            ValueError: when the code is dead or not for them, the user is a member already, or there is both an
                invite and a way.
        """
        newcomer = user or self.add_user()
        if newcomer.id in guild.members:
            raise ValueError(f"{newcomer.name} is a member of {guild.name} already")
        if via is not None and way is not None:
            raise ValueError(f"{newcomer.name} comes by {via}, so not by {way.name}")
        invite = self._use(guild, newcomer, via)
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

    def accept(self, guild: Guild, user: User, code: str) -> None:
        """A member accepts a role invite: it gives the roles (GUILD_MEMBER_UPDATE), and its counter rises.

        Raises:
            ValueError: when the invite is dead, not for them, or gives no roles: then nothing would happen.
        """
        if not self.live_invite(guild, code).role_ids:
            raise ValueError(f"{code} gives no roles")
        invite = self._use(guild, user, code)
        member = guild.members[user.id]
        member.roles = list(dict.fromkeys([*member.roles, *(role.id for role in _roles_of(guild, invite))]))
        self._tell_member(guild, user)
        for event in self._spend(guild, invite):
            self._emit(guild, event.name, event.data, channel=invite.channel if invite else None)

    # Those who must be let in

    def apply(self, guild: Guild, user: User | None = None, via: str | None = None) -> Applicant:
        """Somebody asks to be let in: the counter rises now, and the bot hears of no member yet.

        Raises:
            ValueError: when the guild lets everybody in, or as in `join`.
        """
        applicant = user or self.add_user()
        if APPROVAL not in guild.features:
            raise ValueError(f"{guild.name} lets everybody in")
        if applicant.id in guild.members or applicant.id in guild.applicants:
            raise ValueError(f"{applicant.name} is in {guild.name} already, or waits there")
        invite = self._use(guild, applicant, via)
        for event in self._spend(guild, invite):
            self._emit(guild, event.name, event.data, channel=invite.channel if invite else None)
        waiting = Applicant(
            user=applicant,
            via=via,
            invite=invite,
            code=guild.vanity.code if via == VANITY else via,
            applied_at_us=self.clock.tick_us(),
        )
        guild.applicants[applicant.id] = waiting
        return waiting

    def admit(
        self, guild: Guild, user: User, *, hold: bool = False, silent: bool = False, keeps_code: bool = True
    ) -> Join:
        """Somebody lets an applicant in: GUILD_MEMBER_ADD, whatever has become of the invite meanwhile.

        members-search knows them as let in by hand (7), and by which code, if `keeps_code`.
        """
        waiting = guild.applicants.pop(user.id)
        member = self._enter(guild, user, waiting.via, waiting.invite, pending=False, roles=())
        member.source = JoinSource.MANUAL_APPROVAL
        member.code = waiting.code if keeps_code else None
        if not silent:
            self._emit(guild, "GUILD_MEMBER_ADD", self._about(guild, member), hold=hold)
        return self._remember(guild, member, waiting.via, waiting.invite, applied_at_us=waiting.applied_at_us)

    def turn_away(self, guild: Guild, user: User) -> None:
        """An applicant is refused, or gives up: nobody is told, and the counter stays."""
        del guild.applicants[user.id]

    # Members

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

    def give_role(self, guild: Guild, user: User, role: Role) -> None:
        """One more role (GUILD_MEMBER_UPDATE)."""
        self.set_roles(guild, user, [*(guild.roles[each] for each in guild.members[user.id].roles), role])

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
        member = self.founder.seat(guild, user, *roles, *_roles_of(guild, invite))
        member.pending = pending
        member.code = guild.vanity.code if via == VANITY else via
        member.inviter = invite.inviter if invite else None
        member.flags = self._flags(guild, user, invite)
        return member

    def _flags(self, guild: Guild, user: User, invite: Invite | None) -> MemberFlag:
        rejoin = MemberFlag.DID_REJOIN if user.id in guild.past else MemberFlag.NONE
        guest = invite is not None and InviteFlag.GUEST in invite.flags
        return rejoin | MemberFlag.IS_GUEST if guest else rejoin

    def _remember(
        self,
        guild: Guild,
        member: Member,
        via: str | None,
        invite: Invite | None,
        applied_at_us: int | None = None,
    ) -> Join:
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
            applied_at_us=applied_at_us,
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


def _roles_of(guild: Guild, invite: Invite | None) -> list[Role]:
    """What the invite gives, of what is still there."""
    role_ids = invite.role_ids if invite else ()
    return [guild.roles[role_id] for role_id in role_ids if role_id in guild.roles]


def _source(user: User, via: str | None) -> JoinSource:
    if user.bot:
        return JoinSource.BOT
    if via is None:
        return JoinSource.DISCOVERY
    return JoinSource.VANITY if via == VANITY else JoinSource.INVITE
