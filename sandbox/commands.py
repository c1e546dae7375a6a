"""Application commands: the registered definitions, global and by guild, and their REST routes."""

from typing import Final

from sandbox.definitions import CHAT_INPUT, MAX_COMMANDS, wrong_in_command
from sandbox.edge import Call, DiscordError, Route, invalid_form
from sandbox.models import Permission
from sandbox.wire import JsonObject, as_int, as_object
from sandbox.world import World

UNKNOWN_COMMAND: Final = (404, 10063, "Unknown application command")
TOO_MANY_COMMANDS: Final = (400, 30032, "Maximum number of application commands reached (100).")


class Commands:
    """The definitions by scope (a guild's id, or None: global), as Discord would give them back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_scope: dict[int | None, dict[int, JsonObject]] = {}

    def of(self, scope: int | None) -> list[JsonObject]:
        return list(self._by_scope.get(scope, {}).values())

    def find(self, guild_id: int, name: str, kind: int = CHAT_INPUT) -> JsonObject | None:
        """The command a user of that guild meets under the name; the guild's own goes first."""
        for command in [*self.of(guild_id), *self.of(None)]:
            if command["name"] == name and command["type"] == kind:
                return command
        return None

    def replace(self, scope: int | None, definitions: list[JsonObject]) -> list[JsonObject]:
        """Bulk overwrite: what is not named is gone; what keeps its name keeps its id."""
        for index, definition in enumerate(definitions):
            _require_right(definition, f"{index}.")
        if len(definitions) > MAX_COMMANDS:
            raise DiscordError(*TOO_MANY_COMMANDS, kind="rest.invalid_form")
        old = self._by_scope.get(scope, {})
        self._by_scope[scope] = {}
        for definition in definitions:
            self.put(scope, definition, old)
        return self.of(scope)

    def put(
        self, scope: int | None, definition: JsonObject, known: dict[int, JsonObject] | None = None
    ) -> JsonObject:
        """Register one; the same name and type takes the old one's place."""
        earlier = self._by_scope.setdefault(scope, {}) if known is None else known
        key = _key(definition)
        same = next((number for number, command in earlier.items() if _key(command) == key), None)
        command_id = same or self._world.ids.snowflake()
        command = self._complete(scope, command_id, definition)
        self._by_scope[scope][command_id] = command
        return command

    def change(self, scope: int | None, command_id: int, fields: JsonObject) -> JsonObject:
        command = self.get(scope, command_id)
        command |= fields | {"version": str(self._world.ids.snowflake())}
        return command

    def get(self, scope: int | None, command_id: int) -> JsonObject:
        command = self._by_scope.get(scope, {}).get(command_id)
        if command is None:
            raise DiscordError(*UNKNOWN_COMMAND)
        return command

    def delete(self, scope: int | None, command_id: int) -> None:
        self.get(scope, command_id)
        del self._by_scope[scope][command_id]

    def _complete(self, scope: int | None, command_id: int, definition: JsonObject) -> JsonObject:
        command: JsonObject = {
            "type": CHAT_INPUT,
            "description": "",
            "options": [],
            "default_member_permissions": None,
            "dm_permission": True,
            "contexts": None,
            "integration_types": [0],
            "nsfw": False,
            "name_localizations": None,
            "description_localizations": None,
        }
        command |= definition
        command |= {"id": str(command_id), "application_id": str(self._world.bot.id)}
        command |= {"version": str(self._world.ids.snowflake())}
        return command | ({"guild_id": str(scope)} if scope else {})


class CommandRoutes:
    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def routes(self) -> list[Route]:
        everywhere = "/applications/{app}"
        return [
            route
            for base in (f"{everywhere}/commands", f"{everywhere}/guilds/{{guild}}/commands")
            for route in self._routes_under(base)
        ]

    def _routes_under(self, base: str) -> list[Route]:
        return [
            Route("GET", base, "commands", self._list),
            Route("PUT", base, "commands", self._replace),
            Route("POST", base, "commands", self._put),
            Route("GET", base + "/{command}", "commands", self._get),
            Route("PATCH", base + "/{command}", "commands", self._change),
            Route("DELETE", base + "/{command}", "commands", self._delete),
        ]

    async def _list(self, call: Call) -> list[JsonObject]:
        return self._commands.of(_scope(call))

    async def _replace(self, call: Call) -> list[JsonObject]:
        wishes = call.body if isinstance(call.body, list) else []
        return self._commands.replace(_scope(call), [as_object(each) for each in wishes])

    async def _put(self, call: Call) -> JsonObject:
        _require_right(call.fields)
        return self._commands.put(_scope(call), call.fields)

    async def _get(self, call: Call) -> JsonObject:
        return self._commands.get(_scope(call), call.id("command"))

    async def _change(self, call: Call) -> JsonObject:
        known = self._commands.get(_scope(call), call.id("command"))
        _require_right(known | call.fields)
        return self._commands.change(_scope(call), call.id("command"), call.fields)

    async def _delete(self, call: Call) -> None:
        self._commands.delete(_scope(call), call.id("command"))


def may_use(command: JsonObject, permissions: Permission) -> bool:
    """What Discord's client checks before it offers a command: `default_member_permissions`."""
    needed = command.get("default_member_permissions")
    if needed is None:
        return True
    wanted = Permission(as_int(needed))
    return Permission.ADMINISTRATOR in permissions or (bool(wanted) and wanted in permissions)


def _require_right(definition: JsonObject, at: str = "") -> None:
    for field, words in wrong_in_command(definition):
        raise invalid_form(f"{at}{field}", "BASE_TYPE_BAD_VALUE", words)


def _scope(call: Call) -> int | None:
    return call.id("guild") or None


def _key(definition: JsonObject) -> tuple[object, object]:
    return definition.get("type", CHAT_INPUT), definition.get("name")
