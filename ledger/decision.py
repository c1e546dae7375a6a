"""What becomes of a message: the form in which every decision comes back."""

import msgspec

from ledger.answers import Answer, Done
from ledger.effects import Effect
from ledger.presence import Presence
from ledger.records import Draft


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What follows from a message: records to write, then effects to hand over, then the answer to an ask."""

    presence: Presence
    drafts: tuple[Draft, ...] = ()
    effects: tuple[Effect, ...] = ()
    answer: Answer = Done()
