"""Forgetting, whole: what ``inviteledger forget`` and ``POST /forget`` do, in a running bot or without one.

In each guild its actor is asked (``ledger/forgetting.py``); then come the places that no record speaks of: names,
payloads in quarantine/, checkpoints of before. Whatever does not succeed now is told in a sentence. All of it may be
asked for again: what was forgotten stays forgotten, and what was left is done then.
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from functools import partial
from typing import Final, TypeAlias

import msgspec

from actors.asks import Answered
from actors.journal import Journal
from actors.roster import Roster
from actors.settings import Settings
from actors.standing import Inside, NotRunning
from ledger import messages as m
from ledger.answers import Forgot
from ledger.errors import LedgerError, StorageError
from ledger.ids import GuildId, UserId, is_id
from ledger.ports import Clock
from persistence.disk import RealDisk
from persistence.offload import Offload
from persistence.quarantine import Quarantine

ASK_S: Final = 60.0
PAYLOADS_AT_ONCE: Final = 100
"""Files of quarantine/ that are read in one piece of blocking work, so that the log is not held up."""


WHERE_IDS_ARE: Final = "right-click in Discord with developer mode on, Copy ID"


class BadForgetting(LedgerError):
    """The request names nobody, or something that is no id."""

    hint = f"name --user, --guild or both by id ({WHERE_IDS_ARE})"


class ForgetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to forget: a user in all guilds, a user in one guild, or a whole guild."""

    user: UserId | None = None
    guild: GuildId | None = None

    def checked(self) -> "ForgetRequest":
        """Itself.

        Raises:
            BadForgetting: when it names nobody, or not by an id of Discord's.
        """
        given = [each for each in (self.user, self.guild) if each is not None]
        bad = [each for each in given if not is_id(each)]
        if bad or not given:
            raise BadForgetting(f"{bad[0]!r} is no id" if bad else "neither a user nor a guild is named")
        return self


class ForgetReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was forgotten: in how many guilds, how many memberships, names, payloads in quarantine/.

    ``remaining``: what could not be done now, and what will do it, a sentence each; empty = all is done.
    """

    guilds: int
    memberships: int
    names: int
    payloads: int
    remaining: tuple[str, ...] = ()


Progress: TypeAlias = Callable[[int, int], Awaitable[None]]
"""Told of each guild: how many of how many were asked."""


Forget: TypeAlias = Callable[[ForgetRequest, Progress], Coroutine[object, object, ForgetReport]]
"""``Forgetting.forget``."""


class Forgetting:
    """Forgets people and guilds.

    Args:
        roster: the guilds' actors, which come back for it where they rest.
        inside: the process, for checkpoints and names.
        guilds: every guild that anything is recorded of.
        unsalvaged: those of which more will be recorded: facts of a branch that lost.
        quarantine: where payloads lie.
        offload: for blocking work.
        clock: when a guild was forgotten.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        inside: Inside,
        guilds: Callable[[], Sequence[GuildId]],
        unsalvaged: Callable[[], Collection[GuildId]],
        quarantine: Quarantine,
        offload: Offload,
        clock: Clock,
    ) -> None:
        self._roster = roster
        self._inside = inside
        self._guilds = guilds
        self._unsalvaged = unsalvaged
        self._quarantine = quarantine
        self._offload = offload
        self._clock = clock

    async def forget(self, request: ForgetRequest, progress: Progress) -> ForgetReport:
        """Forgets a checked request. What fails is in the report; nothing is raised for it."""
        guilds = [guild for guild in self._guilds() if request.guild in (None, guild)]
        remaining: list[str] = []
        names = await self._names(request, remaining)
        remaining += [
            f"guild {guild}: facts of a branch that lost are not recorded anew yet, and may name them; "
            "run this again after branch.salvaged was told"
            for guild in sorted(self._unsalvaged())
            if request.guild in (None, guild)
        ]
        forgot: list[Forgot] = []
        for number, guild in enumerate(guilds, 1):
            forgot += await self._in_guild(guild, request, remaining)
            await progress(number, len(guilds))
        return ForgetReport(
            guilds=len(forgot),
            memberships=sum(each.memberships for each in forgot),
            names=names,
            payloads=await self._payloads(request, remaining),
            remaining=tuple(remaining),
        )

    async def _in_guild(self, guild: GuildId, request: ForgetRequest, remaining: list[str]) -> list[Forgot]:
        message: m.Message = m.ForgetGuild(at_us=self._clock.stamp_us())
        if request.user is not None:
            message = m.ForgetMember(user=request.user)
        outcome = await self._roster.ask(guild, message, ASK_S)
        answer = outcome.answer
        if not isinstance(answer, Forgot):
            remaining.append(f"guild {guild}: {outcome.text or outcome.kind.value}; run this again")
            return []
        if not answer.known:
            return []
        if outcome.kind is Answered.DEGRADED:
            remaining.append(
                f"guild {guild}: degraded: recorded, but not yet in every layer of LEDGER_ACK; the rest "
                "follows by itself when the layer is back"
            )
        remaining += await self._checkpoint(guild)
        return [answer]

    async def _checkpoint(self, guild: GuildId) -> list[str]:
        """A new checkpoint takes the place of those that know too much; the actor tries again where this fails."""
        later = (
            "older checkpoints may still hold what was forgotten; new ones take their place by themselves "
            "while the bot runs, or when this is run again"
        )
        try:
            kept = await self._inside.keep_checkpoint(guild)
        except (StorageError, NotRunning) as error:
            return [f"guild {guild}: {later} ({error})"]
        return [f"guild {guild}, {layer}: {later} ({error})" for layer, error in kept.layers.items() if error]

    async def _names(self, request: ForgetRequest, remaining: list[str]) -> int:
        """First of all, and again with each guild's record, in case one came back meanwhile."""
        try:
            return await self._inside.read(lambda lists: lists.forget_names(request.guild, request.user))
        except StorageError as error:
            remaining.append(f"names: the database cannot be written now ({error}); run this again when it is back")
            return 0

    async def _payloads(self, request: ForgetRequest, remaining: list[str]) -> int:
        wanted = [each for each in (request.user, request.guild) if each is not None]
        try:
            return await self._remove_payloads(wanted)
        except StorageError as error:
            remaining.append(f"quarantine: {error}; run this again")
            return 0

    async def _remove_payloads(self, ids: Collection[str]) -> int:
        names, removed = await self._offload(self._quarantine.payloads), 0
        for start in range(0, len(names), PAYLOADS_AT_ONCE):
            piece = names[start : start + PAYLOADS_AT_ONCE]
            removed += await self._offload(partial(self._quarantine.forget, piece, ids))
        return removed


def forgetting_in(
    roster: Roster, inside: Inside, journal: Journal, settings: Settings, offload: Offload, *, clock: Clock
) -> Forgetting:
    """Forgetting in this process: with its actors, and the data folder of its settings."""
    return Forgetting(
        roster=roster,
        inside=inside,
        guilds=journal.guilds,
        unsalvaged=journal.unsalvaged,
        quarantine=Quarantine(RealDisk(), settings.ledger_data / "quarantine"),
        offload=offload,
        clock=clock,
    )
