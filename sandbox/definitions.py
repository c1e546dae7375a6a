"""Discord's limits on a command's definition; what breaks one is refused with 400, code 50035.

Pure: a definition goes in, what is wrong comes out as (field, words). Source: the API reference, "Application
Commands", 2026-08.
"""

import re
from collections.abc import Iterator
from typing import Final

from sandbox.wire import JsonObject, as_list, as_object

CHAT_INPUT: Final = 1
SUBCOMMAND, SUBCOMMAND_GROUP = 1, 2
MAX_COMMANDS: Final = 100
MAX_NAME: Final = 32
MAX_DESCRIPTION: Final = 100
MAX_OPTIONS: Final = 25
MAX_CHOICES: Final = 25
MAX_CHOICE: Final = 100
MAX_TEXT: Final = 8_000
NAME: Final = re.compile(r"[-_'\w]{1,32}")

Wrong = tuple[str, str]


def wrong_in_command(definition: JsonObject) -> Iterator[Wrong]:
    """What Discord would refuse in it."""
    if definition.get("type", CHAT_INPUT) != CHAT_INPUT:
        yield from _length("name", definition.get("name"), MAX_NAME)
        return
    yield from _wrong_node(definition, "")
    if _text_size(definition) > MAX_TEXT:
        yield "name", f"more than {MAX_TEXT} characters in all names, descriptions and values"


def _wrong_node(node: JsonObject, at: str) -> Iterator[Wrong]:
    """A command, or an option of one."""
    name = str(node.get("name") or "")
    if not NAME.fullmatch(name) or name != name.lower():
        yield f"{at}name", f"{name!r} is no lower-case name of 1 to {MAX_NAME} letters"
    yield from _length(f"{at}description", node.get("description"), MAX_DESCRIPTION)
    yield from _wrong_options(node, at)
    yield from _wrong_choices(node, at)


def _wrong_options(node: JsonObject, at: str) -> Iterator[Wrong]:
    options = [as_object(each) for each in as_list(node.get("options"))]
    names = [option.get("name") for option in options]
    if len(options) > MAX_OPTIONS:
        yield f"{at}options", f"{len(options)} options, {MAX_OPTIONS} are allowed"
    if len(set(names)) < len(names):
        yield f"{at}options", "names are not unique"
    required = [bool(option.get("required")) for option in options]
    if required != sorted(required, reverse=True):
        yield f"{at}options", "required options come first"
    for index, option in enumerate(options):
        yield from _wrong_node(option, f"{at}options.{index}.")


def _wrong_choices(node: JsonObject, at: str) -> Iterator[Wrong]:
    choices = [as_object(each) for each in as_list(node.get("choices"))]
    if len(choices) > MAX_CHOICES:
        yield f"{at}choices", f"{len(choices)} choices, {MAX_CHOICES} are allowed"
    if choices and node.get("autocomplete"):
        yield f"{at}autocomplete", "choices and autocomplete exclude each other"
    for index, choice in enumerate(choices):
        yield from _length(f"{at}choices.{index}.name", choice.get("name"), MAX_CHOICE)


def _length(field: str, value: object, most: int) -> Iterator[Wrong]:
    size = len(str(value or ""))
    if not 1 <= size <= most:
        yield field, f"Must be between 1 and {most} in length, not {size}."


def _text_size(node: JsonObject) -> int:
    children = [as_object(each) for key in ("options", "choices") for each in as_list(node.get(key))]
    own = sum(len(str(node.get(key) or "")) for key in ("name", "description", "value"))
    return own + sum(_text_size(child) for child in children)
