"""Dispatches into messages: what decodes, what does not, and that nothing at all raises."""

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.gateway.names import DISPATCHES
from actors.gateway.translate import Heard, Told, Translator, Unreadable
from ledger import messages as m
from ledger.ids import ChannelId, GuildId, InviteCode, RoleId, SessionId, UserId
from ledger.records import Counter, GatewayCause

HEARD = Heard(session=SessionId("s1"), number=7, arrived_us=1_000)
MEMBERS = GatewayCause(session=SessionId("s1"), number=7, lane="members")
REST = GatewayCause(session=SessionId("s1"), number=7, lane="rest")
GUILD = GuildId("80351110224678912")

FIELDS = st.sampled_from(
    ["guild_id", "id", "user", "joined_at", "flags", "roles", "code", "created_at", "max_age", "channel_id", "guilds"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1", "2026-08-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | FIELDS, inner, max_size=5),
    max_leaves=15,
)


def read(name: str, payload: object) -> tuple[Told, ...] | Unreadable:
    return Translator(lambda _: None).translate(name, payload, HEARD)


def joined(**changes: object) -> dict[str, object]:
    """GUILD_MEMBER_ADD as Discord sends it, shortened where nobody looks."""
    payload: dict[str, object] = {
        "guild_id": GUILD,
        "user": {"id": "53908232506183680", "username": "Mason", "discriminator": "0", "avatar": None, "bot": False},
        "nick": None,
        "avatar": None,
        "roles": ["41771983423143936"],
        "joined_at": "2026-08-01T15:21:44.532000+00:00",
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "flags": 1,
        "pending": False,
        "communication_disabled_until": None,
    }
    return payload | changes


def test_a_join_keeps_the_time_it_was_sent_with_to_the_microsecond():
    payload = joined(joined_at="2026-08-01T17:21:44.532001+02:00")
    join = m.RecordJoin(
        cause=MEMBERS,
        session=SessionId("s1"),
        user=UserId("53908232506183680"),
        joined_at_us=1_785_597_704_532_001,
        arrived_us=1_000,
        flags=1,
        roles=(RoleId("41771983423143936"),),
    )
    assert read("GUILD_MEMBER_ADD", payload) == (Told(guild=GUILD, message=join),)
    assert read("GUILD_MEMBER_UPDATE", payload) == (Told(guild=GUILD, message=m.NoteMember(join=join)),)


def test_a_guest_is_no_join_but_its_flag_is_passed_on_where_there_is_a_time():
    assert read("GUILD_MEMBER_ADD", joined(joined_at=None, flags=16)) == ()
    [told] = told_of("GUILD_MEMBER_ADD", joined(flags=16))
    assert isinstance(told.message, m.RecordJoin)
    assert told.message.flags == 16
    assert read("GUILD_MEMBER_UPDATE", joined(joined_at=None)) == ()


def test_a_join_without_a_time_is_unreadable_not_a_guess():
    assert isinstance(read("GUILD_MEMBER_ADD", joined(joined_at=None)), Unreadable)


def told_of(name: str, payload: object) -> tuple[Told, ...]:
    translation = read(name, payload)
    return translation.told if isinstance(translation, Unreadable) else translation


def test_what_can_still_be_read_of_a_bad_join_is_told_and_its_payload_kept():
    payload = joined(roles=[5])
    bad = read("GUILD_MEMBER_ADD", payload)
    assert isinstance(bad, Unreadable)
    assert json.loads(bad.payload) == payload
    assert bad.digest == hashlib.sha256(bad.payload).hexdigest()
    [told] = bad.told
    assert told.guild == GUILD
    assert isinstance(told.message, m.NoteUnreadable)
    assert told.message.cause == MEMBERS
    assert (told.message.user, told.message.joined_at_us) == ("53908232506183680", 1_785_597_704_532_000)
    assert told.message.reason.startswith("unreadable: Expected `str`")


def test_of_a_payload_without_a_guild_nobody_is_told():
    bad = read("GUILD_MEMBER_ADD", {"id": "5", "user": {"id": "6"}})
    assert isinstance(bad, Unreadable)
    assert bad.told == ()
    bad = read("GUILD_DELETE", {"id": "5", "unavailable": "perhaps"})
    assert isinstance(bad, Unreadable)
    assert bad.told[0].guild == "5"


