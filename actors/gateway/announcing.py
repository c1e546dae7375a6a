"""Join messages in the log channel: posted once, edited when a later verdict supersedes.

A message is posted with a nonce that follows from the join alone, so whoever posts it again within Discord's minutes
gets the one that stands there, with the words it had; then it is edited. Where it cannot be shown and trying again
is no use (channel or message gone, no permission, refused) that is an answer too: the outbox goes on.
"""

import asyncio
from hashlib import sha256
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from structlog.typing import FilteringBoundLogger

from actors.gateway.failures import Failure, Forbidden, Unavailable, reason
from actors.gateway.join_words import join_message
from actors.gateway.payloads import Sent
from actors.gateway.rest import Rest
from ledger import messages as m
from ledger.effects import AnnounceJoin
from ledger.ids import GuildId
from ledger.ports import Clock

NONCE: Final = 24
"""Characters; Discord takes 25."""
NO_USE: Final = frozenset({
    10003,  # the channel is gone
    10008,  # the message is gone: who deleted it does not want it back
    50001,  # no access
    50005,  # another bot's message
    50008,  # a channel without messages
    50013,  # no permission
    50035,  # a text that Discord refuses
    50083,  # a thread that is archived
})  # fmt: skip
"""Discord's codes for what the next try would hear as well."""

Told: TypeAlias = m.Announced | m.AnnouncingFailed


class Announcer:
    """Shows joins.

    Args:
        rest: posts and edits.
        clock: stamps answers.
        log: says what will not be shown.
    """

    def __init__(self, rest: Rest, clock: Clock, log: FilteringBoundLogger) -> None:
        self._rest = rest
        self._clock = clock
        self._log = log
        self._turns: WeakValueDictionary[GuildId, asyncio.Lock] = WeakValueDictionary()

    async def announce(self, guild: GuildId, effect: AnnounceJoin) -> Told:
        """One try, and what came of it.

        A guild's one after the other: what a life that was killed has under way does not land behind its successor's.
        """
        async with self._turns.setdefault(guild, asyncio.Lock()):
            sent = await self._send(guild, effect)
        if isinstance(sent, Sent):
            return self._announced(effect, sent.id)
        if not _is_no_use(sent):
            return m.AnnouncingFailed(number=effect.number, reason=reason(sent), at_us=self._clock.stamp_us())
        self._log.warning(
            "join.not_announced", guild=guild, user=effect.user, channel=effect.channel, reason=_said(sent)
        )
        return self._announced(effect, "")

    async def _send(self, guild: GuildId, effect: AnnounceJoin) -> Sent | Failure:
        text = join_message(effect)
        if effect.message:
            return await self._rest.edit(effect.channel, effect.message, text)
        sent = await self._rest.announce(effect.channel, text, nonce_of(guild, effect))
        if isinstance(sent, Sent) and sent.content.strip() != text:  # it stood there, of an earlier verdict
            return await self._rest.edit(effect.channel, sent.id, text)
        return sent

    def _announced(self, effect: AnnounceJoin, message: str) -> m.Announced:
        return m.Announced(
            number=effect.number,
            user=effect.user,
            opened_us=effect.period.opened_us,
            verdict=effect.period.verdicts,
            channel=effect.channel,
            message=message,
            at_us=self._clock.stamp_us(),
        )


def nonce_of(guild: GuildId, effect: AnnounceJoin) -> str:
    """The same for every try of every life, whatever the verdict says by then."""
    join = f"{guild}/{effect.user}/{effect.period.opened_us}"
    return sha256(join.encode()).hexdigest()[:NONCE]


def _is_no_use(failure: Failure) -> bool:
    return isinstance(failure, Forbidden | Unavailable) and failure.code in NO_USE


def _said(failure: Failure) -> str:
    code = failure.code if isinstance(failure, Forbidden | Unavailable) else 0
    return f"{reason(failure)}_{code}"
