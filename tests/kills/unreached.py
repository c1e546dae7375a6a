"""Awaits that no story comes to, and why that may be.

Whoever adds an await that no story reaches has to tell a story of it, or to say here where else it is looked at.
"""

from collections.abc import Mapping
from typing import Final

from tests.kills.points import Point

PROCESS: Final = "the process's own beginning and end, on a real loop: tests/chaos kills real processes there"
SETUP: Final = "inviteledger setup's, not the bot's: tests/actors/gateway/test_preflight.py"
AFTER_A_BUG: Final = "only behind an error in a command: reached in the runs that raise there"
AFTER_A_KILL: Final = (
    "the library has closed all by then, unless that was struck: tests/actors/gateway/test_shards.py"
)
AFTER_A_LIFE: Final = "only where a killed life has an edit under way: tests/actors/gateway/test_announcing.py"
ONE_PACKET: Final = "an answer of a few bytes comes with its head, in one packet"
CROWD: Final = "it waits for a permit only where another request is on its way just then"
BUCKETS: Final = "several shards in one bucket: tests/actors/gateway/test_identify.py, test_shards.py"
DRAIN: Final = "the drain's own last step, when everything is durable; its end is the process's"
FLUSH: Final = "the uploader has given it all by then: a drain waits two seconds for a newcomer first"
ALONE: Final = "only where an upload and a new epoch meet within milliseconds: tests/actors/test_cloud_side.py"
HOLES: Final = (
    "a hole, and the layer that fills it was away: it fails at every call in tests/persistence/test_holes.py"
)

JUMPED: Final = "an epoch that was taken while much could not be read: tests/persistence/test_put_back.py"
GONE: Final = "a branch loses whose records were gone before: tests/persistence/test_holes_cloud.py"


KEEPER: Final = (
    "the keeper's rounds, and what it does in a cloud: killed at every step in tests/actors/test_keeper.py"
)

