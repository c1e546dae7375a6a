"""What the journal counts of what became durable: batches, records, and verdicts by status.

An append whose outcome was unknown is counted when its guild is found to have it: its verdicts, not its batch.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from actors.histogram import Distribution, Histogram
from ledger.records import Record, Status, VerdictReached

COMMIT_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_BOUNDS_RECORDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


class Tally:
    """Counts since the process began."""

    def __init__(self) -> None:
        self.batches = 0
        self.records = 0
        self._commit_s = Histogram(COMMIT_BOUNDS_S)
        self._batch_records = Histogram(BATCH_BOUNDS_RECORDS)
        self._first: Counter[Status] = Counter(dict.fromkeys(Status, 0))
        self._superseding: Counter[Status] = Counter(dict.fromkeys(Status, 0))

    def take_batch(self, records: Iterable[Record], took_s: float) -> None:
        """A batch that is durable; ``took_s``: write and fsync of the log, and commit of the database."""
        batch = tuple(records)
        self.batches += 1
        self.records += len(batch)
        self._commit_s.observe(took_s)
        self._batch_records.observe(len(batch))
        self.take_verdicts(batch)

    def take_verdicts(self, records: Iterable[Record]) -> None:
        for record in records:
            if isinstance(record.event, VerdictReached):
                counter = self._superseding if record.event.supersedes else self._first
                counter[record.event.status] += 1

    def commit_s(self) -> Distribution:
        """How long batches took to become durable."""
        return self._commit_s.distribution()

    def batch_records(self) -> Distribution:
        """How many records batches had."""
        return self._batch_records.distribution()

    def first_verdicts(self) -> Mapping[Status, int]:
        """Verdicts that were the first of their join, by status, each status there."""
        return dict(self._first)

    def superseding_verdicts(self) -> Mapping[Status, int]:
        """Verdicts that took an earlier one's place, by their own status, each status there."""
        return dict(self._superseding)
