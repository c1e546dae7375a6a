"""The outbox: joins that the log channel shows, once each, and anew when a verdict is superseded.

The intent is the verdict's record itself, the outcome another one: what lies between is tried again by every life,
and Discord's nonce keeps the message single. A verdict that says more later edits the message.
"""

from itertools import islice
from typing import Final

import msgspec

from ledger import messages as m
from ledger import records as r
from ledger.decision import Decision
from ledger.fetching import retry_after_s
from ledger.presence import NO_ERRAND, Errand, Presence
from ledger.state import GuildState, Period, Posted

CAUSE: Final = r.InternalCause(what="announcing")
MAX_POSTED: Final = 1_000
"""Messages that are still edited; older ones stay as they are."""


def announced(state: GuildState, presence: Presence, message: m.Announced) -> Decision:
    """The decision on a join that is shown, or that never will be."""
    if message.number == presence.announcing.number:
        presence = msgspec.structs.replace(presence, announcing=NO_ERRAND)
    key = r.join_key(message.user, message.opened_us)
    if key not in state.outbox:
        return Decision(presence=presence)
    event = r.JoinAnnounced(
        user=message.user,
        opened_us=message.opened_us,
        verdict=message.verdict,
        channel=message.channel,
        message=message.message,
    )
    draft = r.Draft(event=event, cause=CAUSE, key=f"shown/{message.user}/{message.opened_us}/{state.seq}")
    return Decision(presence=presence, drafts=(draft,))


def announcing_failed(presence: Presence, message: m.AnnouncingFailed) -> Decision:
    """The decision on a message that could not be sent: later again."""
    if message.number != presence.announcing.number:
        return Decision(presence=presence)
    failures = presence.announcing.failures + 1
    from_us = message.at_us + round(retry_after_s(failures) * 1_000_000)
    failed = Errand(trouble=message.reason, failures=failures, from_us=from_us)
    return Decision(presence=msgspec.structs.replace(presence, announcing=failed))


def to_be_shown(state: GuildState, event: r.VerdictReached, before: Period) -> None:
    """Puts a join into the outbox: with its first verdict, and with each later one if it was shown."""
    is_first = before.verdicts == 0 and before.counted and state.settings.log_channel is not None
    if not is_first and not state.posted:
        return  # most often: each recovery comes by here, once a verdict
    key = r.join_key(event.user, event.opened_us)
    if is_first or key in state.posted:
        state.outbox[key] = (event.user, event.opened_us)


def shown(state: GuildState, event: r.JoinAnnounced) -> None:
    """Takes it out again, unless what is shown is not the newest verdict."""
    key, period = r.join_key(event.user, event.opened_us), state.membership(event.user, event.opened_us)
    if event.message and period is not None and period.verdicts > event.verdict:
        state.outbox[key] = (event.user, event.opened_us)
    else:
        state.outbox.pop(key, None)
    if event.message:
        state.posted[key] = Posted(event.channel, event.message, event.verdict)
        for old in tuple(islice(state.posted, max(0, len(state.posted) - MAX_POSTED))):
            if old not in state.outbox:
                del state.posted[old]
