"""``inviteledger replay``: guilds as they were, made anew from their records; also beside a running bot."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from actors.cli.exits import OK, WRONG
from actors.cli.piping import printing
from actors.cli.progress import PROGRESS_EVERY, progress
from actors.cli.recorded import nothing_recorded
from actors.cli.states import States
from actors.cli.times import shown
from actors.cli.tools import Tools
from actors.cli.view import Place, View, lines_of, view_of
from ledger.forgetting import forget_guild, forget_member
from ledger.ids import GuildId
from ledger.records import GuildForgotten, MemberForgotten, Record
from ledger.state import GuildState
from persistence.anchors import CheckpointAnchors
from persistence.frames import Frame
from persistence.histories import kept_checkpoints
from persistence.reading import Reading
from persistence.until import Until


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which guild (None = all), and as of when (milliseconds since 1970, None = now)."""

    guild: GuildId | None
    until_ms: int | None


def replay(tools: Tools, data: Path, database: Path, question: Question, *, json: bool) -> int:
    """Prints each guild as of then; ``json``: an object a line.

    Returns:
        0, or 1 when nothing was recorded by then, or a guild cannot be made from what can be read.

    Raises:
        NewerFormat: when a later release wrote the log.
        StorageError: when it cannot be read.
    """
    run = _Run(tools, data, question)
    run.read()
    if not run.found:
        tools.err.write(nothing_recorded(tools.disk, data, database))
    with printing(tools.out):
        for view in run.views():
            lines = [msgspec.json.encode(view).decode()] if json else lines_of(view)
            tools.out.writelines(f"{line}\n" for line in lines)
    return run.judged()


class _Run:
    """``found``: whether there is any record, of any guild and time."""

    def __init__(self, tools: Tools, data: Path, question: Question) -> None:
        self._tools = tools
        self._question = question
        checkpoints = data / "checkpoints"
        self._reading = Reading(tools.disk, data / "log", CheckpointAnchors(tools.disk, checkpoints))
        self._until = Until(question.until_ms)
        self._states = States(self._reading, lambda guild: kept_checkpoints(tools.disk, checkpoints / guild, guild))
        self._newest: dict[GuildId, Frame] = {}
        self._first_ms: int | None = None
        self._end: int | None = None
        self._wrong = False
        self.found = False

    def read(self) -> None:
        files = self._reading.survey.files
        of = files[-1].first_gsn if files else 0
        with progress(self._tools.err, "replaying") as advance:
            for number, frame in enumerate(self._reading, start=1):
                self._take(frame)
                if number % PROGRESS_EVERY == 0:
                    advance(number, max(number, of))

    def _take(self, frame: Frame) -> None:
        self.found = True
        record = frame.record
        is_kept = self._until.keeps(record)
        if not is_kept and self._end is None:
            self._end = record.gsn
        if self._question.guild not in (None, record.guild):
            return
        self._first_ms = record.at_ms if self._first_ms is None else self._first_ms
        if is_kept:
            self._states.take(record)
            self._newest[record.guild] = frame

    def views(self) -> Iterator[View]:
        for guild, frame in sorted(self._newest.items(), key=_number):
            if guild in self._states.lost and not self._states.find_lost(guild, frame.record.seq):
                self._note(f"guild {guild}: records that are missing keep it from being replayed")
                continue
            state = self._states.held[guild]
            _forget(state, self._until.later.get(guild, ()))
            yield view_of(state, _place(frame))

    def judged(self) -> int:
        """The exit code; what is missing is said."""
        if self.found and not self._newest:
            of = "" if self._question.guild is None else f" of guild {self._question.guild}"
            by_then = "" if self._question.until_ms is None else " by then"
            began = "" if self._first_ms is None else f"; the first record is of {shown(self._first_ms)}"
            self._note(f"nothing was recorded{of}{by_then}{began}")
        missing = [gap for gap in self._reading.scan.missing if self._end is None or gap[0] < self._end]
        if missing:
            self._note(f"records {', '.join(f'{first} to {last}' for first, last in missing)} cannot be read")
        return WRONG if self._wrong or not self.found else OK

    def _note(self, text: str) -> None:
        self._wrong = True
        self._tools.err.write(f"note: {text}\n")


def _forget(state: GuildState, later: Sequence[Record]) -> None:
    """Who asked to be forgotten later than that is forgotten in what is shown of before, too."""
    for record in later:
        match record.event:
            case MemberForgotten():
                forget_member(state, record.event, state.seq)
            case GuildForgotten():
                forget_guild(state, record.event, state.seq)
            case _:
                pass


def _place(frame: Frame) -> Place:
    record = frame.record
    return Place(guild=record.guild, seq=record.seq, gsn=record.gsn, at_ms=record.at_ms, digest=frame.digest.hex())


def _number(item: tuple[GuildId, Frame]) -> int:
    return int(item[0])
