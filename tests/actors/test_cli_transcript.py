"""Answers on a terminal: names and times instead of Discord's markup."""

import pytest

from actors.cli.transcript import readable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("**1.** <@5> (\u2068Ann\u2069): **3** net", "1. @Ann (Ann): 3 net"),
        ("<@6> and <#7>", "@6 and #harbour"),
        ("read <t:60:R> (<t:60:f>)", "read 30 s ago (1970-01-01 00:01 UTC)"),
        ("### Joins\n-# Page 1", "Joins\nPage 1"),
        ("joined with `abc`", "joined with abc"),
        ("\\*\\*bold\\_one\\*\\* \\@everyone", "**bold_one** @everyone"),
    ],
)
def test_markup_becomes_words(text: str, words: str):
    assert readable(text, {5: "Ann", 7: "harbour"}, 90.4) == words
