"""What every message must keep, whatever way it comes by: an answer, a follow-up, an edit or a channel's message."""

from collections.abc import Iterable
from typing import Final

from sandbox.edge import Call, DiscordError, invalid_form
from sandbox.mentions import could_ping
from sandbox.violations import Violations
from sandbox.wire import JsonObject, as_list, as_object

EMPTY_MESSAGE: Final = (400, 50006, "Cannot send an empty message")
PARTS: Final = ("content", "embeds", "components", "attachments", "poll")


def require_something(body: JsonObject) -> None:
    if not any(body.get(part) for part in PARTS):
        raise DiscordError(*EMPTY_MESSAGE, kind="rest.empty_message")


async def attached(call: Call) -> tuple[JsonObject, dict[str, bytes]]:
    """The attachments of a form as Discord gives them back, and the files by name; nothing where there are none."""
    described = [as_object(each) for each in as_list(call.fields.get("attachments"))]
    made: list[object] = []
    files: dict[str, bytes] = {}
    for each in described:
        data = await call.file(f"files[{each['id']}]")
        if data is None:
            raise invalid_form("attachments", "ATTACHMENT_NOT_FOUND", f"no file files[{each['id']}]")
        url = f"https://cdn.discordapp.com/attachments/{each['filename']}"
        files[str(each["filename"])] = data
        made.append({**each, "size": len(data), "url": url, "proxy_url": url})
    return {"attachments": made} if made else {}, files


def refuse_wrong(faults: Iterable[str]) -> None:
    """Discord says "Invalid Form Body"; what is wrong stands behind it, for whoever reads the log."""
    for fault in faults:
        raise invalid_form("data", "BASE_TYPE_BAD_VALUE", fault)


def note_pings(violations: Violations, body: JsonObject) -> None:
    """Discord lets it pass and pings; we do not want it."""
    kinds = could_ping(body)
    if kinds:
        violations.add(
            "message.could_ping", f"{', '.join(kinds)}: allowed_mentions is {body.get('allowed_mentions')}"
        )
