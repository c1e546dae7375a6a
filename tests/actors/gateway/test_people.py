"""/fix_staff_usernames as real interactions: names of the world, kept by id, and what changed."""

import pytest

from actors.gateway import people
from actors.gateway.people import clean
from ledger import messages as m
from ledger.answers import Answer, CodeReport, CodesReport
from ledger.ids import GuildId, InviteCode, UserId
from ledger.state import Assignment
from sandbox import Sandbox
from sandbox.models import Guild, User
from tests.actors.gateway.town import Town


@pytest.fixture(autouse=True)
async def ready(town: Town, guild: Guild, gateway: object) -> None:
    del gateway
    await town.until_heard(guild.id, m.GuildCameUp)


def assign(town: Town, *users: int) -> list[UserId]:
    """Each holds a code of its own, in the order of the versions."""
    staff = [UserId(str(user)) for user in users]
    codes = tuple(
        CodeReport(
            code=InviteCode(f"c{at}"), listed=True, uses=0, inviter=None, assignments=(Assignment(at, user, 1),)
        )
        for at, user in enumerate(staff, start=1)
    )
    town.answer = lambda _: CodesReport(codes=codes)
    return staff


async def names_of(town: Town, guild: Guild, *users: UserId) -> dict[UserId, str]:
    return dict(await town.inside.books.names(GuildId(str(guild.id)), users))


async def test_what_changed_is_new_unchanged_or_gone_is_told_and_kept(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    world = sandbox.world
    alicia, same, left = (
        world.add_staff(guild, world.add_user("alicia")),
        world.add_staff(guild),
        world.add_user("lou"),
    )
    ids = assign(town, alicia.id, same.id, left.id, 404, staff.id)
    before = {ids[0]: "Alice", ids[1]: same.name.title(), ids[3]: "Ghost"}
    await town.inside.books.put_names(GuildId(str(guild.id)), before)
    reply = await sandbox.slash(guild, staff, "fix_staff_usernames")
    assert "1 name changed, 2 new, 1 unchanged." in reply.text
    assert f"<@{alicia.id}>: \u2068Alice\u2069 → \u2068Alicia\u2069" in reply.text
    assert f"<@{left.id}>: \u2068Lou\u2069 (new)" in reply.text
    assert "<@404>: this account is gone; the last name is kept" in reply.text
    kept = await names_of(town, guild, *ids)
    assert (kept[ids[0]], kept[ids[2]], kept[ids[3]]) == ("Alicia", "Lou", "Ghost")


async def test_whoever_is_forgotten_while_discord_is_asked_keeps_no_name(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    kept, forgotten = sandbox.world.add_staff(guild), sandbox.world.add_staff(guild)
    ids = assign(town, kept.id, forgotten.id)
    first = town.answer

    def answer(message: m.Message) -> Answer:
        assign(town, kept.id)
        return first(message)

    town.answer = answer
    await sandbox.slash(guild, staff, "fix_staff_usernames")
    assert set(await names_of(town, guild, *ids)) == {ids[0]}


async def test_nobody_is_asked_for_where_no_invite_is_assigned(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    assign(town)
    reply = await sandbox.slash(guild, staff, "fix_staff_usernames")
    assert reply.text == "No invite is assigned to anybody yet."


async def test_more_staff_than_a_run_takes_is_said_and_the_unknown_come_first(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(people, "MAX_STAFF_A_RUN", 2)
    members = [sandbox.world.add_staff(guild) for _ in range(3)]
    ids = assign(town, *(each.id for each in members))
    await town.inside.books.put_names(GuildId(str(guild.id)), {ids[2]: "Known"})
    reply = await sandbox.slash(guild, staff, "fix_staff_usernames")
    assert "1 person not asked for" in reply.text
    assert (await names_of(town, guild, *ids))[ids[2]] == "Known"


async def test_where_discord_does_not_answer_it_is_asked_no_further(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town
):
    members = [sandbox.world.add_staff(guild) for _ in range(6)]
    ids = assign(town, *(each.id for each in members))
    sandbox.faults.fail("member", 503, times=100)
    reply = await sandbox.slash(guild, staff, "fix_staff_usernames")
    assert "3 names could not be read. Discord could not answer (status 503)" in reply.text
    assert "3 people not asked for" in reply.text
    assert sandbox.count("member", 503) == 3
    assert await names_of(town, guild, *ids) == {}


async def test_a_run_ends_before_the_interaction_does_and_says_so(
    guild: Guild, staff: User, sandbox: Sandbox, town: Town, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(people, "RUN_S", 0.06)
    assign(town, sandbox.world.add_staff(guild).id, sandbox.world.add_staff(guild).id)
    sandbox.faults.hang("member")
    reply = await sandbox.slash(guild, staff, "fix_staff_usernames")
    assert "I stopped after 0.001 minutes, and keep what I have." in reply.text
    assert "2 people not asked for this time." in reply.text


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("安娜", "安娜"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("\u202eevil\u202c  x", "evil x"),
        ("a\nb\tc\x00", "a b c"),
        ("\ud83d half", "half"),
        ("x" * 500, "x" * 100),
        ("\u200b \u2067", ""),
        ("**@everyone** <@1>", "**@everyone** <@1>"),
    ],
)
def test_names_are_kept_as_people_mean_them_on_one_line(name: str, kept: str):
    assert clean(name) == kept
