"""What staff are called: asked of Discord, kept in the lists' table of names, told where it changed.

Ids are what counts; names are for reading and may be anything people think of. They are cleaned before they are kept
(``clean``): one line, no invisible tricks. Who is gone keeps the name of before.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from actors.gateway.failures import Failure, Unavailable, explain
from actors.gateway.rest import Rest
from actors.gateway.wording import brief, count, fit, person, shown, visible
from actors.standing import Inside
from ledger.answers import CodeReport
from ledger.errors import LedgerError
from ledger.ids import GuildId, UserId, is_tombstone
from persistence.lists import MAX_NAME_CHARACTERS, MAX_NAMES, Lists

MAX_STAFF_A_RUN: Final = 300
"""At one request after the other about half a minute; an interaction lives 15."""
RUN_S: Final = 600.0
"""For all requests of a run: each may take as long as its deadline, or as Discord has all of us wait."""
MAX_FAILURES_IN_A_ROW: Final = 3
"""Then Discord is not asked any further: each may take as long as its deadline."""
NOT_FOUND: Final = 404


class Names:
    """What Discord said, as it is said."""

    def __init__(self) -> None:
        self.found: dict[UserId, str] = {}
        self.gone: list[UserId] = []
        self.failures: list[Failure] = []
        self.failures_in_a_row = 0
        self.cut_short = False

    @property
    def asked(self) -> int:
        return len(self.found) + len(self.gone) + len(self.failures)

    def note(self, user: UserId, answer: str | Failure) -> None:
        """A name, an account that is no more, or no answer."""
        if isinstance(answer, str):
            self.found[user] = answer
        elif _is_unknown(answer):
            self.gone.append(user)
        else:
            self.failures.append(answer)
            self.failures_in_a_row += 1
            return
        self.failures_in_a_row = 0


def staff_of(codes: Iterable[CodeReport]) -> Sequence[UserId]:
    """Everybody an invite is or was assigned to, the newest assignment first; nobody who was forgotten."""
    assignments = sorted((each for code in codes for each in code.assignments), key=lambda each: -each.version)
    return tuple(dict.fromkeys(each.staff for each in assignments if not is_tombstone(each.staff)))


def clean(name: str) -> str:
    """A name on one line, without what cannot be seen or written down; may come out empty."""
    return " ".join(visible(name).split())[:MAX_NAME_CHARACTERS]


class People:
    """Refreshes names.

    Args:
        rest: who is asked for them.
        inside: where they are kept.
    """

    def __init__(self, rest: Rest, inside: Inside) -> None:
        self._rest = rest
        self._inside = inside

    async def refresh(self, guild: GuildId, staff: Sequence[UserId]) -> str:
        """Asks for names, of those first whose name is not known, keeps them, and says what changed."""
        try:
            known = await self._known(guild, staff[:MAX_NAMES])
            wanted = sorted(staff, key=lambda user: user in known)
            names = await self._ask(guild, wanted)
            changed = {user: name for user, name in names.found.items() if known.get(user) != name}
            if changed:
                await self._inside.read(lambda lists: lists.put_names(guild, changed))
        except LedgerError as error:
            return f"The names could not be read or kept ({brief(str(error))}). Please try again in a moment."
        return told(names, known, len(staff) - names.asked)

    async def forget(self, guild: GuildId, users: Collection[UserId]) -> None:
        """Deletes names that came back while they were forgotten, as far as the database can be written now."""
        with suppress(LedgerError):
            for user in users:
                await self._inside.read(partial(_forget, guild, user))

    async def _known(self, guild: GuildId, users: Sequence[UserId]) -> Mapping[UserId, str]:
        return await self._inside.read(lambda lists: lists.names(guild, users))

    async def _ask(self, guild: GuildId, staff: Sequence[UserId]) -> Names:
        names = Names()
        try:
            async with asyncio.timeout(RUN_S):
                await self._ask_each(guild, staff[:MAX_STAFF_A_RUN], names)
        except TimeoutError:
            names.cut_short = True
        return names

    async def _ask_each(self, guild: GuildId, staff: Sequence[UserId], names: Names) -> None:
        for user in staff:
            if names.failures_in_a_row == MAX_FAILURES_IN_A_ROW:
                break
            names.note(user, await self._name(guild, user))

    async def _name(self, guild: GuildId, user: UserId) -> str | Failure:
        """As a member, else (who left) as a user."""
        answer = await self._rest.member_name(guild, user)
        if not isinstance(answer, str) and _is_unknown(answer):
            answer = await self._rest.user_name(user)
        return clean(answer) or f"user {user}" if isinstance(answer, str) else answer


async def _forget(guild: GuildId, user: UserId, lists: Lists) -> int:
    return await lists.forget_names(guild, user)


def told(names: Names, known: Mapping[UserId, str], unasked: int) -> str:
    """What changed, in words; ``known``: the names of before."""
    renamed = [user for user, name in names.found.items() if known.get(user, name) != name]
    new = [user for user in names.found if user not in known]
    unchanged = len(names.found) - len(renamed) - len(new)
    lines = [f"{count(len(renamed), 'name')} changed, {len(new):,} new, {unchanged:,} unchanged."]
    if names.failures:
        lines.append(f"{count(len(names.failures), 'name')} could not be read. {explain(names.failures[-1])}")
    if names.cut_short:
        lines.append(f"Discord is slow: I stopped after {RUN_S / 60:g} minutes, and keep what I have.")
    if unasked:
        lines.append(f"{count(unasked, 'person', 'people')} not asked for this time.")
    lines += [f"{person(user)}: {shown(known[user])} → {shown(names.found[user])}" for user in renamed]
    lines += [f"{person(user)}: {shown(names.found[user])} (new)" for user in new]
    lines += [f"{person(user)}: this account is gone; the last name is kept" for user in names.gone]
    return fit(lines)


def _is_unknown(failure: Failure) -> bool:
    return isinstance(failure, Unavailable) and failure.status == NOT_FOUND
