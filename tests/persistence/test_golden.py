"""Records of every released form stay readable: a line of each event, as it was written then.

``python -m tests.persistence.test_golden`` writes the file of the newest release; those before are never changed.
"""

import sys
from pathlib import Path
from typing import Final, get_args

import pytest

from ledger import records as r
from ledger.ids import ChannelId, GuildId, InteractionId, InviteCode, RoleId, SessionId, UserId
from persistence.frames import GENESIS, follows, seal, unseal

FOLDER: Final = Path(__file__).parent / "golden"
A, U, S = InviteCode("aB3xYz"), UserId("1529741260485558291"), UserId("1250858107022606344")
NOW_US: Final = 1_795_542_126_521_824
SESSION: Final = SessionId("0123456789abcdef")
INVITE: Final = r.Counter(
    code=A,
    created_at_us=NOW_US - 10**9,
    uses=3,
    max_uses=5,
    expires_at_us=NOW_US + 10**9,
    inviter=S,
    inviter_is_bot=True,
    channel=ChannelId("42"),
    roles=(RoleId("7"),),
    targets=(U,),
)
EVENTS: Final[tuple[r.Event, ...]] = (
    r.GuildAdopted(counting_since_us=NOW_US),
    r.MembersSeeded(members=(r.SeededMember(U, NOW_US - 5, rejoin=True), r.SeededMember(S, NOW_US - 6))),
    r.JoinRecorded(
        user=U,
        joined_at_us=NOW_US,
        arrived_us=NOW_US + 1,
        session=SESSION,
        origin="away",
        rejoin=True,
        missed_leave=True,
        roles=(RoleId("7"),),
    ),
    r.RepeatRecorded(user=U, joined_at_us=NOW_US + 9, arrived_us=NOW_US + 10, session=SESSION, optional_use=True),
    r.LeaveRecorded(user=U, arrived_us=NOW_US + 11, inferred=True),
    r.InviteCreated(invite=INVITE, arrived_us=NOW_US),
    r.InviteDied(code=A, arrived_us=NOW_US, how="channel"),
    r.ContinuityBroken(reason="permissions", at_us=NOW_US),
    r.SampleTaken(
        number=7,
        requested_us=NOW_US,
        answered_us=NOW_US + 300,
        session=SESSION,
        changed=(INVITE,),
        gone=(InviteCode("gone"),),
        vanity=r.Vanity(code="harbour", uses=4),
    ),
    r.WindowClosed(
        first_sample=6, last_sample=7, joins=2, tally={A: 2}, unclaimed={A: 1}, reason="session", abandoned=True
    ),
    r.VerdictReached(
        user=U,
        opened_us=NOW_US,
        status=r.Status.CERTAIN,
        code=A,
        invite_created_at_us=NOW_US - 10**9,
        inviter=S,
        staff=S,
        assignment=2,
        candidates=(A,),
        reason="because",
        window=7,
        evidence=r.Evidence(
            joins=1,
            uses={A: 1},
            capped={InviteCode("gone"): -1},
            excluded={InviteCode("late"): "created_after_the_join"},
            sampled_us=(NOW_US, NOW_US + 300),
            broken=("session",),
            assumptions=("P0", "P2"),
        ),
        supersedes=3,
    ),
    r.CreditGranted(user=U, opened_us=NOW_US, kind="join", staff=S),
    r.CreditReversed(user=U, opened_us=NOW_US, kind="join", staff=S),
    r.InviteAssigned(code=A, staff=S, since_us=NOW_US, version=2, by=U),
    r.EventUnreadable(name="GUILD_MEMBER_ADD", digest="0" * 64, reason="unreadable", at_us=NOW_US, user=U),
    r.GuildLeft(at_us=NOW_US),
)
SECOND: Final[tuple[r.Event, ...]] = (
    r.MemberForgotten(user=U, tombstone=3),
    r.GuildForgotten(until_us=NOW_US),
)
THIRD: Final[tuple[r.Event, ...]] = (
    r.JoinRecorded(user=U, joined_at_us=NOW_US, arrived_us=NOW_US + 1, session=SESSION, origin="salvaged"),
    r.LeaveRecorded(user=U, arrived_us=NOW_US + 11, opened_us=NOW_US),
    r.InviteAssigned(code=A, staff=S, since_us=NOW_US, version=3, by=U, salvaged=True),
)
"""New fields of events that were there."""
REPORT: Final = r.Report(5, A, S)
FOURTH: Final[tuple[r.Event, ...]] = (
    r.DeletionLogged(code=A, at_us=NOW_US, arrived_us=NOW_US + 9, by=S),
    r.AuditRead(requested_us=NOW_US),
    r.WitnessHeard(user=U, opened_us=NOW_US, report=REPORT, at_us=NOW_US + 9),
    r.MembersReported(
        members=(r.ReportedMember(U, NOW_US, REPORT, S, 2), r.ReportedMember(S, NOW_US - 6, r.Report(3))),
        upto_us=NOW_US,
        upto=U,
        done=True,
    ),
    r.VipChanged(user=U, opened_us=NOW_US, has=True, at_us=NOW_US + 9),
    r.SettingsChanged(
        settings=r.Settings(
            credit_reported=False,
            credit_backfill=True,
            credit_rejoins=True,
            credit_self=True,
            vip_roles=(RoleId("7"),),
            vip_once="membership",
            young_days=30,
            log_channel=ChannelId("42"),
            templates={"known": "{member} came with {inviter}"},
        ),
        by=S,
    ),
    r.JoinAnnounced(user=U, opened_us=NOW_US, verdict=2, channel=ChannelId("42"), message="77"),
    r.SampleTaken(number=8, requested_us=NOW_US, answered_us=NOW_US + 300, session=SESSION, approval=True),
    r.WindowClosed(first_sample=6, last_sample=7, joins=2, tally={A: 2}, again=True),
    r.VerdictReached(user=U, opened_us=NOW_US, status=r.Status.MANUAL, staff=S, reason="I saw it", by=S, method=2),
    r.CreditGranted(user=U, opened_us=NOW_US, kind="vip", staff=S, verdict=2),
    r.CreditReversed(user=U, opened_us=NOW_US, kind="vip", staff=S),
    r.InviteAssigned(code=A, staff=S, since_us=NOW_US, version=4, by=U, label="summer", targets=(U,)),
)
FIFTH: Final[tuple[r.Event, ...]] = (
    r.CreationLogged(code=A, at_us=NOW_US, made_us=NOW_US - 5, dead_us=NOW_US + 9, max_uses=3, by=S, by_bot=True),
)
SIXTH: Final[tuple[r.Event, ...]] = (
    r.JoinRecorded(
        user=U,
        joined_at_us=NOW_US,
        arrived_us=NOW_US + 1,
        session=SESSION,
        origin="update",
        roles=(RoleId("7"),),
    ),
)
RELEASES: Final = {
    "records-1.jsonl": EVENTS,
    "records-2.jsonl": SECOND,
    "records-3.jsonl": THIRD,
    "records-4.jsonl": FOURTH,
    "records-5.jsonl": FIFTH,
    "records-6.jsonl": SIXTH,
}
CAUSES: Final[tuple[r.Cause, ...]] = (
    r.GatewayCause(session=SESSION, number=12, lane="members"),
    r.InteractionCause(interaction=InteractionId("99")),
    r.InternalCause(what="sample"),
)


