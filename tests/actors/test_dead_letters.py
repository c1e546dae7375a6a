"""What a guild is told about a message that could not be handled: that it was, whatever it was."""

import pytest

from actors.letters import DISPATCH_OF, dead_letter
from ledger import messages as m
from ledger import records as r
from ledger.ids import ChannelId, GuildId, InviteCode, SessionId, UserId

CAUSE = r.GatewayCause(session=SessionId("s1"), number=1, lane="rest")


@pytest.mark.parametrize(
    "message",
    [
        m.RecordJoin(
            cause=CAUSE, session=SessionId("s1"), user=UserId("1"), joined_at_us=1, arrived_us=2, roles=(), flags=0
        ),
        m.RecordLeave(cause=CAUSE, user=UserId("1"), arrived_us=2),
        m.NoteInviteBorn(cause=CAUSE, invite=r.Counter(code=InviteCode("A"), created_at_us=1, uses=0), arrived_us=2),
        m.NoteInviteDied(cause=CAUSE, code=InviteCode("A"), arrived_us=2),
        m.NoteChannelDied(cause=CAUSE, channel=ChannelId("4"), arrived_us=2),
        m.NoteLogged(cause=CAUSE, deletions=(), creations=(), bots=(), arrived_us=2),
    ],
    ids=lambda message: type(message).__name__,
)
def test_each_dispatch_that_is_buried_leaves_a_notice(message: m.Message):
    notice = dead_letter(GuildId("5"), message, "handler_failed", 9)
    assert notice is not None
    assert (notice.name, notice.at_us) == (DISPATCH_OF[type(message)], 9)


def test_an_answer_that_is_buried_leaves_none():
    failed = m.AuditFailed(number=1, reason="x", forbidden=False, at_us=1)
    assert dead_letter(GuildId("5"), failed, "handler_failed", 9) is None
