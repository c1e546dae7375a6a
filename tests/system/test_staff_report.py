"""The whole bot's /staff_report over real sockets: its text and its file against what the sandbox knows."""

import csv
import io
from collections import Counter

from sandbox.answers import Reply
from tests.system.conftest import Stage


def read(reply: Reply, name: str) -> list[dict[str, str]]:
    """The rows of an attached file, by the names of its header."""
    assert reply.original is not None
    return list(csv.DictReader(io.StringIO(reply.original.files[name].decode("utf-8-sig"), newline="")))


async def test_the_figures_of_two_staff_are_the_truth_in_text_and_file(stage: Stage):
    boris = stage.world.add_staff(stage.guild)
    his = stage.world.add_invite(stage.guild, boris)
    await stage.bot.start(guilds=1)
    await stage.sandbox.slash(stage.guild, stage.staff, "invite create", {"label": "出差 =1+1"}, timeout_s=20)
    labelled = stage.guild.invites[-1]
    codes = [stage.invite.code, stage.invite.code, labelled.code, his.code]
    for code in codes:  # one after the other: each is certain
        await stage.worked_out(stage.world.join(stage.guild, via=code))
    gone = stage.world.truth[0]
    stage.world.leave(stage.guild, stage.world.users[gone.user_id])
    await stage.worked_out(stage.world.join(stage.guild, via=his.code))  # events come in order: the leave is known

    owner = {labelled.code: stage.staff.id, stage.invite.code: stage.staff.id, his.code: boris.id}
    brought = Counter(owner[join.via] for join in stage.world.truth)
    left = Counter(owner[join.via] for join in stage.world.truth if join.user_id == gone.user_id)
    reply = await stage.sandbox.slash(stage.guild, stage.staff, "staff_report", timeout_s=20)
    rows = read(reply, "staff_report.csv")
    found = {int(row["staff_id"]): (int(row["joins_credited"]), int(row["still_here"])) for row in rows}
    assert found == {staff: (joins, joins - left[staff]) for staff, joins in brought.items()}
    assert found == {stage.staff.id: (3, 2), boris.id: (2, 2)}
    assert [row["staff_id"] for row in rows] == [str(stage.staff.id), str(boris.id)]
    assert {(row["vips_credited"], row["open_cases"]) for row in rows} == {("0", "0")}
    assert read(reply, "labels.csv") == [{"label": "出差 =1+1", "joins_credited": "1"}]
    for staff, (joins, here) in found.items():
        assert f"<@{staff}>" in reply.text
        assert f"**{joins}** joins, {here} here, 0 VIP" in reply.text
