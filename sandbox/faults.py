"""What may go wrong on the way: scripted for the next requests of a kind, one fault for one request.

Kinds are the `kind` column of the route tables ("invites", "vanity", "members", "search", "audit", "callback",
...). Faults of one kind are used up in the order in which they were made; those for a guild wait for that guild.
The world does not change here; how an answer is bent is told to the handlers by `Fault`.
"""

import asyncio
from dataclasses import dataclass, field
from enum import Enum, auto

from sandbox.models import JobState

OUTAGE_CODE = 0
INDEX_NOT_READY = 110_000
ACCEPTED = 202


class Bend(Enum):
    """What members-search tells instead of the truth."""

    OTHERS = auto()  # rows of members nobody asked for
    ELSEWHERE = auto()  # the answer of another guild
    STALE = auto()  # of who came again, the row of the membership before


class Gate:
    """Stops a request on its way until it is opened: order by a switch, not by sleeping."""

    def __init__(self) -> None:
        self._arrived = asyncio.Event()
        self._open = asyncio.Event()

    async def arrived(self, timeout_s: float = 5.0) -> None:
        """Return when a request stands at the gate."""
        async with asyncio.timeout(timeout_s):
            await self._arrived.wait()

    def open(self) -> None:
        self._open.set()

    async def pass_through(self) -> None:
        self._arrived.set()
        await self._open.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One request's misfortune.

    Attributes:
        status: answer this instead (an error, or 202 for an index that is not ready).
        retry_after_s: for 429 and 202.
        delay_s: how long it takes; on the way back (`late`) the answer is already made.
        gate: as `delay_s`, until it is opened.
        drop: the connection is cut without an answer.
        bare: an invite list without its metadata.
        blank: a vanity answer with code null and uses 0.
        as_of_us: counters as they were at that moment.
        done: what was asked for is carried out all the same.
        job: what becomes of the list of target users in this request.
        body: 200 with these bytes for an answer, which need not be JSON, whatever `content_type` says.
        bend: rows of members-search that are not the ones asked for.
        guild_id: only requests about this guild; None: any.
    """

    status: int | None = None
    code: int = OUTAGE_CODE
    message: str = "scripted by the sandbox"
    retry_after_s: float = 0.0
    is_global: bool = False
    delay_s: float = 0.0
    gate: Gate | None = None
    late: bool = False
    drop: bool = False
    bare: bool = False
    blank: bool = False
    as_of_us: int | None = None
    done: bool = False
    job: JobState = JobState.COMPLETED
    body: bytes | None = None
    content_type: str = "application/json"
    bend: Bend | None = None
    guild_id: int | None = None


NO_FAULT = Fault()


@dataclass(slots=True)
class Faults:
    """The script, and what is wrong all the time.

    Attributes:
        latency_s: slows every request of a kind.
        lag_us: ages every counter that is read.
        search_lag_us: members younger than this are missing in members-search.
        audit_lag_us: entries younger than this are missing in the audit log that is read.
    """

    latency_s: dict[str, float] = field(default_factory=dict)
    lag_us: int = 0
    search_lag_us: int = 0
    audit_lag_us: int = 0
    _script: dict[str, list[Fault]] = field(default_factory=dict)
    _always: dict[tuple[str, int | None], Fault] = field(default_factory=dict)
    _gates: list[Gate] = field(default_factory=list)

    def add(self, kind: str, fault: Fault, *, times: int | None = 1) -> None:
        """For the next `times` requests of that kind; None: for all that find nothing else in the script."""
        if times is None:
            self._always[kind, fault.guild_id] = fault
        else:
            self._script.setdefault(kind, []).extend([fault] * times)

    def stop(self, kind: str) -> None:
        """What was to last for ever ends."""
        self._always = {key: fault for key, fault in self._always.items() if key[0] != kind}

    def fail(
        self,
        kind: str,
        status: int,
        *,
        times: int | None = 1,
        code: int = OUTAGE_CODE,
        retry_after_s: float = 0.0,
        is_global: bool = False,
        guild_id: int | None = None,
        done: bool = False,
    ) -> None:
        """Answer the next `times` requests (None: all) with an error status."""
        fault = Fault(
            status=status,
            code=code,
            retry_after_s=retry_after_s,
            is_global=is_global,
            guild_id=guild_id,
            done=done,
        )
        self.add(kind, fault, times=times)

    def delay(self, kind: str, delay_s: float, *, times: int = 1, late: bool = False) -> None:
        self.add(kind, Fault(delay_s=delay_s, late=late), times=times)

    def hang(self, kind: str, *, late: bool = False, guild_id: int | None = None) -> Gate:
        """The next request waits at the returned gate; with `late` its answer is already made."""
        gate = Gate()
        self._gates.append(gate)
        self.add(kind, Fault(gate=gate, late=late, guild_id=guild_id))
        return gate

    def drop(self, kind: str, *, times: int = 1) -> None:
        self.add(kind, Fault(drop=True), times=times)

    def blank_vanity(self, *, times: int = 1) -> None:
        self.add("vanity", Fault(blank=True), times=times)

    def bare_invites(self, *, times: int = 1) -> None:
        self.add("invites", Fault(bare=True), times=times)

    def stale_invites(self, as_of_us: int, *, times: int = 1, guild_id: int | None = None) -> None:
        """The next lists are those of that moment (`world.clock.now_us()`: of now, whatever comes)."""
        self.add("invites", Fault(as_of_us=as_of_us, guild_id=guild_id), times=times)

    def index_not_ready(self, *, retry_after_s: float = 15.0, times: int | None = 1) -> None:
        """The next searches find the index being built: 202 with code 110000."""
        self.fail("search", ACCEPTED, code=INDEX_NOT_READY, retry_after_s=retry_after_s, times=times)

    def search_off(self) -> None:
        """members-search is no more: 404 from now on."""
        self.fail("search", 404, times=None)

    def bend_search(self, bend: Bend, *, times: int | None = 1) -> None:
        self.add("search", Fault(bend=bend), times=times)

    def stall_targets(self, state: JobState, kind: str = "create_invite", *, times: int = 1) -> None:
        """The next list of target users is taken, and then still being read (PROCESSING) or not readable (FAILED)."""
        self.add(kind, Fault(job=state), times=times)

    def garble(self, kind: str, body: bytes, *, times: int | None = 1) -> None:
        """Answer the next requests with 200 and these bytes."""
        self.add(kind, Fault(body=body), times=times)

    def take(self, kind: str, guild_id: int | None) -> Fault:
        """The fault for this request, taken off the script."""
        script = self._script.get(kind, [])
        for index, fault in enumerate(script):
            if fault.guild_id in (None, guild_id):
                return script.pop(index)
        return self._always.get((kind, guild_id)) or self._always.get((kind, None), NO_FAULT)

    def pending(self, kind: str) -> int:
        """How many are still to come."""
        return len(self._script.get(kind, []))

    def clear(self) -> None:
        """Forget the script and open all gates."""
        self._script.clear()
        self._always.clear()
        self.latency_s.clear()
        self.lag_us = self.search_lag_us = self.audit_lag_us = 0
        for gate in self._gates:
            gate.open()
