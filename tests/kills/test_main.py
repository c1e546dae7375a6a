"""``make kills``: however little time is left, something is killed."""

import io

from rich.console import Console

from tests.kills.__main__ import Part, perform
from tests.kills.acts import Mode
from tests.kills.campaign import Case, Run, Spot


def test_a_run_is_made_also_where_looking_for_the_places_took_all_the_time():
    spot, cases = Spot("guild", ()), [Case("work", 0, mode, 1) for mode in (Mode.CANCEL, Mode.CUT)]
    part = Part("kernel", (), cases, [spot], play=lambda _: Run("guild/1", ()), spot=lambda _: spot)
    for first, mode in ((0, Mode.CANCEL), (1, Mode.CUT), (3, Mode.CUT)):
        tally = perform(part, 0.0, first, Console(file=io.StringIO()), resume=False)
        assert tally.modes == {mode: 1}
