"""What is true of one life of a guild actor: its phase, its session, and what it has asked of Discord."""

from collections.abc import Mapping
from typing import Final

import msgspec

from ledger.effects import NO_REQUEST, SampleRequest
from ledger.ids import ChannelId, SessionId, UserId
from ledger.phases import Phase

LEFT: Final = "left"
"""The trouble of a guild that the bot was removed from."""


class Errand(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that Discord is asked beside the counters, one request at a time.

    ``number``: the request under way, 0 = none; ``trouble``: why the last try failed, "" = it did not; ``failures``
    in a row; ``from_us``: not again before.
    """

    number: int = 0
    trouble: str = ""
    failures: int = 0
    from_us: int = 0


NO_ERRAND: Final = Errand()


class Presence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is true of this life of the actor only, and made up anew by the next one.

    ``since_us``: when it began, or something was last missed in it; ``session`` "": no gateway session yet;
    ``reconciled``: a whole member list was compared since the session began, and since anything was missed in it;
    ``list_us``: the list (``started_us``) whose first page came since then, 0 = none; ``left``: until it is compared,
    who was heard to leave and has not come back, and when it was heard; ``relisted``: whom a list showed with another
    joined_at than was told, and when; ``request``: the sample request that is under way, number 0 = none; ``asks``:
    requests so far; ``trouble``: why the phase is not live; ``audit``, ``witness``, ``sweeping``, ``announcing``: the
    errands (``ledger/errands.py``); ``asked_for``: the joins that ``witness`` is of, by their keys; ``absent``: how
    often the second witness did not know a join, by its key; ``channels``: when it was heard lately that they were
    deleted.
    """

    phase: Phase = Phase.COLD
    since_us: int = 0
    session: SessionId = SessionId("")
    vanity: bool = False
    approval: bool = False
    reconciled: bool = False
    list_us: int = 0
    left: Mapping[UserId, int] = {}
    relisted: Mapping[UserId, int] = {}
    request: SampleRequest = NO_REQUEST
    asks: int = 0
    trouble: str = ""
    audit: Errand = NO_ERRAND
    witness: Errand = NO_ERRAND
    sweeping: Errand = NO_ERRAND
    announcing: Errand = NO_ERRAND
    asked_for: tuple[str, ...] = ()
    absent: Mapping[str, int] = {}
    channels: Mapping[ChannelId, int] = {}

    @property
    def asked(self) -> int:
        """The number of the request that is under way, or soon will be, 0 = none; a join of now waits for it."""
        return self.request.number
