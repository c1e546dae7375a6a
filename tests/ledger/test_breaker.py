"""The breaker of the second witness: after failures it is asked more and more seldom, whatever Discord says."""

import pytest

from ledger import messages as m
from ledger.presence import Errand, Presence
from ledger.witness import FAILED_AGAIN_US, witness_failed

SECOND = 1_000_000


def waits_us(again_s: float, failures: int) -> list[int]:
    """How long is waited after each of so many failures in a row."""
    presence, waited = Presence(), list[int]()
    for number in range(1, failures + 1):
        asked = Errand(number=number, failures=presence.witness.failures)
        failed = m.WitnessFailed(number=number, reason="not_ready", at_us=0, again_s=again_s)
        presence = witness_failed(Presence(witness=asked), failed).presence
        waited.append(presence.witness.from_us)
    return waited


def test_where_discord_says_nothing_the_pauses_grow():
    assert waits_us(0.0, 5) == [*FAILED_AGAIN_US, FAILED_AGAIN_US[-1]]


def test_what_discord_says_is_obeyed_at_first_and_not_for_ever():
    assert waits_us(15.0, 10) == [15 * SECOND] * 4 + [*FAILED_AGAIN_US, FAILED_AGAIN_US[-1], FAILED_AGAIN_US[-1]]


@pytest.mark.parametrize("failures", [1, 4, 9])
def test_never_sooner_than_discord_says(failures: int):
    assert waits_us(86_400.0, failures)[-1] == 86_400 * SECOND
