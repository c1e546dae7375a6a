"""Interaction payloads as Discord makes them: a slash command with typed options, a click on a component.

Pure: what is registered, who asks and where come in; whether anybody answers is `interactions`' business.
"""

from collections.abc import Mapping
from typing import Final, cast

from sandbox import payloads
from sandbox.answers import Message
from sandbox.models import Guild, User
from sandbox.wire import JsonObject, as_int, as_list, as_object

SUBCOMMANDS: Final = (1, 2)
USER, CHANNEL, ROLE, MENTIONABLE = 6, 7, 8, 9
STRING, INTEGER, BOOLEAN, NUMBER = 3, 4, 5, 10
TYPES: Final[dict[int, tuple[type, ...]]] = {
    STRING: (str,),
    INTEGER: (int,),
    BOOLEAN: (bool,),
    NUMBER: (int, float),
    USER: (int, str),
    CHANNEL: (int, str),
    ROLE: (int, str),
    MENTIONABLE: (int, str),
}

Option = str | int | float | bool | User
Options = Mapping[str, Option]


def envelope(guild: Guild, user: User, bot: User, interaction_id: int, token: str) -> JsonObject:
    """What every interaction in a guild carries."""
    permissions = str(int(guild.permissions(user)))
    app_permissions = str(int(guild.permissions(bot)))
    return {
        "id": str(interaction_id),
        "application_id": str(bot.id),
        "token": token,
        "version": 1,
        "guild_id": str(guild.id),
        "guild": {"id": str(guild.id), "locale": "en-US", "features": list(guild.features)},
        "channel_id": str(guild.channel.id),
        "channel": payloads.channel(guild, guild.channel) | {"permissions": permissions},
        "member": payloads.member(guild.members[user.id]) | {"permissions": permissions},
        "app_permissions": app_permissions,
        "locale": "en-US",
        "guild_locale": "en-US",
        "entitlements": [],
        "entitlement_sku_ids": [],
        "authorizing_integration_owners": {"0": str(guild.id)},
        "context": 0,
        "attachment_size_limit": 10_485_760,
    }


def command_data(
    guild: Guild, command: JsonObject, path: list[str], options: Options, users: Mapping[int, User]
) -> JsonObject:
    """`data` of an application command. `path` names subcommands.

    Raises:
        ValueError: for what Discord's client would not let a user send.
    """
    definitions = _definitions(command, path)
    values = [_option(definitions, name, value) for name, value in options.items()]
    missing = [name for name, one in definitions.items() if one.get("required") and name not in options]
    if missing:
        raise ValueError(f"/{command['name']} needs {', '.join(missing)}")
    data: JsonObject = {"id": command["id"], "name": command["name"], "type": command["type"]}
    data |= {"guild_id": command["guild_id"]} if "guild_id" in command else {}
    data |= {"options": _wrap(path, values)} if path or values else {}
    resolved = _resolved(guild, values, users)
    return data | ({"resolved": resolved} if resolved else {})


def typing_data(command: JsonObject, path: list[str], options: Options, focused: str) -> JsonObject:
    """`data` of an autocompletion: what is filled in so far, the option in hand marked; nothing is required yet.

    Ids come without what they stand for: Discord does not resolve them here (discord.py, `Namespace`).

    Raises:
        ValueError: when that option is not completed by the bot.
    """
    definitions = _definitions(command, path)
    if not definitions.get(focused, {}).get("autocomplete"):
        raise ValueError(f"/{command['name']} completes no option {focused}")
    values = [_option(definitions, name, value) for name, value in options.items()]
    marked: list[JsonObject] = [one | {"focused": True} if one["name"] == focused else one for one in values]
    data: JsonObject = {"id": command["id"], "name": command["name"], "type": command["type"]}
    return data | {"options": _wrap(path, marked)}


BUTTON, STRING_SELECT = 2, 3
PICKED: Final = {5: USER, 6: ROLE, 7: MENTIONABLE, 8: CHANNEL}
"""What is picked in a select of that component type."""


def click_data(
    guild: Guild, message: Message, component: JsonObject, values: list[str], users: Mapping[int, User]
) -> JsonObject:
    """`data` of a click on a component, with what `values` stand for.

    Raises:
        ValueError: for what Discord's client would not let a user do.
    """
    kind = as_int(component["type"])
    _check_click(component, kind, values)
    data: JsonObject = {"custom_id": component["custom_id"], "component_type": kind}
    data |= {"id": as_int(component.get("id"), message.id & 0xFFFF)}
    if kind == BUTTON:
        return data
    picked: list[JsonObject] = [{"type": PICKED.get(kind, STRING), "value": value} for value in values]
    resolved = _resolved(guild, picked, users)
    return data | {"values": values} | ({"resolved": resolved} if resolved else {})


