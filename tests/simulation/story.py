"""What happens in the towns, and what people ask of the bot: drawn from the seed, a life at a time.

Every story is true: whoever joins uses what the counters then show, and each dispatch tells of what happened.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from ledger import messages as m
from ledger import records as r
from ledger.ids import ChannelId, GuildId, InteractionId, InviteCode, RoleId, UserId
from tests.simulation.agenda import Agenda
from tests.simulation.archive import Archive
from tests.simulation.asks import Asks
from tests.simulation.gateway import Gateway, Heard
from tests.simulation.town import VIP_ROLE, Town

BOSS: Final = UserId("9")
PATIENCE_S: Final = (0.3, 3.0, 20.0)
"""People wait for an answer for so long."""


class Story:
    """What happens in one town.

    ``over``: nothing happens any more.

    Args:
        town: where.
        agenda: when.
        gateway: who tells the bot.
        asks: who asks the bot.
        random: chooses.
        archive: what else Discord keeps of it.
    """

    def __init__(  # noqa: PLR0917 -- each is a part of the world
        self, town: Town, agenda: Agenda, gateway: Gateway, asks: Asks, random: Random, archive: Archive
    ) -> None:
        self.town = town
        self._agenda = agenda
        self._gateway = gateway
        self._asks = asks
        self._random = random
        self.archive = archive
        self._interactions = 0
        self.over = False

    def unfold(self, happenings: int, life_s: float) -> None:
        """Plans so many things for the time from now on, some of them at once."""
        burst_s = self._random.choice((0.0, 0.2, 5.0, life_s))
        middle_s = self._random.uniform(0.0, life_s)
        for _ in range(happenings):
            when_s = self._random.uniform(0.0, life_s)
            if self._random.random() < 0.5:
                when_s = min(life_s, middle_s + self._random.uniform(0.0, burst_s))
            self._agenda.after(when_s, self._something)

    def storm(self, people: int) -> None:
        """So many join at once, and as many invites are made as the counters' lane holds."""
        for _ in range(people):
            self._agenda.after(self._random.uniform(0.0, 0.05), self.somebody_joins)
            if self._random.random() < 0.3:
                self._agenda.after(self._random.uniform(0.0, 0.05), self.somebody_looks)

    def _something(self) -> None:
        if self.over:
            return
        weights, steps = zip(*HAPPENINGS, strict=True)
        (step,) = self._random.choices(steps, weights)
        step(self)

    # Members

    def somebody_joins(self) -> None:
        if not self.over:
            self._joins(self.town.somebody_new())

    def somebody_leaves(self) -> None:
        """Some come back; not within 5 s, when nobody can tell that from the same join told twice."""
        user = self.town.any_member()
        if user is None:
            return
        self.town.leave(user)
        self._gateway.dispatch(self.town, lambda heard: leave(heard, user))
        if self._random.random() < 0.5:
            self._agenda.after(self._random.choice((7.0, 20.0)), lambda: self._comes_back(user))

    def somebody_changes(self) -> None:
        """GUILD_MEMBER_UPDATE."""
        user = self.town.any_member()
        if user is not None:
            self._tell_change(user)

    def role_is_given(self) -> None:
        """Or taken. What happens while the bot is away is seen in the list."""
        user = self.town.any_member()
        if user is not None:
            self.town.vips ^= {user}
            self._tell_change(user)

    def _tell_change(self, user: UserId) -> None:
        joined_at_us, flags, roles = self.town.members[user], self.town.flags(user), self.town.roles(user)
        self._gateway.dispatch(
            self.town, lambda heard: m.NoteMember(join=join(heard, user, joined_at_us, flags, roles))
        )

    def _comes_back(self, user: UserId) -> None:
        if user not in self.town.members and not self.over:
            self._joins(user)

    def _joins(self, user: UserId) -> None:
        joined_at_us, used_up = self.town.join(user)
        flags = self.town.flags(user)
        self._gateway.dispatch(self.town, lambda heard: join(heard, user, joined_at_us, flags))
        if used_up is not None:
            self._tell_death(used_up)

    # Invites

    def invite_is_made(self) -> None:
        self._tell_birth(self.town.make_invite())

    def invite_comes_back(self) -> None:
        """A code that was given before is given again, to an invite of somebody else."""
        code = self.town.old_code()
        if code is not None:
            self._tell_birth(self.town.make_invite(code))

    def invite_is_deleted(self) -> None:
        code = self.town.any_invite()
        if code is not None:
            invite = self.town.invites.pop(code)
            deletion = self.archive.note_deletion(code, self.town.stamp_us(), self.town.now_s())
            self._tell_death(invite)
            if self._random.random() < 0.7:
                self._agenda.after(self._random.uniform(0.0, 8.0), lambda: self._tell_deletion(deletion))

    def _tell_deletion(self, deletion: m.DeletedInvite) -> None:
        """GUILD_AUDIT_LOG_ENTRY_CREATE, late."""
        self._gateway.dispatch(
            self.town,
            lambda heard: m.NoteLogged(
                cause=cause(heard, "rest"), deletions=(deletion,), arrived_us=heard.arrived_us
            ),
        )

    def _tell_death(self, invite: r.Counter) -> None:
        if not self.archive.is_hidden(invite):
            self._gateway.dispatch(self.town, lambda heard: death(heard, invite.code))

    def _tell_birth(self, invite: r.Counter) -> None:
        if not self.archive.note_creation(invite):
            return
        self._gateway.dispatch(
            self.town,
            lambda heard: m.NoteInviteBorn(cause=cause(heard, "rest"), invite=invite, arrived_us=heard.arrived_us),
        )

    def told_twice(self) -> None:
        self._gateway.repeat()

    # People and the bot

    def somebody_looks(self) -> None:
        user = self.town.any_member() or UserId("1")
        questions = (m.DescribeGuild(), m.DescribeMember(user=user), m.DescribeWindow(), m.DescribeCodes())
        self._ask(self._random.choice(questions))

    def staff_is_set(self) -> None:
        """/setup_staff_invite; Discord may deliver the interaction twice."""
        code = self.town.any_invite()
        if code is None:
            return
        message = m.AssignInvite(
            interaction=self._interaction(),
            code=code,
            staff=UserId(str(self._random.randint(1, 5))),
            by=BOSS,
            at_us=self._asks.stamp_us(),
        )
        self._ask(message)
        if self._random.random() < 0.2:
            self._agenda.after(self._random.uniform(0.0, 2.0), lambda: self._ask(message))

    def join_is_decided(self) -> None:
        """/review."""
        user = self.town.any_member()
        if user is not None:
            staff = UserId(str(self._random.randint(1, 5))) if self._random.random() < 0.8 else None
            self._ask(
                m.DecideJoin(
                    interaction=self._interaction(), user=user, opened_us=0, staff=staff, code=None, why="so", by=BOSS
                )
            )

    def settings_are_changed(self) -> None:
        """/settings: mostly on."""
        on = self._random.random() < 0.9
        settings = r.Settings(
            vip_roles=(VIP_ROLE,) if on else (),
            log_channel=ChannelId("5") if on else None,
            credit_reported=self._random.random() < 0.5,
        )
        fields = ("vip_roles", "log_channel", "credit_reported")
        self._ask(m.ChangeSettings(interaction=self._interaction(), settings=settings, fields=fields, by=BOSS))

    def _interaction(self) -> InteractionId:
        self._interactions += 1
        return InteractionId(f"{self.town.guild}{self._interactions:04}")

    def somebody_is_forgotten(self) -> None:
        user = self.town.any_member()
        if user is not None:
            self._ask(m.ForgetMember(user=user))

    def guild_is_forgotten(self) -> None:
        self._ask(m.ForgetGuild(at_us=self._asks.stamp_us()))

    def cache_is_refreshed(self) -> None:
        """/refresh_invite_cache."""
        self._asks.refresh(self.town.guild)

    def checkpoint_is_proved(self) -> None:
        self._asks.keep_checkpoint(self.town.guild)

    def joins_are_listed(self) -> None:
        self._asks.list_joins(self.town.guild)

    def _ask(self, message: m.Message) -> None:
        self._asks.ask(self.town.guild, message, self._random.choice(PATIENCE_S))


