"""Member chunks: what op 8 is answered with, a thousand members each."""

from typing import Final

from sandbox import payloads
from sandbox.models import Guild, Member
from sandbox.wire import JsonObject, as_int, as_list

CHUNK_MEMBERS: Final = 1_000


def chunks(guild: Guild, wish: JsonObject) -> list[JsonObject]:
    members = _wanted_members(guild, wish)
    pages = [members[at : at + CHUNK_MEMBERS] for at in range(0, len(members), CHUNK_MEMBERS)] or [[]]
    common: JsonObject = {"guild_id": str(guild.id), "chunk_count": len(pages), "presences": []}
    common |= {"nonce": wish["nonce"]} if "nonce" in wish else {}
    return [
        common | {"chunk_index": index, "members": [payloads.member(each) for each in page]}
        for index, page in enumerate(pages)
    ]


def _wanted_members(guild: Guild, wish: JsonObject) -> list[Member]:
    if "user_ids" in wish:
        raw = wish["user_ids"]
        ids = {as_int(each) for each in as_list(raw) or [raw]}
        return [guild.members[user_id] for user_id in sorted(ids & guild.members.keys())]
    query, limit = str(wish.get("query") or ""), as_int(wish.get("limit"))
    found = [guild.members[key] for key in sorted(guild.members)]
    named = [member for member in found if member.user.name.startswith(query)]
    return named[:limit] if limit else named
