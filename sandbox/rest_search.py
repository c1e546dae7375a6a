"""REST: members-search, which tells by which way each member came in. Undocumented; as its users describe it.

Body: `limit` (1 to 1,000), `sort` (1, 2: by the time of joining, newest or oldest first; 3, 4: by id, highest or
lowest first), `or_query.user_id.or_query` (1 to 10 ids), `before` and `after` ({guild_joined_at in ms, user_id}).
Other filters of Discord's are refused here: nobody asks by them.
"""

from collections.abc import Iterable
from typing import Final

from sandbox import payloads
from sandbox.edge import Call, Route, invalid_form
from sandbox.faults import Bend, Faults
from sandbox.models import Guild, Member, Permission
from sandbox.rest import PAGE, require_guild
from sandbox.wire import JsonObject, as_int, as_list, as_object
from sandbox.world import World

DEFAULT_LIMIT: Final = 25
MAX_VALUES: Final = 10
BY_TIME: Final = (1, 2)
DESCENDING: Final = (1, 3)
SORTS: Final = (1, 2, 3, 4)

Place = tuple[int, int]
"""Of a member in the order of the answer."""


class SearchRoutes:
    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    def routes(self) -> list[Route]:
        return [Route("POST", "/guilds/{guild}/members-search", "search", self._search)]

    async def _search(self, call: Call) -> JsonObject:
        asked = require_guild(self._world, call.id("guild"), Permission.MANAGE_GUILD)
        limit, ids = _limit(call.fields), _ids(call.fields)
        bend = call.fault.bend
        guild = self._another(asked) if bend is Bend.ELSEWHERE else asked
        indexed = self._indexed(guild, past=bend is Bend.STALE)
        if bend is Bend.OTHERS:
            wanted = [member for member in indexed if member.user.id not in ids]
        else:
            wanted = [member for member in indexed if not ids or member.user.id in ids or guild is not asked]
        rows = [payloads.found_member(member) for member in _ordered(wanted, call.fields)]
        page = rows[:limit]
        counts = {"page_result_count": len(page), "total_result_count": len(rows)}
        return {"guild_id": str(guild.id), "members": page, **counts}

    def _indexed(self, guild: Guild, *, past: bool) -> list[Member]:
        """Who is in the index: nobody who came just now; `past`: of who came again the membership before."""
        until_us = self._world.clock.now_us() - self._faults.search_lag_us
        there = [member for member in guild.members.values() if member.joined_at_us <= until_us]
        return [guild.past.get(member.user.id, member) for member in there] if past else there

    def _another(self, guild: Guild) -> Guild:
        return next(each for each in self._world.guilds.values() if each is not guild)


def _limit(wish: JsonObject) -> int:
    limit = as_int(wish.get("limit"), DEFAULT_LIMIT)
    if not 1 <= limit <= PAGE:
        raise invalid_form("limit", "NUMBER_TYPE_MAX", f"int value should be between 1 and {PAGE}.")
    return limit


def _ids(wish: JsonObject) -> set[int]:
    """The members asked for; none: all."""
    if "and_query" in wish or set(as_object(wish.get("or_query"))) - {"user_id"}:
        raise invalid_form("or_query", "SANDBOX", "The sandbox knows or_query.user_id alone.")
    if "or_query" not in wish:
        return set()
    values = as_list(as_object(as_object(wish.get("or_query")).get("user_id")).get("or_query"))
    if not 1 <= len(values) <= MAX_VALUES:
        raise invalid_form("or_query.user_id.or_query", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 10 in length.")
    return {as_int(value) for value in values}


def _ordered(members: Iterable[Member], wish: JsonObject) -> list[Member]:
    """Sorted as asked for, between the cursors."""
    sort = as_int(wish.get("sort"), 1)
    if sort not in SORTS:
        raise invalid_form("sort", "BASE_TYPE_CHOICES", f"Value must be one of {SORTS}.")
    after, before = _cursor(wish, "after", sort), _cursor(wish, "before", sort)
    placed = sorted(((_place(sort, _ms(each), each.user.id), each) for each in members), key=lambda pair: pair[0])
    return [
        member for place, member in placed if (after is None or place > after) and (before is None or place < before)
    ]


def _cursor(wish: JsonObject, name: str, sort: int) -> Place | None:
    if name not in wish:
        return None
    cursor = as_object(wish[name])
    for field in ("guild_joined_at", "user_id"):
        if field not in cursor:
            raise invalid_form(f"{name}.{field}", "BASE_TYPE_REQUIRED", "This field is required")
    return _place(sort, as_int(cursor["guild_joined_at"]), as_int(cursor["user_id"]))


def _place(sort: int, joined_ms: int, user_id: int) -> Place:
    first = joined_ms if sort in BY_TIME else user_id
    return (-first if sort in DESCENDING else first, user_id)


def _ms(member: Member) -> int:
    return member.joined_at_us // 1_000
