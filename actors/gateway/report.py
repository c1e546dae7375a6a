"""/debug_invites in words: what the guild's actor knows of itself, and what the process knows of the guild. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from actors.asks import Answered, Outcome
from actors.gateway.errands import SWITCHED_OFF
from actors.gateway.permissions import WITHOUT_AUDIT_LOG
from actors.gateway.render import NOT_DURABLE, because, render
from actors.gateway.wording import ago, brief, channel, code, count, fit, moment, plain
from actors.standing import LayerStanding, Standing
from ledger.answers import Answer, GuildReport
from ledger.ids import ChannelId, UserId

MAX_CHANNELS: Final = 5
"""So many are named."""
MAX_CODES: Final = 5
MAKING_US: Final = 60_000_000
"""Making an invite takes less, with all that is waited for."""
WITNESS_TROUBLE: Final[Mapping[str, str]] = {
    SWITCHED_OFF: "switched off by LEDGER_SECOND_WITNESS",
    "forbidden": "Discord does not let me ask it: I need the permission Manage Server",
    "not_ready": "Discord is still listing this server's members",
    "status_404": "Discord does not offer it here",
    "rate_limited": "Discord asks me to wait",
    "timed_out": "Discord did not answer in time",
    "no_connection": "Discord cannot be reached",
    "malformed": "Discord sent an answer I cannot read",
}
AUDIT_TROUBLE: Final[Mapping[str, str]] = {
    **WITNESS_TROUBLE,
    "forbidden": "I need the permission View Audit Log",
    "longer_than_10_pages": "it is longer than I can read",
}


class Permitted(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot may not: permissions in people's words, and channels in which it lacks Manage Channels.

    ``unproving``: without which less can be proved; ``optional``: which counting does without; ``writable``: channels
    in which it may post, None = not known.
    """

    missing: tuple[str, ...] = ()
    unproving: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    unheard: tuple[ChannelId, ...] = ()
    writable: frozenset[ChannelId] | None = None


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """The bot's own user, None = not known yet, and the time it is."""

    user: UserId | None
    now_us: int


def describe(outcome: Outcome[Answer], standing: Standing | None, permitted: Permitted, me: Me) -> str:
    """Everything that is known; a guild whose actor does not answer is described from outside."""
    lines: list[str] = []
    if isinstance(outcome.answer, GuildReport):
        lines += _guild(outcome.answer)
        lines += _log_channel(outcome.answer, permitted)
    else:
        lines.append(render(outcome))
        lines += [f"**State**: {standing.phase}"] if standing else []
    lines += _permitted(permitted)
    if standing is not None:
        lines += _standing(standing)
    if outcome.kind is Answered.DEGRADED:
        lines.append(NOT_DURABLE)
    if isinstance(outcome.answer, GuildReport):
        lines += _interrupted(outcome.answer, me)
        lines += _unclaimed(outcome.answer)
    return fit(lines)


def _guild(report: GuildReport) -> Iterator[str]:
    phase = f"{report.phase.value} ({because(report.trouble)})" if report.trouble else report.phase.value
    yield f"**State**: {phase}, record {report.seq:,}"
    yield f"**Counting since**: {moment(report.counting_since_us) if report.counting_since_us else 'not yet'}"
    read = f"read {ago(report.baseline_us)} ({moment(report.baseline_us)})" if report.baseline_us else "not read yet"
    yield f"**Invite counters**: {report.counters:,}, {read}"
    yield f"**Open window**: {_window(report)}"
    broken = f"broken now ({', '.join(plain(why) for why in report.broken)})" if report.broken else "unbroken now"
    yield f"**Continuity**: {broken}; {count(report.breaks, 'break')} so far"
    compared = "" if report.reconciled else " (list not compared yet)"
    yield f"**Members known**: {report.members:,}{compared}; **gone invites remembered**: {report.tombstones:,}"
    yield f"**Second witness** (Discord's member search): {_witness(report)}"
    if report.audit_trouble:
        yield f"**Audit log**: not read, because {_in_words(report.audit_trouble, AUDIT_TROUBLE)}"


