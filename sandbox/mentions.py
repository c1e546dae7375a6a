"""Whom a message could ping: its mentions against its `allowed_mentions`, as Discord reads them.

Pure. Embeds never ping; content and the texts of components do.
"""

import re
from typing import Final

from sandbox.answers import components_in
from sandbox.wire import JsonObject, as_list, as_object

KINDS: Final = {
    "users": re.compile(r"<@!?\d+>"),
    "roles": re.compile(r"<@&\d+>"),
    "everyone": re.compile(r"@everyone|@here"),
}


def could_ping(body: JsonObject) -> list[str]:
    """The kinds (`users`, `roles`, `everyone`) that are mentioned and not ruled out."""
    text = _text(body)
    mentioned = [kind for kind, pattern in KINDS.items() if pattern.search(text)]
    allowed = body.get("allowed_mentions")
    if allowed is None:
        return mentioned
    rule = as_object(allowed)
    return [kind for kind in mentioned if kind in as_list(rule.get("parse")) or rule.get(kind)]


def _text(body: JsonObject) -> str:
    parts = [part for each in as_list(body.get("components")) for part in components_in(as_object(each))]
    return "\n".join([str(body.get("content") or ""), *(str(part.get("content") or "") for part in parts)])
