"""What is mutated, and which tests have to notice.

The tests of a group run in this order and stop at the first that fails; none starts processes, since a mutant lives
in one process only.
"""

from collections.abc import Sequence
from typing import Final

import msgspec


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Modules, and the tests that touch them, quick ones first. ``share``: of a hundred mutants."""

    name: str
    share: int
    modules: Sequence[str]
    tests: Sequence[str]


_LEDGER: Final = (
    "tests/ledger/test_cases.py",
    "tests/ledger/test_redelivery.py",
    "tests/ledger/test_samples.py",
    "tests/ledger/test_reports.py",
    "tests/ledger/test_asking.py",
    "tests/ledger/test_windows.py",
    "tests/ledger/test_members.py",
    "tests/ledger/test_model.py",
    "tests/ledger/test_fates.py",
    "tests/ledger/test_evolve.py",
    "tests/ledger/test_worlds.py",
    "tests/ledger/test_impatience.py",
    "tests/ledger/test_forgetting.py",
    "tests/ledger/test_audit_log.py",
    "tests/ledger/test_evidence.py",
    "tests/ledger/test_breaker.py",
    "tests/ledger/test_recordings.py",
    "tests/ledger/test_errands.py",
    "tests/ledger/test_salvage.py",
    "tests/ledger/test_vips.py",
    "tests/ledger/test_deaths.py",
    "tests/ledger/test_wrong_names.py",
    "tests/ledger/test_more_wrong_names.py",
    "tests/ledger/test_late_and_unseen.py",
    "tests/ledger/test_doubts.py",
)
_OF_ONE_LIFE: Final = tuple(
    f"tests/test_invariants.py::{name}"
    for name in (
        "test_a_message_handled_again_after_a_kill_writes_no_key_a_second_time",
        "test_after_a_gap_an_open_membership_is_no_longer_taken_for_sure",
        "test_a_page_of_before_an_outage_does_not_spare_the_list_after_it",
        "test_somebody_who_joins_while_the_list_is_read_does_not_count_as_gone_though_the_clocks_differ",
        "test_a_leave_that_crosses_the_first_list_is_not_undone_by_it",
    )
)
GROUPS: Final = (
    Group(
        name="solver",
        share=18,
        modules=("ledger.solver",),
        tests=("tests/ledger/test_solver.py", "tests/ledger/test_cases.py", "tests/ledger/test_worlds.py"),
    ),
    Group(
        name="decide",
        share=34,
        modules=(
            "ledger.decide",
            "ledger.fates",
            "ledger.fetching",
            "ledger.closing",
            "ledger.members",
            "ledger.windows",
            "ledger.verdicts",
            "ledger.judging",
            "ledger.testimony",
            "ledger.origins",
            "ledger.credits",
            "ledger.audit",
            "ledger.deletions",
            "ledger.witness",
            "ledger.errands",
            "ledger.owner",
            "ledger.vip",
            "ledger.announcing",
            "ledger.channels",
            "ledger.creations",
            "ledger.reports",
            "ledger.salvage",
            "ledger.samples",
            "ledger.taking_in",
        ),
        tests=(*_LEDGER, *_OF_ONE_LIFE),
    ),
    Group(
        name="evolve",
        share=14,
        modules=("ledger.evolve", "ledger.forgetting"),
        tests=_LEDGER,
    ),
    Group(
        name="runtime",
        share=14,
        modules=("actors.runtime", "actors.mailbox", "actors.asks"),
        tests=(
            "tests/actors/test_runtime.py",
            "tests/actors/test_mailbox.py",
            "tests/actors/test_jobs.py",
            "tests/actors/test_care.py",
            "tests/test_supervisor.py",
            "tests/test_rounds.py",
            "tests/test_invariants.py",
        ),
    ),
    Group(
        name="recovery",
        share=20,
        modules=(
            "persistence.recovery",
            "persistence.leading",
            "persistence.branches",
            "persistence.holes",
            "persistence.rehydration",
            "persistence.chains",
            "persistence.store",
            "persistence.terms",
        ),
        tests=(
            "tests/persistence/test_rehydration.py",
            "tests/persistence/test_store.py",
            "tests/persistence/test_store_cloud.py",
            "tests/persistence/test_put_back.py",
            "tests/persistence/test_chains.py",
            "tests/persistence/test_log.py",
            "tests/persistence/test_golden.py",
            "tests/actors/test_journal.py",
            "tests/actors/test_recovered.py",
            "tests/persistence/test_layer_contract.py",
            "tests/persistence/test_power_cut.py",
            "tests/persistence/test_damage.py",
            "tests/persistence/test_salvage.py",
            "tests/persistence/test_holes.py",
            "tests/test_invariants.py",
        ),
    ),
)