WHY: Final[Mapping[str, str]] = {
    "actors/program.py:": PROCESS,
    "actors/alone.py:": PROCESS,
    "actors/opening.py:": PROCESS,
    "actors/handover.py:Handover.expect_nobody": "a tool's, not the bot's: tests/actors/test_handover.py",
    "persistence/store.py:Store.open_guild#2": "no near layer has it whole: tests/persistence/test_store_cloud.py",
    "actors/cloud_side.py:CloudSide.await_turn#3": "a log is looked at: tests/actors/test_cloud_side.py",
    "actors/cloud_side.py:CloudSide.leave#4": FLUSH,
    "persistence/recovery.py:_feed#4": HOLES,
    "persistence/recovery.py:_feed#5": HOLES,
    "persistence/recovery.py:_summary_behind": HOLES,
    "persistence/recovery.py:_follow#2": HOLES,
    "persistence/recovery.py:_follow#5": HOLES,
    "persistence/recovery.py:_follow#3": "the leader is shorter: tests/persistence/test_hidden_forks.py",
    "persistence/recovery.py:_bridge": HOLES,
    "persistence/recovery.py:_catch_up#2": HOLES,
    "persistence/recovery.py:_keep_stranded#2": HOLES,
    "persistence/seats.py:Seat.look_again": HOLES,
    "persistence/branches.py:part_with_checkpoints#3": GONE,
    "persistence/branches.py:parting#3": HOLES,
    "persistence/recovery.py:rejoin#2": GONE,
    "persistence/local.py:LocalLayer.drop_checkpoint": GONE,
    "persistence/sqlite.py:SqliteLayer.drop_checkpoint": GONE,
    "persistence/leading.py:_has_jumped": JUMPED,
    "persistence/terms.py:Terms._has_term#2": "the cloud was away then: tests/persistence/test_store_cloud.py",
    "persistence/leading.py:leader_of#1": JUMPED,
    "persistence/holes.py:_keep_replaced#2": HOLES,
    "persistence/holes.py:_keep_replaced#3": HOLES,
    "persistence/holes.py:_keep_replaced#4": HOLES,
    "persistence/holes.py:_replaced": HOLES,
    "persistence/holes.py:completes": HOLES,
    "persistence/recovery.py:_equalize#3": "a layer fails while it feeds: tests/persistence/test_holes_cloud.py",
    "persistence/recovery.py:_equalize#4": "a layer fails while it feeds: tests/persistence/test_store_cloud.py",
    "persistence/seats.py:Seat.keep": HOLES,
    "persistence/store.py:Store._bring_back#2": HOLES,
    "persistence/rehydration.py:_Opening._leads#2": "damaged frames: tests/persistence/test_rehydration.py",
    "persistence/leading.py:leader_of#3": "a layer fails while they are compared: tests/persistence/test_store.py",
    "actors/uploader.py:Uploader.flush": FLUSH,
    "persistence/following.py:Following.ask#1": ALONE,
    "persistence/following.py:Following.give#2": ALONE,
    "persistence/following.py:Following.ask#3": "nothing is held by a cloud's layer, so closing it never waits",
    "persistence/store.py:Store.start#2": ALONE,
    "actors/keeper.py:Keeper._end_life": KEEPER,
    "actors/keeper.py:Keeper._pack": KEEPER,
    "actors/keeper.py:Keeper._prove_guild#3": KEEPER,
    "actors/keeper.py:Keeper._send_checkpoint": KEEPER,
    "actors/keeper.py:Keeper.finish#3": KEEPER,
    "actors/keeper.py:Keeper.go_round#2": KEEPER,
    "actors/keeper.py:Keeper.finish#6": KEEPER,
    "actors/keeper.py:Keeper.run": KEEPER,
    "actors/keeper.py:Keeper.scrub#1": KEEPER,
    "actors/keeper.py:Keeper.verify#3": KEEPER,
    "actors/proving.py:Prover._filled": KEEPER,
    "actors/proving.py:Prover._mend": KEEPER,
    "actors/proving.py:Prover._step_in_cloud": KEEPER,
    "actors/proving.py:Prover.scrub_cloud": KEEPER,
    "actors/proving.py:Prover.step#1": KEEPER,
    "persistence/offload.py:ThreadOffload.__call__": "a thread of the simulation stands for it",
    "actors/gateway/announcing.py:Announcer.announce#1": AFTER_A_LIFE,
    "actors/gateway/announcing.py:Announcer.announce#2": AFTER_A_LIFE,
    "actors/gateway/commands.py:Tree.": AFTER_A_BUG,
    "actors/gateway/commands.py:_install_clicks.on_interaction#2": AFTER_A_BUG,
    "actors/gateway/desk.py:Desk.fix_names#4": "a person is forgotten while names are read: test_people.py",
    "actors/gateway/people.py:People.forget": "a person is forgotten while names are read: test_people.py",
    "actors/gateway/people.py:_forget": "a person is forgotten while names are read: test_people.py",
    "actors/gateway/client.py:Client._hang_up": AFTER_A_KILL,
    "actors/gateway/client.py:Client.before_identify_hook#2": AFTER_A_KILL,
    "actors/gateway/client.py:Client.before_identify_hook#4": BUCKETS,
    "actors/gateway/client.py:Client.close#2": AFTER_A_KILL,
    "actors/gateway/client.py:Client.close#3": AFTER_A_KILL,
    "actors/gateway/identify.py:IdentifyGate.identify": BUCKETS,
    "actors/gateway/identify.py:IdentifyGate.turn#1": BUCKETS,
    "actors/gateway/inquiry.py:Inquiry._ask#2": ONE_PACKET,
    "actors/gateway/inquiry.py:Inquiry._ask#3": ONE_PACKET,
    "actors/gateway/made_invites.py:MadeInvites._make#7": "its guild is parked: test_made_invites.py",
    "actors/gateway/preflight.py:switch_intent_on": SETUP,
    "actors/gateway/inquiry.py:Inquiry.patch": SETUP,
    "actors/gateway/restraint.py:": "Discord limits the whole bot: test_restraint.py",
    "actors/gateway/pacing.py:Pacer.beat#4": "Discord limits the whole bot: test_pacing.py",
    "actors/gateway/runner.py:Gateway.close": DRAIN,
    "actors/gateway/shard.py:Shard.close": DRAIN,
}
"""By how a point's name begins; the first that fits is said."""

SOMETIMES: Final[Mapping[str, str]] = {
    "actors/gateway/rest.py:Rest.edit#1": CROWD,
    "actors/gateway/rest.py:Rest._audit_page#1": CROWD,
    "actors/gateway/rest.py:Rest._name#1": CROWD,
    "actors/gateway/rest.py:Rest._post#1": CROWD,
    "actors/gateway/rest.py:Rest._search#1": CROWD,
}
"""The same for what some runs come to, and some do not."""


def why_not(point: Point) -> str:
    """Why no story comes to it; "" where one should."""
    return _first(point, WHY) or _first(point, SOMETIMES)


def never(point: Point) -> bool:
    """Whether it is said that no story ever comes to it."""
    return bool(_first(point, WHY))


def _first(point: Point, reasons: Mapping[str, str]) -> str:
    return next((why for name, why in reasons.items() if point.name.startswith(name)), "")