def written(events: tuple[r.Event, ...]) -> list[bytes]:
    """A chain with a record of each event, sealed by the code of now."""
    lines, digest = [], GENESIS
    for seq, event in enumerate(events, start=1):
        record = r.Record(
            gsn=seq,
            guild=GuildId("1378047527793721348"),
            seq=seq,
            epoch=1,
            at_ms=NOW_US // 1_000,
            cause=CAUSES[seq % len(CAUSES)],
            key=f"key/{seq}",
            event=event,
            last=len(events),
        )
        frame = seal(record, digest)
        digest = frame.digest
        lines.append(frame.data)
    return lines


def test_every_event_has_a_golden_line():
    assert {type(event) for events in RELEASES.values() for event in events} == set(get_args(r.Event))


@pytest.mark.parametrize("name", RELEASES)
def test_the_golden_lines_are_read_as_what_they_meant_and_would_be_written_the_same(name: str):
    lines, events = (FOLDER / name).read_bytes().splitlines(), RELEASES[name]
    digest = GENESIS
    for line, event in zip(lines, events, strict=True):
        frame = unseal(line, name)
        assert frame.record.event == event
        assert follows(frame, digest)
        digest = frame.digest
    assert lines == written(events)


if __name__ == "__main__":
    newest = list(RELEASES)[-1]
    (FOLDER / newest).write_bytes(b"".join(line + b"\n" for line in written(RELEASES[newest])))
    sys.exit(0)
