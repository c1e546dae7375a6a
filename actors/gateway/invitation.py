"""Invites with terms: for so many uses, so long, with roles, or for named people alone.

The library knows neither the roles nor the list, so both are put into the form and read from the answers here. The
list is a CSV file with the header ``user_id``; Discord reads it after it has answered, which is a job of its own.
"""

from enum import IntEnum
from typing import Final, TypeAlias

import msgspec

from ledger.ids import RoleId, UserId

HEADER: Final = "user_id"
FormPart: TypeAlias = dict[str, str | bytes]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What an invite is to be; as it stands here it never ends and lets in anybody.

    Attributes:
        max_uses: 0 to 100; 0 = any number.
        max_age_s: 0 to 604,800 (a week); 0 = for ever.
        roles: given to who accepts it. Takes Manage Roles, and they must stand below the bot's own.
        targets: who alone may accept it; none = anybody. Takes Manage Server.
    """

    max_uses: int = 0
    max_age_s: int = 0
    roles: tuple[RoleId, ...] = ()
    targets: tuple[UserId, ...] = ()


ENDLESS: Final = Terms()


class JobState(IntEnum):
    """How far Discord is with a list."""

    UNSPECIFIED = 0
    PROCESSING = 1
    COMPLETED = 2
    FAILED = 3


class TargetJob(msgspec.Struct, frozen=True, kw_only=True):
    """GET job-status. Only ``COMPLETED`` says that the list holds; what holds before is not documented."""

    status: JobState
    total_users: int = 0
    processed_users: int = 0
    error_message: str | None = None


def body_of(terms: Terms) -> dict[str, object]:
    """The JSON part of the request."""
    wish: dict[str, object] = {"max_age": terms.max_age_s, "max_uses": terms.max_uses, "unique": True}
    return wish | ({"role_ids": [*terms.roles]} if terms.roles else {})


def form_of(terms: Terms) -> list[FormPart]:
    """The request as a form, which the list of targets takes."""
    json = msgspec.json.encode(body_of(terms)).decode()
    rows = "".join(f"{row}\n" for row in (HEADER, *terms.targets))
    return [
        {"name": "payload_json", "value": json},
        {
            "name": "target_users_file",
            "value": rows.encode(),
            "filename": "target_users.csv",
            "content_type": "text/csv",
        },
    ]
