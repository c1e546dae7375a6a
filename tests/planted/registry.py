"""All planted bugs, in the order of the lists that ask for them."""

from typing import Final

from tests.planted import in_actors, in_disk, in_ledger, in_storage, in_turns
from tests.planted.bug import Bug

BUGS: Final[tuple[Bug, ...]] = (*in_storage.BUGS, *in_disk.BUGS, *in_actors.BUGS, *in_turns.BUGS, *in_ledger.BUGS)

BY_NAME: Final = {bug.name: bug for bug in BUGS}