def test_the_digest_does_not_depend_on_the_order_of_fields():
    payload = joined(roles=[5])
    again = dict(reversed(payload.items()))
    first, second = read("GUILD_MEMBER_ADD", payload), read("GUILD_MEMBER_ADD", again)
    assert isinstance(first, Unreadable)
    assert isinstance(second, Unreadable)
    assert first.digest == second.digest


def test_a_new_invite_is_a_counter_at_zero_with_its_end_worked_out():
    payload = {
        "channel_id": "99",
        "code": "aBc-1",
        "created_at": "2026-08-01T00:00:00.000001+00:00",
        "guild_id": GUILD,
        "inviter": {"id": "12", "bot": True},
        "max_age": 60,
        "max_uses": 3,
        "temporary": False,
        "uses": 0,
        "expires_at": None,
    }
    invite = Counter(
        code=InviteCode("aBc-1"),
        created_at_us=1_785_542_400_000_001,
        uses=0,
        max_uses=3,
        expires_at_us=1_785_542_460_000_001,
        inviter=UserId("12"),
        inviter_is_bot=True,
        channel=ChannelId("99"),
    )
    born = m.NoteInviteBorn(cause=REST, invite=invite, arrived_us=1_000)
    assert read("INVITE_CREATE", payload) == (Told(guild=GUILD, message=born),)
    given_end = payload | {"expires_at": "2026-08-02T00:00:00Z"}
    [told] = told_of("INVITE_CREATE", given_end)
    assert isinstance(told.message, m.NoteInviteBorn)
    assert told.message.invite.expires_at_us == 1_785_628_800_000_000


def test_guest_invites_and_those_of_groups_are_nobodys_business():
    payload: dict[str, object] = {"code": "abc", "created_at": "2026-08-01T00:00:00Z", "channel_id": "9"}
    assert read("INVITE_CREATE", payload) == ()
    assert read("INVITE_CREATE", payload | {"guild_id": GUILD, "flags": 1}) == ()
    assert read("INVITE_DELETE", {"code": "abc", "channel_id": "9"}) == ()


def test_a_deleted_channel_is_told_of_where_it_is_a_guilds():
    [told] = told_of("CHANNEL_DELETE", {"id": "99", "guild_id": GUILD, "type": 0})
    assert told.message == m.NoteChannelDied(cause=REST, channel=ChannelId("99"), arrived_us=1_000)
    assert read("CHANNEL_DELETE", {"id": "99", "type": 1}) == ()


def test_outage_removal_and_arrival_are_told_apart():
    assert told_of("GUILD_DELETE", {"id": "5", "unavailable": True})[0].message == m.GuildWentAway(at_us=1_000)
    assert told_of("GUILD_DELETE", {"id": "5"})[0].message == m.RemoveGuild(at_us=1_000)
    assert read("GUILD_CREATE", {"id": "5", "unavailable": True}) == ()
    [told] = told_of("GUILD_CREATE", {"id": "5", "unavailable": False, "vanity_url_code": "x", "name": "y"})
    assert told.message == m.GuildCameUp(session=SessionId("s1"), at_us=1_000, vanity=True)


@pytest.mark.parametrize(("replayed", "lost_us"), [(False, 0), (True, 400)])
def test_what_a_resume_tells_of_may_have_been_since_the_loss(*, replayed: bool, lost_us: int):
    heard = msgspec.structs.replace(HEARD, replayed=replayed, lost_us=400)
    outage, join = {"id": "5", "unavailable": True}, {"guild_id": "5"}
    away = Translator(lambda _: None).translate("GUILD_DELETE", outage, heard)
    assert away == (Told(guild=GuildId("5"), message=m.GuildWentAway(at_us=1_000, lost_us=lost_us)),)
    unread = Translator(lambda _: None).translate("GUILD_MEMBER_ADD", join, heard)
    assert isinstance(unread, Unreadable)
    assert [each.message.lost_us for each in unread.told if isinstance(each.message, m.NoteUnreadable)] == [lost_us]


def test_what_is_no_concern_of_ours_says_nothing():
    assert read("TYPING_START", {"guild_id": GUILD}) == ()


