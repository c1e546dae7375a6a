"""/settings and /vip_role: what the owner of a server decides, in words, and how it is changed.

What is changed holds from then on; what was credited before stays.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import msgspec

from actors.gateway.asking import PATIENT_S, ask_settings
from actors.gateway.render import render
from actors.gateway.wording import fit, shown
from actors.roster import Roster
from ledger import messages as m
from ledger.answers import SettingsReport
from ledger.ids import GuildId, InteractionId, RoleId, UserId
from ledger.records import Settings

MAX_VIP_ROLES: Final = 25
MEANING: Final[Mapping[str, str]] = {
    "credit_reported": "joins that only Discord's member search explains are credited",
    "credit_backfill": "so are members who joined before I began to count, where it names their invite",
    "credit_rejoins": "members who come back are credited again",
    "credit_self": "people who join with their own invite are credited",
    "vip_once": "an upgrade to VIP is credited once for life, or once a membership",
    "young_days": "accounts younger than so many days when they join are marked; 0 = none",
}
"""What can be changed with /settings, and what it means. A test says that none is missing."""
ELSEWHERE: Final = frozenset({"vip_roles", "log_channel", "templates"})
"""What has a command of its own."""
FROM_NOW: Final = "-# This holds from now on; what was credited before stays."
UNCHANGED: Final = "It was so already; nothing was changed."


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed: other values by field. ``interaction``: twice is once."""

    interaction: InteractionId
    guild: GuildId
    by: UserId
    values: Mapping[str, object]


class VipWish(msgspec.Struct, frozen=True, kw_only=True):
    """A role that is to make a VIP (``add``) or not any more. ``role`` None: only what is gone goes.

    ``known``: the server's roles, so that deleted ones go with any change; ``remark``: what is to be said of it.
    """

    interaction: InteractionId
    guild: GuildId
    by: UserId
    role: RoleId | None
    add: bool
    known: Collection[RoleId]
    remark: str = ""


class Rulings:
    """The commands' work.

    Args:
        roster: guild actors, who keep the settings.
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def show(self, guild: GuildId, known: Collection[RoleId]) -> str:
        """All settings with their meaning; ``known``: the server's roles."""
        settings = await ask_settings(self._roster, guild)
        return settings if isinstance(settings, str) else fit([*setting_lines(settings, known)])

    async def change(self, change: Change) -> str:
        """Other values from now on, and what they were before."""
        settings = msgspec.structs.replace(Settings(), **change.values)
        report = await self._ask(
            change.guild,
            m.ChangeSettings(
                interaction=change.interaction, by=change.by, settings=settings, fields=tuple(change.values)
            ),
        )
        if isinstance(report, str):
            return report
        lines = [*changed_lines(report.before or report.settings, report.settings)]
        return fit([*lines, FROM_NOW]) if lines else UNCHANGED

    async def vip_roles(self, guild: GuildId, known: Collection[RoleId]) -> str:
        """Which roles make a VIP; which of them are gone."""
        settings = await ask_settings(self._roster, guild)
        if isinstance(settings, str):
            return settings
        if not settings.vip_roles:
            return "No role makes a VIP here. Name one with `/vip_role add`."
        return fit(
            ["Whoever gains one of these roles is a VIP:", *(_role_line(each, known) for each in settings.vip_roles)]
        )

    async def set_vip(self, wish: VipWish) -> str:
        """One role more or less, and none of those that are deleted."""
        settings = await ask_settings(self._roster, wish.guild)
        if isinstance(settings, str):
            return settings
        known = settings.vip_roles
        come = (wish.role,) if wish.add and wish.role and wish.role not in known else ()
        gone = tuple(role for role in known if _goes(role, wish))
        if len(known) + len(come) - len(gone) > MAX_VIP_ROLES:
            return f"At most {MAX_VIP_ROLES} roles can make a VIP: remove one first. Nothing was changed."
        if not come and not gone:
            return _same(wish)
        report = await self._ask(
            wish.guild, m.ChangeSettings(interaction=wish.interaction, by=wish.by, vips=come, no_vips=gone)
        )
        if isinstance(report, str):
            return report
        return fit([*_vip_lines(wish, known, report.settings)])

    async def _ask(self, guild: GuildId, message: m.ChangeSettings) -> SettingsReport | str:
        outcome = await self._roster.ask(guild, message, PATIENT_S)
        return outcome.answer if isinstance(outcome.answer, SettingsReport) else render(outcome)


def setting_lines(settings: Settings, known: Collection[RoleId]) -> Iterator[str]:
    """Each setting, its value and its meaning."""
    yield "### Settings of this server"
    for field, meaning in MEANING.items():
        yield f"`{field}`: **{_value(getattr(settings, field))}** ({meaning})"
    gone = frozenset(settings.vip_roles).difference(known) if known else ()
    roles = [f"`{each}` (deleted)" if each in gone else f"<@&{each}>" for each in settings.vip_roles]
    yield f"VIP roles: {', '.join(roles) or 'none'} (`/vip_role`)"
    channel = f"<#{settings.log_channel}>" if settings.log_channel else "none"
    yield f"Log channel: {channel} (`/log_channel`)"
    yield "-# Change one by naming it: `/settings young_days:14`."


def changed_lines(before: Settings, after: Settings) -> Iterator[str]:
    """What is another now."""
    for field, meaning in MEANING.items():
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            yield f"`{field}`: {_value(old)} → **{_value(new)}** ({meaning})"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shown(str(value))


def _goes(role: RoleId, wish: VipWish) -> bool:
    if role == wish.role:
        return not wish.add
    return bool(wish.known) and role not in wish.known


def _same(wish: VipWish) -> str:
    if wish.role is None:
        return "None of the VIP roles is deleted; nothing was changed. To remove one, name it."
    if wish.add:
        return f"<@&{wish.role}> makes a VIP already; nothing was changed."
    return f"<@&{wish.role}> makes nobody a VIP, so nothing was changed."


def _vip_lines(wish: VipWish, before: Collection[RoleId], settings: Settings) -> Iterator[str]:
    if wish.role and wish.add and wish.role not in before:
        once = "once for life" if settings.vip_once == "life" else "once a membership"
        yield (
            f"From now on, who gains <@&{wish.role}> is a VIP, and that is credited {once} to whoever the join "
            "counts for. I look through the member list now: who has the role already counts as of now."
        )
        if wish.remark:
            yield wish.remark
    elif wish.role and not wish.add and wish.role in before:
        yield f"<@&{wish.role}> makes nobody a VIP any more. What was credited stays."
    gone = [each for each in before if each not in settings.vip_roles and each != wish.role]
    if gone:
        yield f"Removed, since deleted: {', '.join(f'`{each}`' for each in gone)}."


def _role_line(role: RoleId, known: Collection[RoleId]) -> str:
    if known and role not in known:
        return f"`{role}`: this role is deleted, so nobody gains it. `/vip_role remove` without a role clears it."
    return f"<@&{role}>"
