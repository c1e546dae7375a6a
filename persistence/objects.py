"""Objects in a bucket: the few calls that the cloud layer needs of any store.

Rules: a key is written once (``create``) wherever two writers could meet; a body that is created carries an id of its
own, so that ``create_once`` can tell its own lost answer from another writer's object; nothing here knows what is in
an object. Stores: a bucket (``persistence/buckets.py``), a folder (``persistence/folder_objects.py``), our own vault
(``persistence/vault_objects.py``), memory (``tests/memory/objects.py``); one contract suite holds for them all
(``tests/persistence/test_objects_contract.py``).

Errors of every call: ``Unreachable`` (no answer, or one that says "later": a write may have happened), ``Refused``
(asking again will not help until an operator does something).
"""

import re
from collections.abc import AsyncIterator
from typing import Final, Protocol

from ledger.errors import NotConfirmed, StorageError

KEY_CHARS: Final = 512
PART_CHARS: Final = 200
"""Within what every store takes: 1,024 bytes a key in S3, 255 a file's name."""
MAX_OBJECT_BYTES: Final = 64 * 1024 * 1024
"""No object is larger: a vault takes no more, so nobody writes more anywhere."""
PART: Final = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{PART_CHARS - 1}}}", re.ASCII)

TO_CHECK: Final = "check the address in LEDGER_CLOUD, its credentials, rights and room"


class Unreachable(NotConfirmed):
    """The store did not answer, or could not now. Of a write it is unknown whether it happened."""

    hint = "look at the store's status page and at the network; a bot that runs tries again by itself"


class Refused(StorageError):
    """The store answers and will not: credentials, bucket, permissions, room. Nothing happened."""

    hint = f"{TO_CHECK}; `doctor` tries it"


class BadVariable(Refused):
    """A variable that says where the store is, or who asks it, cannot be meant."""

    hint = "correct that variable (environment, /run/secrets or .env)"


class Objects(Protocol):
    """A store of objects. Keys are such that ``check_key`` takes them; safe for several callers at once."""

    @property
    def address(self) -> str:
        """Where it is, for people: no secrets."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The object's bytes; None where there is none."""
        ...

    async def create(self, key: str, data: bytes) -> bool:
        """Writes an object where there is none; durable on return.

        False where there is one: perhaps this call's own, whose answer was lost (``create_once`` tells).
        """
        ...

    async def put(self, key: str, data: bytes) -> None:
        """Writes an object over whatever is there. For what nobody's safety depends on."""
        ...

    def keys(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        """Every key that begins with ``prefix`` and is greater than ``after``.

        What was created before the call began is among them. Keys of one folder come in the order of bytes; of
        several, each store has an order of its own (is ``b-1`` before ``b/1``?), and ``after`` may hide some.
        """
        ...

    async def delete(self, key: str) -> None:
        """Removes an object; nothing happens where there is none."""
        ...

    async def close(self) -> None:
        """Releases connections. Safe to call twice."""
        ...


def check_key(key: str) -> None:
    """Refuses what is no key: parts with ``/`` between them, of letters, digits, ``_``, ``.``, ``-``, none hidden.

    Raises:
        Refused: when it is none. A key that comes over a network must not lead out of a folder.
    """
    if len(key) > KEY_CHARS or not all(PART.fullmatch(part) for part in key.split("/")):
        raise Refused(f"{key[:KEY_CHARS]!r} is no key of an object")


async def create_once(objects: Objects, key: str, data: bytes) -> bool:
    """Whether this call's bytes stand under the key: written now, or by an earlier try whose answer was lost.

    ``data`` must differ from what anybody else would write there: it holds the writer's own random id.
    """
    return await objects.create(key, data) or await objects.get(key) == data