@given(name=st.sampled_from(DISPATCHES), payload=JSON)
def test_no_json_raises(name: str, payload: object):
    translation = read(name, payload)
    if isinstance(translation, Unreadable):
        assert translation.digest == hashlib.sha256(translation.payload).hexdigest()


@given(field=st.sampled_from(sorted(joined())), value=JSON)
def test_one_spoilt_field_is_a_join_or_a_note_of_it(field: str, value: object):
    everything = told_of("GUILD_MEMBER_ADD", joined() | {field: value})
    assert everything or field == "guild_id", "the guild hears of it"
    for told in everything:
        assert isinstance(told.message, m.RecordJoin | m.NoteUnreadable)
        assert told.guild == GUILD or field == "guild_id"


def deleted(**changes: object) -> dict[str, object]:
    """GUILD_AUDIT_LOG_ENTRY_CREATE as Discord sends it of an invite that a person deleted."""
    payload: dict[str, object] = {
        "id": "1133434420400000000",
        "guild_id": GUILD,
        "user_id": "12",
        "target_id": None,
        "action_type": 42,
        "changes": [{"key": "code", "old_value": "aBc-1"}, {"key": "max_uses", "old_value": 1}],
    }
    return payload | changes


def test_an_invite_that_a_person_deleted_is_told_with_code_author_and_time():
    [told] = told_of("GUILD_AUDIT_LOG_ENTRY_CREATE", deleted())
    at_us = ((1133434420400000000 >> 22) + 1_420_070_400_000) * 1_000
    deletion = m.DeletedInvite(code=InviteCode("aBc-1"), at_us=at_us, by=UserId("12"))
    assert told == Told(guild=GUILD, message=m.NoteLogged(cause=REST, deletions=(deletion,), arrived_us=1_000))


def test_other_actions_are_no_concern_of_ours_whatever_they_hold():
    for action in (1, 20, 41):
        assert read("GUILD_AUDIT_LOG_ENTRY_CREATE", deleted(action_type=action, changes="none")) == ()


def test_an_invite_that_somebody_made_is_told_without_its_maker_who_may_be_a_bot():
    made = [{"key": key, "new_value": value} for key, value in (("code", "aBc-1"), ("max_uses", 3), ("max_age", 60))]
    [told] = told_of("GUILD_AUDIT_LOG_ENTRY_CREATE", deleted(action_type=40, changes=made))
    at_us = ((1133434420400000000 >> 22) + 1_420_070_400_000) * 1_000
    creation = m.CreatedInvite(code=InviteCode("aBc-1"), at_us=at_us, max_uses=3, max_age_s=60)
    assert told.message == m.NoteLogged(cause=REST, creations=(creation,), arrived_us=1_000)


def test_a_bot_that_was_added_is_told_with_who_added_it():
    [told] = told_of("GUILD_AUDIT_LOG_ENTRY_CREATE", deleted(action_type=28, target_id="77", changes=[]))
    added = m.AddedBot(bot=UserId("77"), by=UserId("12"))
    assert told.message == m.NoteLogged(cause=REST, bots=(added,), arrived_us=1_000)


@pytest.mark.parametrize("action", [28, 40, 42])
def test_an_entry_that_does_not_say_whom_or_which_invite_it_is_about_is_unreadable(action: int):
    assert isinstance(read("GUILD_AUDIT_LOG_ENTRY_CREATE", deleted(action_type=action, changes=[])), Unreadable)
    assert isinstance(read("GUILD_AUDIT_LOG_ENTRY_CREATE", deleted(action_type=str(action))), Unreadable)


def test_a_guild_that_approves_its_members_by_hand_says_so_when_it_comes_and_when_it_changes():
    by_hand = {"id": GUILD, "features": ["COMMUNITY", "MEMBER_VERIFICATION_MANUAL_APPROVAL"]}
    [came] = told_of("GUILD_CREATE", by_hand)
    assert came.message == m.GuildCameUp(session=SessionId("s1"), at_us=1_000, approval=True)
    [plain] = told_of("GUILD_CREATE", {"id": GUILD})
    assert isinstance(plain.message, m.GuildCameUp)
    known = plain.message
    translator = Translator(lambda _: known)
    assert translator.translate("GUILD_UPDATE", by_hand, HEARD) == (came,)
    assert translator.translate("GUILD_UPDATE", {"id": GUILD, "features": ["COMMUNITY"]}, HEARD) == ()
