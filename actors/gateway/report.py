"""/debug_invites in words: what the guild's actor knows of itself, and what the process knows of the guild. Pure."""

from collections.abc import Iterator
from typing import Final

import msgspec

from actors.asks import Answered, Outcome
from actors.gateway.render import NOT_DURABLE, because, render
from actors.gateway.wording import ago, brief, channel, code, count, fit, moment, plain
from actors.standing import LayerStanding, Standing
from ledger import messages as m
from ledger.ids import ChannelId

MAX_CHANNELS: Final = 5
"""So many are named."""


class Permitted(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot may not: permissions in people's words, and channels in which it lacks Manage Channels."""

    missing: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    unheard: tuple[ChannelId, ...] = ()


def describe(outcome: Outcome[m.Answer], standing: Standing | None, permitted: Permitted) -> str:
    """Everything that is known; a guild whose actor does not answer is described from outside."""
    lines: list[str] = []
    if isinstance(outcome.answer, m.GuildReport):
        lines += _guild(outcome.answer)
    else:
        lines.append(render(outcome))
        lines += [f"**State**: {standing.phase}"] if standing else []
    lines += _permitted(permitted)
    if standing is not None:
        lines += _standing(standing)
    if outcome.kind is Answered.DEGRADED:
        lines.append(NOT_DURABLE)
    if isinstance(outcome.answer, m.GuildReport):
        lines += _unclaimed(outcome.answer)
    return fit(lines)


def _guild(report: m.GuildReport) -> Iterator[str]:
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


def _window(report: m.GuildReport) -> str:
    if not report.open_joins:
        return "no open joins"
    return f"{count(report.open_joins, 'open join')}, the oldest {ago(report.open_since_us)}"


def _permitted(permitted: Permitted) -> Iterator[str]:
    extras = f"; optional: {', '.join(permitted.optional)}" if permitted.optional else ""
    yield f"**Permissions missing**: {', '.join(permitted.missing) or 'none'}{extras}"
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


def _unclaimed(report: m.GuildReport) -> Iterator[str]:
    yield f"**Unclaimed**: {count(sum(report.unclaimed.values()), 'use')} that no join explains"
    for name, uses in report.unclaimed.items():
        yield f"{code(name)}: {count(uses, 'use')} no join explains"