def _log_channel(report: GuildReport, permitted: Permitted) -> Iterator[str]:
    """Where joins are announced, and why they are not: a join that came meanwhile is not announced later."""
    where = report.log_channel
    if where is None:
        return
    if permitted.writable is not None and where not in permitted.writable:
        mend = "give me View Channel and Send Messages there, or `/log_channel set` another"
        yield f"**Log channel**: {channel(where)} is deleted or closed to me, so joins are not announced; {mend}"
        return
    waiting = f", {count(report.unshown, 'join')} to announce" if report.unshown else ""
    trouble = report.showing_trouble
    why = f"; not now, because {_in_words(trouble, WITNESS_TROUBLE)}; I try again later" if trouble else ""
    yield f"**Log channel**: {channel(where)}{waiting}{why}"


def _witness(report: GuildReport) -> str:
    asked = f"{count(report.unheard, 'join')} to ask about" if report.unheard else "no joins to ask about"
    if report.witness_trouble == SWITCHED_OFF:
        return WITNESS_TROUBLE[SWITCHED_OFF]
    if not report.witness_trouble:
        return asked
    return f"{asked}; no answer, because {_in_words(report.witness_trouble, WITNESS_TROUBLE)}; I ask again later"


def _in_words(trouble: str, words: Mapping[str, str]) -> str:
    return words.get(trouble.partition(":")[0]) or brief(trouble)


def _window(report: GuildReport) -> str:
    if not report.open_joins:
        return "no open joins"
    return f"{count(report.open_joins, 'open join')}, the oldest {ago(report.open_since_us)}"


def _permitted(permitted: Permitted) -> Iterator[str]:
    extras = f"; optional: {', '.join(permitted.optional)}" if permitted.optional else ""
    yield f"**Permissions missing**: {', '.join(permitted.missing) or 'none'}{extras}"
    if permitted.unproving:
        yield f"**Without {' and '.join(permitted.unproving)}** {WITHOUT_AUDIT_LOG}"
    unheard = permitted.unheard
    if unheard:
        named = ", ".join(channel(each) for each in unheard[:MAX_CHANNELS])
        more = f" and {len(unheard) - MAX_CHANNELS:,} more" if len(unheard) > MAX_CHANNELS else ""
        where = count(len(unheard), "channel")
        yield f"**Without Manage Channels**: {where} ({named}{more}); Discord does not tell of invites made there"


def _standing(standing: Standing) -> Iterator[str]:
    yield f"**Layers**: {'; '.join(_layer(each) for each in standing.layers) or 'none'}"
    yield f"**Last recovery**: {_restored(standing)}; at the start {plain(standing.leader) or 'no layer'} won"
    control, members, rest = standing.mailbox.waiting
    waiting = f"{control:,} control, {members:,} members, {rest:,} other waiting"
    lost = f"{standing.mailbox.dropped:,} dropped, {standing.mailbox.dead:,} dead"
    yield f"**Mailbox**: {waiting}; {lost}; **restarts**: {standing.restarts:,}"


def _restored(standing: Standing) -> str:
    if not standing.restored_from:
        return "no records were there"
    replayed = count(standing.replayed, "record")
    return f"from {plain(standing.restored_from)} at record {standing.restored_seq:,}, {replayed} replayed"


def _layer(layer: LayerStanding) -> str:
    at = f"{plain(layer.name)} at record {layer.seq:,}" if layer.seq >= 0 else plain(layer.name)
    lag = f", {count(layer.behind, 'record')} behind" if layer.behind else ""
    return f"{at}{lag}, broken: {brief(layer.error)}" if layer.error else f"{at}{lag}"


def _interrupted(report: GuildReport, me: Me) -> Iterator[str]:
    """Invites that a crash left between Discord and their assignment; younger ones may still be in the making."""
    left = [each for each in report.bots if each.bot == me.user and me.now_us - each.made_us > MAKING_US]
    if left:
        named = ", ".join(f"{code(each.code)} (made {ago(each.made_us)})" for each in left[:MAX_CODES])
        more = f" and {len(left) - MAX_CODES:,} more" if len(left) > MAX_CODES else ""
        yield f"**{count(len(left), 'invite')} of mine that nobody is credited for**: {named}{more}"
        yield (
            "-# I was stopped after Discord had made them, and before I had written down whose they are. So whoever "
            "joins with one counts for nobody, and one that was meant for a single person may let in anybody. "
            "Delete them in Server Settings, Invites, or give each to somebody with `/setup_staff_invite`."
        )


def _unclaimed(report: GuildReport) -> Iterator[str]:
    yield f"**Unclaimed**: {count(sum(report.unclaimed.values()), 'use')} that no join explains"
    for name, uses in report.unclaimed.items():
        yield f"{code(name, report.labels.get(name, ''))}: {count(uses, 'use')} no join explains"
