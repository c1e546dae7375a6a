"""A database as releases before the migration ``by_gsn`` have left it."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from persistence import read_model
from persistence.frames import Frame
from persistence.migrations import NAMES, READ_MODEL, RECORDS, Migration, migrate
from persistence.sqlite_connection import committing, connect, prepare
from persistence.sqlite_terms import Term, put_term

FIRST, SECOND = (RECORDS, READ_MODEL), (RECORDS, READ_MODEL, NAMES)


def leave(path: Path, release: tuple[Migration, ...], standing: Sequence[Frame], aside: Sequence[Frame] = ()) -> None:
    """Writes the file, closed, with a term of epoch 1."""
    with closing(connect(path)) as db:
        prepare(db, path)
        migrate(db, path, release)
        put_term(db, path, Term(epoch=1, lineage="lineage"))
        with committing(db, path):
            for record, frame in ((frame.record, frame) for frame in standing):
                row = (record.gsn, int(record.guild), record.seq, record.epoch, record.key, frame.data)
                db.execute("INSERT INTO records (gsn, guild, seq, epoch, key, frame) VALUES (?, ?, ?, ?, ?, ?)", row)
                for sql, values in read_model.changes(record):
                    db.execute(sql.replace("fresh_", ""), values)
            rows = [(frame.record.gsn, frame.data) for frame in aside]
            db.executemany("INSERT INTO aside (gsn, frame) VALUES (?, ?)", rows)