def _check_click(component: JsonObject, kind: int, values: list[str]) -> None:
    if component.get("disabled"):
        raise ValueError(f"{component['custom_id']} is disabled")
    if kind == BUTTON:
        return
    least, most = as_int(component.get("min_values"), 1), as_int(component.get("max_values"), 1)
    if not least <= len(values) <= most:
        raise ValueError(f"{len(values)} values, {least} to {most} may be picked")
    offered = [as_object(each).get("value") for each in as_list(component.get("options"))]
    if kind == STRING_SELECT and not set(values) <= set(offered):
        raise ValueError(f"only {offered} can be picked")


def _definitions(command: JsonObject, path: list[str]) -> dict[str, JsonObject]:
    options = _by_name(command)
    for name in path:
        if name not in options or options[name]["type"] not in SUBCOMMANDS:
            raise ValueError(f"/{command['name']} has no subcommand {name}")
        options = _by_name(options[name])
    if any(one["type"] in SUBCOMMANDS for one in options.values()):
        raise ValueError(f"/{command['name']} {' '.join(path)} wants one of {', '.join(options)}")
    return options


def _by_name(parent: JsonObject) -> dict[str, JsonObject]:
    options = [as_object(each) for each in as_list(parent.get("options"))]
    return {str(option["name"]): option for option in options}


def _option(definitions: Mapping[str, JsonObject], name: str, value: Option) -> JsonObject:
    definition = definitions.get(name)
    if definition is None:
        raise ValueError(f"no option {name}; there are {', '.join(definitions) or 'none'}")
    kind = as_int(definition["type"])
    raw = value.id if isinstance(value, User) else value
    _check(definition, kind, name, raw)
    return {"name": name, "type": kind, "value": str(raw) if kind in (USER, CHANNEL, ROLE, MENTIONABLE) else raw}


def _check(definition: JsonObject, kind: int, name: str, raw: object) -> None:
    wrong_bool = isinstance(raw, bool) and kind != BOOLEAN
    if wrong_bool or not isinstance(raw, TYPES.get(kind, (object,))):
        raise ValueError(f"option {name} is of type {kind}, {raw!r} does not fit")
    choices = [as_object(each).get("value") for each in as_list(definition.get("choices"))]
    if choices and raw not in choices:
        raise ValueError(f"option {name} is one of {choices}")


def _wrap(path: list[str], values: list[JsonObject]) -> list[JsonObject]:
    """Options inside their subcommand (type 1), inside its group (type 2)."""
    wrapped = values
    for depth, name in enumerate(reversed(path), start=1):
        group: JsonObject = {"name": name, "type": depth, "options": wrapped}
        wrapped = [group]
    return wrapped


def _resolved(guild: Guild, values: list[JsonObject], users: Mapping[int, User]) -> JsonObject:
    found: dict[str, dict[str, JsonObject]] = {}
    for option in values:
        for part, payload in _resolve(guild, as_int(option["type"]), as_int(option["value"]), users).items():
            found.setdefault(part, {})[str(option["value"])] = payload
    return cast("JsonObject", found)


def _resolve(guild: Guild, kind: int, number: int, users: Mapping[int, User]) -> dict[str, JsonObject]:
    if kind == CHANNEL:
        place = next((channel for channel in guild.channels if channel.id == number), None)
        if place is None:
            raise ValueError(f"no channel {number}")
        return {"channels": payloads.channel(guild, place) | {"permissions": "0"}}
    if kind in (ROLE, MENTIONABLE) and number in guild.roles:
        return {"roles": payloads.role(guild.roles[number])}
    if kind == ROLE:
        raise ValueError(f"no role {number}")
    if kind not in (USER, MENTIONABLE):
        return {}
    return _resolved_user(guild, number, users)


def _resolved_user(guild: Guild, user_id: int, users: Mapping[int, User]) -> dict[str, JsonObject]:
    """A user who has left is resolved without a member."""
    user, member = users.get(user_id), guild.members.get(user_id)
    if user is None:
        raise ValueError(f"no user {user_id}")
    found = {"users": payloads.user(user)}
    if member is not None:
        permissions = {"permissions": str(int(guild.permissions(user)))}
        found["members"] = payloads.bare_member(member) | permissions
    return found
