"""/refresh_invite_cache: the window is closed now, as far as Discord's counters let it, and a checkpoint is kept.

The guild's actor decides what a sample does; while uses are missing it asks again by itself (after 1.5 and 5 s).
That is waited for within a bound, and what is then true is said: nothing here closes anything by force.
"""

from typing import Final

from actors.asks import Answered, Outcome
from actors.clock import Sleep
from actors.gateway.asking import PATIENT_S
from actors.gateway.failures import explain
from actors.gateway.pacing import Urgency
from actors.gateway.render import NOT_DURABLE, NOTES, because, render
from actors.gateway.rest import Rest
from actors.gateway.wording import brief, count
from actors.roster import Roster
from actors.standing import Inside, Kept
from ledger import messages as m
from ledger.answers import Answer, OpenWindow, WindowReport
from ledger.errors import LedgerError
from ledger.ids import GuildId
from ledger.samples import Sample

LOOK_S: Final = 0.5
LOOKS: Final = 24
"""12 s: both of the actor's further fetches, and a straddler's."""
NOT_HERE: Final = "I have not been told about this server yet. Please try again in a moment."
GOES_ON: Final = "I go on asking by myself."


class Refresher:
    """Closes windows on demand.

    Args:
        roster: guild actors.
        rest: fresh counters.
        inside: keeps checkpoints.
        sleep: between two looks at what the actor has done.
    """

    def __init__(self, roster: Roster, rest: Rest, inside: Inside, sleep: Sleep) -> None:
        self._roster = roster
        self._rest = rest
        self._inside = inside
        self._sleep = sleep

    async def refresh(self, guild: GuildId) -> str:
        """Fetch, solve, journal; wait for what is being settled; keep a checkpoint; say what became of it."""
        greeting = self._roster.greeting(guild)
        if greeting is None:
            return NOT_HERE
        before = await self._window(guild)
        if isinstance(before, str):
            return before
        sample = await self._rest.sample(guild, greeting.session, vanity=greeting.vanity, urgency=Urgency.PERSON)
        if not isinstance(sample, Sample):
            return f"The counters could not be read. {explain(sample)}"
        taken = await self._roster.ask(guild, m.SampleArrived(sample=sample, request=None), PATIENT_S)
        if not isinstance(taken.answer, WindowReport):
            return render(taken)
        after = await self._settled(guild, before)
        words = after if isinstance(after, str) else outcome_of(before, after, taken.answer.note)
        return "\n".join((words, await self._kept(guild), *_doubts(taken)))

    async def _settled(self, guild: GuildId, before: OpenWindow) -> OpenWindow | str:
        """The window once nothing that was open before is left, or nothing more is coming, or time is up."""
        after = await self._window(guild)
        for _ in range(LOOKS):
            if isinstance(after, str) or not after.fetching or not after.joins & before.joins:
                break
            await self._sleep(LOOK_S)
            after = await self._window(guild)
        return after

    async def _window(self, guild: GuildId) -> OpenWindow | str:
        outcome = await self._roster.ask(guild, m.DescribeWindow(), PATIENT_S)
        return outcome.answer if isinstance(outcome.answer, OpenWindow) else render(outcome)

    async def _kept(self, guild: GuildId) -> str:
        try:
            return kept_in_words(await self._inside.keep_checkpoint(guild))
        except LedgerError as error:
            return f"No checkpoint could be kept ({brief(str(error))}). Nothing is lost: the log has every record."


def outcome_of(before: OpenWindow, after: OpenWindow, note: str) -> str:
    """How many of the joins that were open are worked out, how many are open now, and why."""
    worked_out = count(len(before.joins - after.joins), "join")
    parts = [f"{worked_out} worked out, {len(after.joins):,} still open."]
    if after.joins and after.trouble:
        parts.append(f"The counters cannot be read: {because(after.trouble)}.")
    elif after.joins:
        parts.append(NOTES.get(note, GOES_ON))
    return " ".join(parts)


def kept_in_words(kept: Kept) -> str:
    """The checkpoint, layer by layer."""
    good = [name for name, wrong in kept.layers.items() if not wrong]
    bad = [f"Not in {name}: {brief(wrong)}." for name, wrong in kept.layers.items() if wrong]
    where = f"Checkpoint at record {kept.seq:,}, written and read back: {', '.join(good) or 'nowhere'}."
    return " ".join((where, *bad))


def _doubts(outcome: Outcome[Answer]) -> tuple[str, ...]:
    return (NOT_DURABLE,) if outcome.kind is Answered.DEGRADED else ()
