"""What the commands do, as texts and boards to show. No Discord object in sight.

A command changes nothing by itself; what it wants is a message to the guild, and the answer is shown as it is.
"""

from actors.clock import Sleep
from actors.gateway.asking import QUICK_S, ask_codes
from actors.gateway.log_channel import LogChannel
from actors.gateway.made_invites import MadeInvites
from actors.gateway.people import People, staff_of
from actors.gateway.ranking import Rankings
from actors.gateway.refreshing import Refresher
from actors.gateway.render import render
from actors.gateway.report import Me, Permitted, describe
from actors.gateway.rest import Rest
from actors.gateway.review import Reviews
from actors.gateway.rulings import Rulings
from actors.gateway.staff_invites import StaffInvites
from actors.gateway.staff_report import StaffReports
from actors.gateway.why import Whys
from actors.roster import Roster
from actors.standing import Inside
from ledger import messages as m
from ledger.ids import GuildId, UserId
from ledger.ports import Clock


class Desk:
    """The commands' work.

    Args:
        roster: where guild actors are asked.
        rest: for fresh counters, new invites, names.
        inside: the process: layers, checkpoints, lists.
        clock: stamps assignments, ends windows of time.
        sleep: waits for what is being settled.
    """

    def __init__(self, *, roster: Roster, rest: Rest, inside: Inside, clock: Clock, sleep: Sleep) -> None:
        self.staff_invites = StaffInvites(roster, rest, clock)
        self.rankings = Rankings(roster, inside, clock)
        self.made_invites = MadeInvites(roster, rest, clock, sleep)
        self.log_channel = LogChannel(roster)
        self.staff_reports = StaffReports(roster, inside, clock)
        self.whys = Whys(roster, inside)
        self.rulings = Rulings(roster)
        self.reviews = Reviews(roster, inside)
        self._refresher = Refresher(roster, rest, inside, sleep)
        self._people = People(rest, inside)
        self._roster = roster
        self._clock = clock
        self._inside = inside

    def is_standby(self) -> bool:
        """Whether another process answers for this bot."""
        return self._inside.is_standby()

    async def debug(self, guild: GuildId, permitted: Permitted, me: UserId | None) -> str:
        """The guild in numbers, from inside its actor and from outside."""
        outcome = await self._roster.ask(guild, m.DescribeGuild(), QUICK_S)
        return describe(outcome, self._inside.standing(guild), permitted, Me(user=me, now_us=self._clock.stamp_us()))

    async def who(self, guild: GuildId, user: UserId, name: str) -> str:
        """All memberships of a user."""
        return render(await self._roster.ask(guild, m.DescribeMember(user=user), QUICK_S), name)

    async def refresh(self, guild: GuildId) -> str:
        """Closes the window, keeps a checkpoint."""
        return await self._refresher.refresh(guild)

    async def fix_names(self, guild: GuildId) -> str:
        """Asks Discord for the names of everybody an invite is or was assigned to."""
        codes = await ask_codes(self._roster, guild)
        if isinstance(codes, str):
            return codes
        staff = staff_of(codes)
        if not staff:
            return "No invite is assigned to anybody yet."
        told = await self._people.refresh(guild, staff)
        now = await ask_codes(self._roster, guild)
        if not isinstance(now, str):  # whoever was forgotten meanwhile has no name; later, their record deletes it
            await self._people.forget(guild, set(staff) - set(staff_of(now)))
        return told
