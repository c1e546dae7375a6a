"""What the audit log makes of invites that nobody saw: made, and gone before a sample could show them.

Discord tells of an invite (INVITE_CREATE) only where the bot may manage its channel, and while it listens. The log
names the others too (entry 40). Such an invite is one more way by which a join may have come, never a proof: whether
its channel was deleted under it nobody has heard.
"""

from typing import Final

import msgspec

from ledger.records import CreationLogged
from ledger.samples import LOGGED, SKEW_US, UNLIMITED
from ledger.state import Gap, GapSource, GuildState

LOGGED_LATE_US: Final = 5_000_000
"""An entry of the log is at most so much younger than the invite that it tells of."""


def is_unseen(state: GuildState, made: CreationLogged) -> bool:
    """Whether neither a sample nor the gateway has shown the invite; a code can come back as another one.

    What the log has told of already stands in the gaps as made at ``made_us``, to the microsecond.
    """
    listed = (state.counters.get(made.code), state.tombstones.get(made.code))
    created = [each.created_at_us for each in listed if each is not None]
    created += [each.invite.created_at_us for each in state.births.values() if each.invite.code == made.code]
    created += [each.created_at_us for gap in state.gaps for each in gap.sources if each.code == made.code]
    return not any(made.made_us < each <= made.at_us + SKEW_US for each in created)


def with_creation(gaps: tuple[Gap, ...], made: CreationLogged) -> tuple[Gap, ...]:
    """The gaps, of which those in which the invite may have come and gone have it as a source."""
    source = GapSource(
        made.code,
        made.made_us,
        exact=False,
        uses=made.max_uses or UNLIMITED,
        why=LOGGED,
        dead_us=made.dead_us,
        inviter=made.by,
        inviter_is_bot=made.by_bot,
    )
    return tuple(
        msgspec.structs.replace(gap, sources=(*gap.sources, source))
        if _came_and_went(gap, source, made.at_us)
        else gap
        for gap in gaps
    )


def _came_and_went(gap: Gap, source: GapSource, at_us: int) -> bool:
    """It was made after the sample before, which would show it, and before the sample behind, which does not.

    Where the log was read before, perhaps in the middle of it, the gap has it already.
    """
    known = any(each.code == source.code and each.created_at_us == source.created_at_us for each in gap.sources)
    after, before = gap.opened.requested_us - SKEW_US, gap.closed.answered_us + SKEW_US
    return not known and after <= at_us and source.created_at_us <= before
