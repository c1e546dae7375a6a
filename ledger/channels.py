"""What a deleted channel makes of the invites that led there: they died with it, whether or not they were used.

CHANNEL_DELETE may come behind the sample that does not show them any more, and behind the reading of the audit log,
which has no entry of them: what seemed used up then is a mere possibility again, as by a deletion told late. When it
comes later than late events do, they had gone before. Or it comes before they are told of at all: by INVITE_CREATE,
told late, or by a sample that was on its way, or in which Discord still lists them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from ledger.ids import ChannelId, InviteCode
from ledger.records import Counter, Draft, Event, InviteCreated, InviteDied, SampleTaken
from ledger.samples import CHANNEL_DELETED, SKEW_US, UNLIMITED, mapped
from ledger.state import Gap, GapSource, GuildState
from ledger.windows import GAP_KEPT_US

WITH_ITS_CHANNEL_US: Final = 10_000_000
"""So far apart at most are told the deletion of a channel and that of its invites: one connection keeps its order."""


def codes_in(state: GuildState, channel: ChannelId, arrived_us: int) -> tuple[InviteCode, ...]:
    """The invites that led to the channel when it was deleted, those that a sample has missed since among them."""
    vanished = (each for gap in state.gaps if _may_hold(gap, arrived_us) for each in gap.sources)
    births = (birth.invite for birth in state.births.values())
    held: Iterable[Counter | GapSource] = (*state.counters.values(), *births, *vanished)
    return tuple(dict.fromkeys(each.code for each in held if each.channel == channel))


def deleted_lately(channels: Mapping[ChannelId, int], channel: ChannelId, arrived_us: int) -> Mapping[ChannelId, int]:
    """With this one; those of which nothing can come late any more are left out."""
    kept = {each: heard_us for each, heard_us in channels.items() if heard_us > arrived_us - GAP_KEPT_US}
    return {**kept, channel: arrived_us}


def with_deaths(state: GuildState, channels: Mapping[ChannelId, int], drafts: Sequence[Draft]) -> Iterator[Draft]:
    """The drafts of one append, and the deaths of invites that they tell of behind the deletion of their channel."""
    for draft in drafts:
        yield draft
        for invite in _told_of(state, draft.event) if channels else ():
            if invite.channel is not None and invite.channel in channels:
                died = InviteDied(code=invite.code, arrived_us=channels[invite.channel], how="channel")
                yield Draft(event=died, cause=draft.cause, key=f"died/{invite.code}/{state.seq + 1}")


def _told_of(state: GuildState, event: Event) -> Iterable[Counter]:
    if isinstance(event, InviteCreated):
        return (event.invite,)
    if isinstance(event, SampleTaken):
        shown = {**state.counters, **{each.code: each for each in event.changed}}
        return [each for each in shown.values() if each.code not in event.gone]
    return ()


def without_channel(
    gaps: tuple[Gap, ...], codes: Collection[InviteCode], arrived_us: int, *, replayed: bool
) -> tuple[Gap, ...]:
    """The gaps, knowing since ``arrived_us`` that these invites died with their channel.

    ``replayed``: by a RESUME, so nobody knows how long before.
    """
    within_us = arrived_us if replayed else WITH_ITS_CHANNEL_US
    return tuple(_without(gap, codes, arrived_us, within_us) if _may_hold(gap, arrived_us) else gap for gap in gaps)


def _may_hold(gap: Gap, arrived_us: int) -> bool:
    """Whether what is told then may have happened in the gap."""
    return arrived_us <= gap.closed.answered_us + GAP_KEPT_US


def _without(gap: Gap, codes: Collection[InviteCode], arrived_us: int, within_us: int) -> Gap:
    return mapped(gap, lambda each: _died(each, arrived_us, within_us) if each.code in codes else each)


def _died(source: GapSource, arrived_us: int, within_us: int) -> GapSource:
    """What a channel takes with it dies as it does: what was told to be dead long before was gone by then."""
    had_gone = 0 < source.dead_us < arrived_us - within_us
    if had_gone or source.why not in ("gone", "used_up"):
        return source
    dead_us = min(source.dead_us or arrived_us + SKEW_US, arrived_us + SKEW_US)
    return msgspec.structs.replace(source, exact=False, why=CHANNEL_DELETED, left=UNLIMITED, dead_us=dead_us)
