"""Errands: what Discord is asked beside the counters, as far as the state says that something is open.

They follow from the state, so a new life goes on where the last one ended; and each is one request at a time, which
the next one waits for. Nothing is asked before its time (``due_us``), nor soon again after it failed.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from ledger.deletions import LISTED_LATE_US, SETTLED_US
from ledger.effects import AnnounceJoin, AskWitness, ReadAudit, Request, SweepMembers
from ledger.ids import UserId
from ledger.phases import Phase
from ledger.presence import Presence
from ledger.records import join_key
from ledger.reports import labels_in
from ledger.state import GuildState, Unheard
from ledger.witness import ABSENT_AGAIN_US

ASKED_AT_ONCE: Final = 10
"""Members in one search."""
CONSIDERED: Final = 2_000
"""So many joins at most are looked through for the next search, the oldest first: after an outage there are many."""
TOGETHER_US: Final = 5_000_000
"""Joins that are due so soon after the first wait for each other."""
PRESENT: Final = frozenset({Phase.SYNCING, Phase.LIVE, Phase.BLIND})


def errands(state: GuildState, presence: Presence) -> tuple[Presence, tuple[Request, ...]]:
    """What is to be asked now, and the presence that knows of it."""
    if presence.phase not in PRESENT:
        return presence, ()
    effects: list[Request] = []
    for errand in (_audit, _witness, _sweep, _announce):
        found = errand(state, presence)
        if found is not None:
            presence, effect = found
            effects.append(effect)
    return presence, tuple(effects)


def is_idle(state: GuildState, presence: Presence) -> bool:
    """Whether nothing is open that a guild at work goes on with soon; what failed wakes it when its time has come."""
    unread = state.unread[1] and not presence.audit.trouble
    unheard = state.unheard and not presence.witness.trouble
    unswept = presence.sweeping.number and not presence.sweeping.trouble
    return not (unread or unheard or unswept or state.outbox)


_Found = tuple[Presence, Request] | None


def _audit(state: GuildState, presence: Presence) -> _Found:
    since_us, until_us = state.unread
    if not until_us or presence.audit.number:
        return None
    number = presence.asks + 1
    due_us = max(until_us + SETTLED_US, presence.audit.from_us)
    audit = msgspec.structs.replace(presence.audit, number=number)
    asking = msgspec.structs.replace(presence, asks=number, audit=audit)
    # Windows older than the oldest gap that is kept are worked out no more, so their invites do not matter.
    oldest_us = state.gaps[0].opened.requested_us - LISTED_LATE_US if state.gaps else since_us
    return asking, ReadAudit(
        number=number, since_us=since_us, invites_since_us=max(since_us, oldest_us), due_us=due_us
    )


def _witness(state: GuildState, presence: Presence) -> _Found:
    if not state.unheard or presence.witness.number:
        return None
    looked_at = islice(state.unheard.items(), CONSIDERED)
    waiting = sorted((_due_us(unheard, presence, key), key) for key, unheard in looked_at)
    together = [(due_us, key) for due_us, key in waiting if due_us <= waiting[0][0] + TOGETHER_US]
    batch = list(_different(state, together))
    number = presence.asks + 1
    witness = msgspec.structs.replace(presence.witness, number=number)
    keys = tuple(key for _, key in batch)
    asking = msgspec.structs.replace(presence, asks=number, witness=witness, asked_for=keys)
    due_us = max(batch[-1][0], presence.witness.from_us)
    return asking, AskWitness(number=number, users=tuple(state.unheard[key].user for key in keys), due_us=due_us)


def _due_us(unheard: Unheard, presence: Presence, key: str) -> int:
    return unheard.due_us + ABSENT_AGAIN_US[min(presence.absent.get(key, 0), len(ABSENT_AGAIN_US) - 1)]


def _different(state: GuildState, waiting: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    users = set[UserId]()
    for due_us, key in waiting:
        user = state.unheard[key].user
        if user not in users and len(users) < ASKED_AT_ONCE:
            users.add(user)
            yield due_us, key


def _sweep(state: GuildState, presence: Presence) -> _Found:
    if state.sweep.done or presence.sweeping.number or not presence.reconciled:
        return None
    number = presence.asks + 1
    sweeping = msgspec.structs.replace(presence.sweeping, number=number)
    asking = msgspec.structs.replace(presence, asks=number, sweeping=sweeping)
    return asking, SweepMembers(
        number=number, after_us=state.sweep.upto_us, after=state.sweep.upto, due_us=presence.sweeping.from_us
    )


def _announce(state: GuildState, presence: Presence) -> _Found:
    if not state.outbox or presence.announcing.number:
        return None
    user, opened_us = next(iter(state.outbox.values()))
    posted = state.posted.get(join_key(user, opened_us))
    channel, period = posted.channel if posted else state.settings.log_channel, state.membership(user, opened_us)
    assert channel is not None, "what is in the outbox has a channel"
    assert period is not None, "what is in the outbox has a membership"
    number = presence.asks + 1
    announcing = msgspec.structs.replace(presence.announcing, number=number)
    asking = msgspec.structs.replace(presence, asks=number, announcing=announcing)
    return asking, AnnounceJoin(
        number=number,
        user=user,
        period=period,
        channel=channel,
        message=posted.message if posted else "",
        template=state.settings.templates,
        young_days=state.settings.young_days,
        total=state.members.credited[period.staff] if period.staff else 0,
        labels=labels_in(state, [period]),
        due_us=presence.announcing.from_us,
    )