HAPPENINGS: Final[tuple[tuple[int, Callable[[Story], None]], ...]] = (
    (100, Story.somebody_joins),
    (20, Story.somebody_leaves),
    (60, Story.somebody_changes),
    (12, Story.invite_is_made),
    (8, Story.invite_is_deleted),
    (4, Story.invite_comes_back),
    (8, Story.told_twice),
    (60, Story.somebody_looks),
    (8, Story.staff_is_set),
    (6, Story.settings_are_changed),
    (6, Story.join_is_decided),
    (12, Story.role_is_given),
    (2, Story.somebody_is_forgotten),
    (1, Story.guild_is_forgotten),
    (3, Story.cache_is_refreshed),
    (2, Story.checkpoint_is_proved),
    (2, Story.joins_are_listed),
)
"""How often what happens, beside one another."""


def cause(heard: Heard, lane: str) -> r.GatewayCause:
    return r.GatewayCause(session=heard.session, number=heard.number, lane="members" if lane == "members" else "rest")


def join(heard: Heard, user: UserId, joined_at_us: int, flags: int, roles: tuple[RoleId, ...] = ()) -> m.RecordJoin:
    return m.RecordJoin(
        cause=cause(heard, "members"),
        session=heard.session,
        user=user,
        joined_at_us=joined_at_us,
        arrived_us=heard.arrived_us,
        flags=flags,
        roles=roles,
    )


def leave(heard: Heard, user: UserId) -> m.RecordLeave:
    return m.RecordLeave(cause=cause(heard, "members"), user=user, arrived_us=heard.arrived_us)


def death(heard: Heard, code: InviteCode) -> m.NoteInviteDied:
    return m.NoteInviteDied(cause=cause(heard, "rest"), code=code, arrived_us=heard.arrived_us)


def guild_ids(count: int) -> tuple[GuildId, ...]:
    return tuple(GuildId(str(number)) for number in range(1, count + 1))
