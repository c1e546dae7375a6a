"""Messages to a guild as letters: which lane each travels in, which may merge, what is left of one that died.

What a message means is ``ledger.decide``'s business.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from actors.mailbox import Lane, Merging
from ledger import messages as m
from ledger.ids import GuildId, SessionId
from ledger.records import InternalCause

DISPATCH_OF: Final[Mapping[type[m.Message], str]] = {
    m.RecordJoin: "GUILD_MEMBER_ADD",
    m.RecordLeave: "GUILD_MEMBER_REMOVE",
    m.NoteInviteBorn: "INVITE_CREATE",
    m.NoteInviteDied: "INVITE_DELETE",
    m.NoteChannelDied: "CHANNEL_DELETE",
    m.NoteLogged: "GUILD_AUDIT_LOG_ENTRY_CREATE",
}


def lane_of(message: m.Message) -> Lane:
    """The lane a message travels in: control first, then members in their order, then the rest."""
    match message:
        case m.GuildCameUp() | m.GuildWentAway() | m.RemoveGuild() | m.NotePermissions() | m.NoteGap() | m.Salvage():
            return Lane.CONTROL
        case m.RecordJoin() | m.NoteMember() | m.RecordLeave() | m.NoteUnreadable() | m.ReviewMembers():
            return Lane.MEMBERS
        case _:
            return Lane.REST


def merging_of(message: m.Message) -> Merging | None:
    """Questions that are the same, and samples that people asked for: the newest shows what the others would."""
    match message:
        case m.DescribeGuild() | m.DescribeMember() | m.DescribeWindow() | m.DescribeCodes():
            return Merging(key=message, reads=True)
        case m.DescribeSettings() | m.DescribeReview():
            return Merging(key=message, reads=True)
        case m.SampleArrived(request=None):
            return Merging(key="sample", reads=False)
        case _:
            return None


def dead_letter(guild: GuildId, message: m.Message, reason: str, at_us: int) -> m.NoteUnreadable | None:
    """What the next life is told about a dispatch that could not be handled; None for all other messages.

    A join among them is recorded as unknown, so that nobody who joined is missing.
    """
    match message:
        case m.NoteMember():
            return dead_letter(guild, message.join, reason, at_us)
        case (
            m.RecordJoin()
            | m.RecordLeave()
            | m.NoteInviteBorn()
            | m.NoteInviteDied()
            | m.NoteChannelDied()
            | m.NoteLogged()
        ):
            join = message if isinstance(message, m.RecordJoin) else None
            return m.NoteUnreadable(
                cause=InternalCause(what="dead_letter"),
                session=join.session if join else SessionId(""),
                name=DISPATCH_OF[type(message)],
                digest=hashlib.sha256(payload_of(guild, message)).hexdigest(),
                reason=reason,
                at_us=at_us,
                user=message.user if isinstance(message, m.RecordJoin | m.RecordLeave) else None,
                joined_at_us=join.joined_at_us if join else 0,
            )
        case _:
            return None


def payload_of(guild: GuildId, message: m.Message) -> bytes:
    """A message as JSON, for quarantine/; with its guild, so that it is found when the guild is to be forgotten."""
    told = message.join if isinstance(message, m.NoteMember) else message
    return msgspec.json.encode({"guild_id": guild, "message": told})
