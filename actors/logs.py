"""Logs: one JSON object a line on stdout, or a form for people on a terminal.

    {"timestamp":"2026-08-01T12:00:00.000Z","level":"info","event":"join.acknowledged","guild":"…",…}

Rules: every event name is a literal and stands in docs/operations.md; what libraries say comes as ``library.logged``,
their text in a field; a secret is taken out of the finished line, wherever it stands; every line is flushed. A line
that cannot be written is dropped: the bot outlives its terminal, and waits for no reader (``actors/outlet.py``).
Tracebacks never hold values of variables.
"""

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol, cast

import msgspec
import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import ExceptionRenderer, add_log_level
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from actors.settings import Settings
from ledger.ports import Clock

LIBRARY_EVENT: Final = "library.logged"
MASK: Final = "[secret]"
NESTED: Final = frozenset({dict, list, tuple})
MIN_SECRET_LENGTH: Final = 6
"""Characters; a shorter secret is none, and taking it out would break words."""
MAX_FRAMES: Final = 30
"""Frames of a traceback that are told."""


class Stream(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


def make_logger(settings: Settings, clock: Clock, stream: Stream, level: int = logging.INFO) -> FilteringBoundLogger:
    """The program's logger, bound to nothing.

    Args:
        settings: the form, and the secrets to keep out.
        clock: for timestamps.
        stream: stdout.
        level: what is less is not said.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        Lines(stream),
        processors=_processors(settings, clock, stream),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        context_class=dict,
    )
    return logger.bind()


def adopt_libraries(settings: Settings, clock: Clock, stream: Stream) -> None:
    """Gives what libraries log through ``logging`` (info and above) the same form, on the same stream."""
    handler = _LibraryHandler(Lines(stream))
    chain = [ProcessorFormatter.remove_processors_meta, *_processors(settings, clock, stream)]
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=[_name_library], processors=chain))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


class Lines:
    """Writes finished lines to a stream and flushes each; structlog calls the method of a line's level."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):  # closed, broken or full: nobody is left to tell
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


class _LibraryHandler(logging.Handler):
    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.msg(self.format(record))


class _Stamp:
    """Adds the time and puts what is common to all lines first. A second is put into words once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._words = ""

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        second, ms = divmod(self._clock.now_ms(), 1_000)
        if second != self._second:
            self._second = second
            self._words = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return {
            "timestamp": f"{self._words}.{ms:03}Z",
            "level": event.pop("level"),
            "event": event.pop("event"),
            **event,
        }


_encoder: Final = msgspec.json.Encoder(enc_hook=repr)


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    try:
        return _encoder.encode(event).decode()
    except UnicodeEncodeError:  # half a surrogate pair, which can only be written escaped
        return json.dumps(event, default=repr, separators=(",", ":"))


class _Redaction:
    """Takes secrets out of a finished line, also where JSON has escaped them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        long = [secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH]
        self._forms = sorted({form for secret in long for form in (secret, json.dumps(secret)[1:-1])}, key=len)

    def __call__(self, _logger: WrappedLogger, _method: str, line: str) -> str:
        for form in reversed(self._forms):
            line = line.replace(form, MASK)
        return line


def _processors(settings: Settings, clock: Clock, stream: Stream) -> list[Processor]:
    """What every line goes through, ours and the libraries'."""
    common: list[Processor] = [add_log_level, _Stamp(clock)]
    # Renderers make a text of the event, which is redacted; the library's type knows only what hands the event on.
    redaction: Processor = _Redaction(settings.secrets())  # type: ignore[assignment]
    if settings.ledger_log == "console" or (settings.ledger_log is None and stream.isatty()):
        return [
            *common,
            _in_words,
            ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain_traceback),
            redaction,
        ]
    exceptions = ExceptionRenderer(ExceptionDictTransformer(show_locals=False, max_frames=MAX_FRAMES))
    return [*common, exceptions, _as_json, redaction]


def _in_words(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """For people: lists and tables as text, where the renderer would print Python."""
    return {name: _words(value) if type(value) in NESTED else value for name, value in event.items()}


def _words(value: object) -> str:
    match value:
        case dict():
            pairs = cast("dict[str, object]", value).items()
            return " ".join(f"{name}={_words(each)}" for name, each in pairs if each != "")
        case list() | tuple():
            return "; ".join(_words(each) for each in cast("Sequence[object]", value)) or "-"
        case _:
            return str(value)


def _name_library(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A library's text becomes a field: event names come from the table only."""
    name = event["_record"].name
    return {**event, "event": LIBRARY_EVENT, "logger": name, "message": event["event"]}
