"""Numbering: drafts become records, sealed behind their guild's head. Pure; nothing counts until it is durable."""

from collections.abc import Mapping

import msgspec

from ledger.errors import Fenced
from ledger.ids import GuildId
from ledger.records import Draft, Record
from persistence.chains import NO_HEAD, head_of
from persistence.frames import Frame, seal
from persistence.layer import Head


class Append(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Drafts (at least one) of a guild that become durable together or not at all, right behind seq ``base_seq``."""

    guild: GuildId
    base_seq: int
    drafts: tuple[Draft, ...]


class Numbering:
    """The numbers of one batch. ``moved``: the heads as they are once it is durable; ``frames``: all its frames."""

    def __init__(self, heads: Mapping[GuildId, Head], gsn: int, epoch: int, at_ms: int) -> None:
        """Numbers behind ``heads`` and ``gsn``; neither is changed."""
        self._heads = heads
        self._gsn = gsn
        self._epoch = epoch
        self._at_ms = at_ms
        self.moved: dict[GuildId, Head] = {}
        self.frames: list[Frame] = []

    def take(self, append: Append) -> tuple[Frame, ...] | Fenced:
        """The frames of an append, or ``Fenced`` when its base is not the guild's head."""
        assert append.drafts, "an append says something"
        guild = append.guild
        head = self.moved.get(guild) or self._heads.get(guild, NO_HEAD)
        if append.base_seq != head.seq:
            return Fenced(f"guild {guild}: stands on seq {append.base_seq}, the head is {head.seq}")
        last = head.seq + len(append.drafts)
        sealed: list[Frame] = []
        for draft in append.drafts:
            sealed.append(self._seal(guild, draft, head, last))
            head = head_of(sealed[-1])
        self.moved[guild] = head
        self.frames += sealed
        return tuple(sealed)

    def _seal(self, guild: GuildId, draft: Draft, head: Head, last: int) -> Frame:
        self._gsn += 1
        record = Record(
            gsn=self._gsn,
            guild=guild,
            seq=head.seq + 1,
            epoch=self._epoch,
            at_ms=self._at_ms,
            cause=draft.cause,
            key=draft.key,
            event=draft.event,
            last=last,
        )
        return seal(record, head.digest)
