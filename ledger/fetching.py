"""When counters are asked for: one request at a time, each with a number of its own, so that a late answer of an
earlier request is known and ignored.
"""

from typing import Final

import msgspec

from ledger.effects import FetchSample, SampleRequest
from ledger.presence import Presence

SETTLE_AFTER_S: Final = (1.5, 5.0)
"""Uses are missing: Discord's list can lag, ask again after so long, twice."""
LATE_JOIN_S: Final = 2.0
"""Too many uses: a join's event may still be on its way."""
BLIND_RETRY_S: Final = 300.0
"""The counters may not be read; a change of permissions is heard of at once, this is for what is not."""
RETRY_S: Final = (1.5, 5.0, 15.0, 30.0, 60.0)
"""After failures in a row, and after stale samples in a row."""


def ask_sample(
    presence: Presence, after_s: float = 0.0, again: SampleRequest | None = None
) -> tuple[Presence, FetchSample]:
    """A request under a new number; ``again`` carries on what the last one knew. An older one is void from now on."""
    number = presence.asks + 1
    request = msgspec.structs.replace(again or SampleRequest(number=number), number=number)
    asked = msgspec.structs.replace(presence, request=request, asks=number)
    return asked, FetchSample(request=request, session=presence.session, after_s=after_s)


def retry_after_s(failures: int) -> float:
    """Seconds before the next try; ``failures`` ≥ 1 in a row."""
    return RETRY_S[min(failures, len(RETRY_S)) - 1]
