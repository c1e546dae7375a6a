"""What records say of a guild, read off in the plainest way: for comparison with what ``evolve`` makes of them.

Forgetting and the working-out of gaps are left out; they have tests of their own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from ledger import records as r
from ledger.ids import InviteCode
from ledger.state import GuildState

A_BREAK = {r.EventUnreadable: "unreadable_event", r.GuildLeft: "left"}


def read(records: Iterable[r.Record]) -> dict[str, object]:  # noqa: C901, PLR0912, PLR0915 -- one arm an event, nothing else
    """The simple facts, each by its name in ``GuildState``."""
    counters: dict[str, r.Counter] = {}
    tombstones: dict[str, r.Counter] = {}
    births: dict[tuple[str, int], tuple[r.Counter, int]] = {}
    deaths: dict[str, tuple[int, str]] = {}
    broken: list[str] = []
    broken_us = 0
    windows: dict[int, Mapping[InviteCode, int]] = {}
    breaks = unsolved = assigned = seq = counting = 0
    baseline = vanity = None
    lanes: dict[str, tuple[str, int]] = {}
    for record in records:
        seq = record.seq
        if isinstance(record.cause, r.GatewayCause):
            lanes[record.cause.lane] = (record.cause.session, record.cause.number)
        match record.event:
            case r.GuildAdopted() as event:
                counting = event.counting_since_us
            case r.InviteCreated() as event:
                births.setdefault(_which(event.invite), (event.invite, event.arrived_us))
            case r.InviteDied() as event:
                at_us, how = deaths.get(event.code, (event.arrived_us, event.how))
                heard = [invite for (code, _), (invite, _) in births.items() if code == event.code]
                young = event.code in counters and counters[event.code].created_at_us >= at_us - 602_000_000
                session = getattr(record.cause, "session", baseline and baseline[3])
                lost = bool(broken) or (baseline is not None and session != baseline[3])
                again = bool(heard) or young or lost
                at_us = max(at_us, event.arrived_us) if again else min(at_us, event.arrived_us)
                deaths[event.code] = (at_us, "channel" if "channel" in (how, event.how) else "deleted")
            case r.ContinuityBroken() | r.EventUnreadable() | r.GuildLeft() as event:
                breaks += 1
                broken.append(event.reason if isinstance(event, r.ContinuityBroken) else A_BREAK[type(event)])
                broken_us = max(broken_us, event.at_us)
            case r.SampleTaken() as event:
                for code in event.gone:
                    tombstones[code] = counters.pop(code)
                for counter in event.changed:
                    counters[counter.code] = counter
                    tombstones.pop(counter.code, None)
                gone = [invite for invite, told_us in births.values() if told_us < event.requested_us]
                tombstones |= {invite.code: invite for invite in gone if invite.code not in counters}
                listed = {_which(counter) for counter in counters.values()}
                shown = {
                    code: told_us for (code, created), (_, told_us) in births.items() if (code, created) in listed
                }
                births = {
                    key: birth
                    for key, birth in births.items()
                    if key not in listed and birth[1] >= event.requested_us
                }
                deaths = {
                    code: death
                    for code, death in deaths.items()
                    if death[0] >= max(event.requested_us, shown.get(code, 0))
                }
                broken = broken if broken_us > event.requested_us else []
                broken_us, vanity, unsolved = 0, event.vanity, unsolved + 1
                baseline = (event.number, event.requested_us, event.answered_us, event.session)
            case r.WindowClosed() as event:
                unsolved = unsolved if event.again else 0
                if event.abandoned and not event.again:
                    breaks += 1
                    broken.append("given_up")
                windows = {
                    at: left for at, left in windows.items() if not event.first_sample < at <= event.last_sample
                }
                windows[event.last_sample] = event.unclaimed
            case r.InviteAssigned() as event:
                assigned = event.version
            case _:
                pass
    return {
        "seq": seq,
        "counting_since_us": counting,
        "lanes": lanes,
        "counters": counters,
        "tombstones": tombstones,
        "births": list(births.values()),
        "deaths": deaths,
        "broken": tuple(dict.fromkeys(broken)),
        "unclaimed": dict(sum((Counter(left) for left in windows.values()), Counter())),
        "breaks": breaks,
        "unsolved": unsolved,
        "assigned": assigned,
        "vanity": vanity,
        "baseline": baseline,
    }


def _which(invite: r.Counter) -> tuple[str, int]:
    """Of two invites of a code, to the millisecond: the gateway tells more than that of the same time."""
    return invite.code, invite.created_at_us // 1_000


def shown(state: GuildState) -> dict[str, object]:
    """The same of a state."""
    baseline = state.baseline
    return {
        "seq": state.seq,
        "counting_since_us": state.counting_since_us,
        "lanes": state.lanes,
        "counters": state.counters,
        "tombstones": state.tombstones,
        "births": [(birth.invite, birth.arrived_us) for birth in state.births.values()],
        "deaths": {code: (death.arrived_us, death.how) for code, death in state.deaths.items()},
        "broken": state.broken,
        "unclaimed": state.unclaimed,
        "breaks": state.breaks,
        "unsolved": state.unsolved,
        "assigned": state.assigned,
        "vanity": state.vanity,
        "baseline": baseline and (baseline.number, baseline.requested_us, baseline.answered_us, baseline.session),
    }


Claim = dict[str, object]


def claims(records: Iterable[r.Record]) -> dict[tuple[str, int], Claim]:
    """Of each membership, the verdict in force and what else is said of it; by person and joined_at."""
    found: dict[tuple[str, int], Claim] = {}
    for record in records:
        match record.event:
            case r.JoinRecorded() as event:
                found[event.user, event.joined_at_us] = _claim(bot=event.bot, rejoin=event.rejoin, counted=True)
            case r.MembersSeeded() as event:
                for seed in event.members:
                    found[seed.user, seed.joined_at_us] = {
                        **_claim(bot=False, rejoin=seed.rejoin, counted=False),
                        "status": r.Status.UNKNOWN,
                        "reason": "no_baseline",
                    }
            case r.VerdictReached() as event:
                held = found[event.user, event.opened_us]
                assert held["verdict_seq"] == event.supersedes
                held.update(
                    status=event.status,
                    code=event.code,
                    inviter=event.inviter,
                    staff=event.staff,
                    candidates=event.candidates,
                    reason=event.reason,
                    verdict_seq=record.seq,
                    verdicts=int(str(held["verdicts"])) + 1,
                )
            case r.CreditGranted() as event:
                found[event.user, event.opened_us]["credited"] = event.staff
            case r.CreditReversed() as event:
                found[event.user, event.opened_us]["credited"] = None
            case _:
                pass
    return found


def _claim(*, bot: bool, rejoin: bool, counted: bool) -> Claim:
    return {
        "bot": bot,
        "rejoin": rejoin,
        "counted": counted,
        "status": r.Status.PENDING,
        "code": None,
        "inviter": None,
        "staff": None,
        "candidates": (),
        "reason": "",
        "verdict_seq": 0,
        "verdicts": 0,
        "credited": None,
    }


def claimed(state: GuildState) -> dict[tuple[str, int], Claim]:
    """The same of a state."""
    fields = _claim(bot=False, rejoin=False, counted=True)
    return {
        (user, period.opened_us): {field: getattr(period, field) for field in fields}
        for user, periods in state.members.items()
        for period in periods
    }
