"""A small model of what is recorded, written from docs/attribution.md and docs/architecture.md, not from the code.

It hears what the guild's actor hears and keeps, in plain Python, what must come of it: who is there since when,
which dispatch and which interaction were handled, whom a code stands for. Verdicts are the worlds' business
(``worlds.py``), forgetting its own (``test_forgetting.py``): neither is here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.ids import InteractionId, InviteCode, SessionId, UserId

TWO_SECONDS_US = 2_000_000
FIVE_SECONDS_US = 5_000_000
MINUTE_US = 60_000_000
HOUR_US = 3_600_000_000


@dataclass
class Stay:
    """A membership: all joined_at that were said of it, and how it ended (0: it did not, -1: nobody knows when).

    ``listed``: a list showed it, before any event told of it; ``seed``: it seemed to have begun before we counted.
    """

    opened_us: int
    arrived_us: int
    rejoin: bool = False
    bot: bool = False
    aliases: list[int] = field(default_factory=list)
    left_us: int = 0
    listed: bool = False
    seed: bool = False


@dataclass
class Model:
    """What must be true after what was told."""

    stays: dict[UserId, list[Stay]] = field(default_factory=dict)
    lanes: dict[str, tuple[SessionId, int]] = field(default_factory=dict)
    interactions: set[InteractionId] = field(default_factory=set)
    deletions: dict[InviteCode, int] = field(default_factory=dict)
    labels: dict[InviteCode, str] = field(default_factory=dict)
    targets: dict[tuple[InviteCode, int], tuple[UserId, ...]] = field(default_factory=dict)
    decided: dict[tuple[UserId, int], tuple[UserId | None, InviteCode | None]] = field(default_factory=dict)
    settings: r.Settings = field(default_factory=r.Settings)
    assigned: dict[InviteCode, list[tuple[UserId, int]]] = field(default_factory=dict)
    counting_since_us: int = 0
    # of this life only
    session: SessionId | None = None
    here: bool = False
    since_us: int = 0
    compared: bool = False
    list_us: int | None = None
    left: dict[UserId, int] = field(default_factory=dict)
    relisted: dict[UserId, int] = field(default_factory=dict)

    def dies(self, at_us: int) -> None:
        """The next life, which begins then, knows what is durable."""
        self.since_us = at_us
        self.session, self.here = None, False
        self.left, self.relisted = {}, {}
        self._doubts()

    def hears(self, message: m.Message) -> None:  # noqa: C901, PLR0912 -- one arm a message, nothing else
        match message:
            case m.RecordJoin():
                self._once(message.cause, lambda: self._hears_join(message))
            case m.NoteMember():
                self._once(message.join.cause, lambda: self._hears_of_member(message.join))
            case m.RecordLeave():
                self._once(message.cause, lambda: self._hears_leave(message))
            case m.NoteInviteBorn() | m.NoteInviteDied():
                self._once(message.cause, lambda: True)
            case m.NoteUnreadable():
                self._once(message.cause, lambda: self._hears_unreadable(message))
            case m.GuildCameUp():
                self._comes_up(message)
            case m.GuildWentAway() | m.RemoveGuild():
                self.here = False
                self._doubts()
            case m.NoteGap():
                if message.greeting:
                    self._comes_up(message.greeting)
                self._doubts()
                self.since_us = message.at_us
            case m.ReviewMembers():
                if self.here and message.session == self.session:
                    self._reads(message)
            case m.NoteLogged(deletions=(deletion,)):
                self._once(message.cause, lambda: self._hears_deletion(deletion))
            case m.AuditArrived():
                for each in sorted(message.deletions, key=lambda deletion: deletion.at_us):
                    self._hears_deletion(each)
            case m.AssignInvite():
                self._assigns(message)
            case m.DecideJoin():
                self._decides(message)
            case m.ChangeSettings():
                self._settles(message)
            case _:
                pass

    def _once(self, cause: r.Cause, hear: Callable[[], bool]) -> None:
        """Twice is once: what is at or below the highest of its lane was handled; what is recorded raises it."""
        if not isinstance(cause, r.GatewayCause):
            hear()
            return
        session, highest = self.lanes.get(cause.lane, ("", 0))
        if (session != cause.session or cause.number > highest) and hear():
            self.lanes[cause.lane] = (cause.session, cause.number)

    def _doubts(self) -> None:
        """Who is there is not sure until the member list was read again, from its first page on."""
        self.compared, self.list_us = False, None

    def _comes_up(self, message: m.GuildCameUp) -> None:
        self.counting_since_us = self.counting_since_us or message.at_us
        self.compared = self.compared and self.session == message.session
        self.session, self.here = message.session, True

    def _hears_join(self, join: m.RecordJoin) -> bool:
        doubted = self.left.pop(join.user, None) is not None
        seeds = [each for each in self.stays.get(join.user, []) if each.seed and not each.left_us]
        lately = join.arrived_us - join.joined_at_us < HOUR_US
        if not join.flags & 16 and lately and any(abs(each.opened_us - join.joined_at_us) < 1_000 for each in seeds):
            seeds[0].opened_us, seeds[0].arrived_us, seeds[0].seed = join.joined_at_us, join.arrived_us, False
            seeds[0].rejoin, seeds[0].bot, seeds[0].listed = bool(join.flags & 1), join.bot, False
            return True
        return self._joins(join, sure=self.compared, doubted=doubted)

    def _joins(self, join: m.RecordJoin, *, sure: bool, listed: bool = False, doubted: bool = False) -> bool:
        """As ``_is_repeat`` of ``ledger/members.py``; a guest's is no join, and a joined_at that is known no news."""
        before = self.stays.setdefault(join.user, [])
        if self._is_known(join.user, join.joined_at_us) or join.flags & 16:
            return False
        current = before[-1] if before and before[-1].left_us == 0 else None
        if current is not None:
            told_again = (
                join.joined_at_us - current.opened_us <= FIVE_SECONDS_US
                and join.arrived_us - current.arrived_us <= FIVE_SECONDS_US
            )
            has_rejoined = bool(join.flags & 1) and not current.rejoin
            if not doubted and (told_again or (sure and not has_rejoined)):
                if listed:
                    self.relisted[join.user] = join.arrived_us
                current.aliases.append(join.joined_at_us)
                return True
        rejoin = any(stay.opened_us < join.joined_at_us for stay in before) or bool(join.flags & 1)
        self._begins(join.user, Stay(join.joined_at_us, join.arrived_us, rejoin=rejoin, bot=join.bot, listed=listed))
        return True

    def _begins(self, user: UserId, stay: Stay) -> None:
        """Ends whichever was there before; one that began before another that is known had ended by then."""
        stays = self.stays.setdefault(user, [])
        at = next((at for at, each in enumerate(stays) if each.opened_us > stay.opened_us), None)
        if at is None:
            for each in stays:
                each.left_us = each.left_us or -1
            stays.append(stay)
        else:
            stay.left_us = -1
            stays.insert(at, stay)

    def _hears_of_member(self, join: m.RecordJoin) -> bool:
        """Somebody is there: news only of somebody who is not known to be, and joined since we count."""
        stays = self.stays.get(join.user, [])
        is_there = bool(stays) and stays[-1].left_us == 0
        if is_there or join.joined_at_us < self.counting_since_us - TWO_SECONDS_US:
            return False
        late = join.arrived_us - join.joined_at_us >= MINUTE_US
        return self._joins(join, sure=self.compared, listed=late)

    def _hears_leave(self, leave: m.RecordLeave) -> bool:
        """Closes the membership that is open; where it may be of one before, a list is asked instead."""
        stays = self.stays.get(leave.user, [])
        current = stays[-1] if stays and not stays[-1].left_us else None
        if current is not None:
            told_aside = current.listed or current.arrived_us < self.since_us
            just_told = told_aside and leave.arrived_us - current.arrived_us < MINUTE_US
            relisted = leave.user in self.relisted and leave.arrived_us - self.relisted[leave.user] < MINUTE_US
            if just_told or relisted or current.opened_us >= leave.arrived_us:
                self.left[leave.user] = leave.arrived_us
                return False
        if not self.compared:
            self.left[leave.user] = leave.arrived_us
        if current is None:
            return False
        stays[-1].left_us = leave.arrived_us
        return True

    def _hears_unreadable(self, message: m.NoteUnreadable) -> bool:
        """Always recorded; a join among them is a join, whoever was there."""
        user, joined_us = message.user, message.joined_at_us
        if user is not None and joined_us and message.name == "GUILD_MEMBER_ADD":
            stays = self.stays.setdefault(user, [])
            current = stays[-1] if stays and stays[-1].left_us == 0 else None
            told = (
                current is not None
                and joined_us - current.opened_us <= FIVE_SECONDS_US
                and message.at_us - current.arrived_us <= FIVE_SECONDS_US
            )
            if not told and not self._is_known(user, joined_us):
                self._begins(user, Stay(joined_us, message.at_us, rejoin=bool(stays)))
        if message.name.startswith("GUILD_MEMBER_"):
            self._doubts()
        return True

    def _reads(self, page: m.ReviewMembers) -> None:
        """Who is shown is there, unless they left since; who is not shown has left, at a time that nobody knows."""
        shown = {member.user for member in page.members}
        gone = [
            stays[-1]
            for user, stays in self.stays.items()
            if stays and user not in shown and stays[-1].left_us == 0
            if int(page.after) < int(user) and (not page.upto or int(user) <= int(page.upto))
            if stays[-1].arrived_us < page.started_us
        ]
        for member in page.members:
            if self.left.get(member.user, -1) < page.started_us:
                self._shows(member, page)
        for stay in gone:
            stay.left_us = -1
        if int(page.after) == 0 and page.started_us >= self.since_us:
            self.list_us = page.started_us
        if not page.upto and page.started_us == self.list_us:
            self.compared = True
            self.left = {user: at_us for user, at_us in self.left.items() if at_us >= page.started_us}

    def _shows(self, member: m.ListedMember, page: m.ReviewMembers) -> None:
        if not self.stays.get(member.user) and member.joined_at_us < self.counting_since_us - TWO_SECONDS_US:
            was_here = Stay(member.joined_at_us, self.counting_since_us, rejoin=bool(member.flags & 1), listed=True)
            was_here.seed = True
            self.stays[member.user] = [was_here]
            return
        join = m.RecordJoin(
            cause=r.InternalCause(what="list"),
            session=page.session,
            user=member.user,
            joined_at_us=member.joined_at_us,
            arrived_us=page.at_us,
            bot=member.bot,
            flags=member.flags,
        )
        stays = self.stays.get(member.user, [])
        if stays and not stays[-1].left_us and member.joined_at_us < stays[-1].opened_us - FIVE_SECONDS_US:
            return  # of a membership before
        self._joins(join, sure=False, listed=True, doubted=member.user in self.left)

    def _is_known(self, user: UserId, joined_at_us: int) -> bool:
        """To the millisecond."""
        said = [at_us for stay in self.stays.get(user, []) for at_us in (stay.opened_us, *stay.aliases)]
        return any(abs(at_us - joined_at_us) < 1_000 for at_us in said)

    def _hears_deletion(self, deletion: m.DeletedInvite) -> bool:
        news = self.deletions.get(deletion.code) != deletion.at_us
        self.deletions[deletion.code] = max(deletion.at_us, self.deletions.get(deletion.code, 0))
        return news

    def _assigns(self, message: m.AssignInvite) -> None:
        """Earlier assignments stay; the same once more, or the same command again, is no news."""
        history = self.assigned.setdefault(message.code, [])
        repeated = message.interaction in self.interactions
        invite = (message.code, message.made.created_at_us // 1_000 if message.made else 0)
        label, targets = self.labels.get(message.code, ""), self.targets.get(invite, ())
        same = bool(history) and (history[-1][0], label, targets) == (
            message.staff,
            message.label or label,
            message.targets or targets,
        )
        if history and (repeated or same):
            return
        history.append((message.staff, message.at_us))
        self.labels[message.code], self.targets[invite] = message.label or label, message.targets or targets
        self.interactions.add(message.interaction)

    def _decides(self, message: m.DecideJoin) -> None:
        """The last word on a membership that is known; the same word again is no news."""
        stays = self.stays.get(message.user, [])
        opened = [each.opened_us for each in stays if message.opened_us in (0, each.opened_us)]
        if not opened or message.interaction in self.interactions:
            return
        word = (message.staff, message.code)
        if self.decided.get((message.user, opened[-1])) != word:
            self.decided[message.user, opened[-1]] = word
            self.interactions.add(message.interaction)

    def _settles(self, message: m.ChangeSettings) -> None:
        templates = dict(self.settings.templates)
        for kind, text in message.templates.items():
            templates[kind] = text
            if not text:
                del templates[kind]
        roles = [*self.settings.vip_roles]
        for role in {*message.no_vips} & {*roles}:
            roles.remove(role)
        for role in message.vips:
            if role not in roles:
                roles.append(role)
        changes = {"templates": templates, "vip_roles": tuple(roles)}
        changes |= {field: getattr(message.settings, field) for field in message.fields}
        after = msgspec.structs.replace(self.settings, **changes)
        if message.interaction not in self.interactions and after != self.settings:
            self.settings = after
            self.interactions.add(message.interaction)
