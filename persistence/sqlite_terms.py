"""Writers' terms in the database: each epoch with its lineage, a sealed line a row; the newest is in force."""

import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import Corrupt, StorageError
from persistence.sealed import seal_line, unseal_line
from persistence.sqlite_connection import Row, committing, rows, storing


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """A writer's term, and its release. Epoch 0 = there was none."""

    epoch: int
    lineage: str
    release: str = ""


_PUT: Final = "INSERT OR REPLACE INTO terms (epoch, line) VALUES (?, ?)"
_ALL: Final = "SELECT epoch, line FROM terms ORDER BY epoch"
_decoder: Final = msgspec.json.Decoder(Term)


def put_term(db: sqlite3.Connection, path: Path, term: Term) -> None:
    """Makes a term durable."""
    with committing(db, path):
        db.execute(_PUT, (term.epoch, seal_line(msgspec.json.encode(term))))


def terms(db: sqlite3.Connection, path: Path) -> tuple[list[Term], list[str]]:
    """The terms that can be read, oldest first, and what is wrong with the others."""
    found: list[Term] = []
    flaws: list[str] = []
    with storing(path):
        for row in rows(db, _ALL):
            try:
                found.append(_term_in(row, path))
            except Corrupt as error:
                flaws.append(str(error))
    return found, flaws


def newest_release(db: sqlite3.Connection, path: Path) -> str:
    """The release of the newest term; "" where none says, or none can be read in this schema."""
    try:
        found, _ = terms(db, path)
    except (StorageError, Corrupt):
        return ""
    return found[-1].release if found else ""


def _term_in(row: Row, path: Path) -> Term:
    where = f"{path.name}, term {row[0]}"
    line = row[1] if isinstance(row[1], bytes) else b""
    try:
        term = _decoder.decode(unseal_line(line.removesuffix(b"\n"), where))
    except msgspec.MsgspecError as error:
        raise Corrupt(where, f"unreadable: {error}") from error
    if term.epoch != row[0]:
        raise Corrupt(where, "the column is not that of the line")
    return term
