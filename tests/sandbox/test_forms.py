"""What Discord refuses in an answer, limit by limit, and that an answer within all of them passes."""

import pytest

from sandbox.forms import COMPONENTS_V2, wrong_in_choices, wrong_in_message
from sandbox.wire import JsonObject


def button(at: int, **fields: object) -> JsonObject:
    return {"type": 2, "style": 2, "label": "x" * 80, "custom_id": f"{at:0100}"} | fields


def container(*inside: object) -> JsonObject:
    return {"flags": COMPONENTS_V2, "components": [{"type": 17, "components": list(inside)}]}


def text(size: int) -> JsonObject:
    return {"type": 10, "content": "x" * size}


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x" * 2_000},
        {"embeds": [{"description": "x" * 4_096, "fields": [{"name": "x", "value": "x" * 1_024}]}]},
        {"components": [{"type": 1, "components": [button(at) for at in range(5)]}]},
        container(text(2_000), text(2_000), {"type": 1, "components": [button(1)]}),
        container(*(text(1) for _ in range(39))),
    ],
)
def test_what_keeps_every_limit_passes(body: JsonObject):
    assert list(wrong_in_message(body)) == []


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x" * 2_001},
        {"embeds": [{}] * 11},
        {"embeds": [{"title": "x" * 257}]},
        {"embeds": [{"fields": [{"name": "x", "value": "x"}] * 26}]},
        {"embeds": [{"fields": [{"name": "", "value": "x"}]}]},
        {"embeds": [{"fields": [{"name": "x", "value": "x" * 1_025}]}]},
        {"embeds": [{"footer": {"text": "x" * 2_049}}]},
        {"embeds": [{"description": "x" * 4_096}, {"description": "x" * 1_905}]},
        {"embeds": [{"description": "x" * 6_001}]},
        {"components": [{"type": 1, "components": [button(at) for at in range(6)]}]},
        {"components": [{"type": 1, "components": []}]},
        {"components": [text(1)]},
        {"components": [{"type": 1, "components": [button(1), button(1)]}]},
        {"components": [{"type": 1, "components": [button(1, label="x" * 81)]}]},
        {"components": [{"type": 1, "components": [button(1, custom_id="x" * 101)]}]},
        {"components": [{"type": 1, "components": [button(1, custom_id="")]}]},
        container(text(2_000), text(2_001)),
        container(text(0)),
        container(),
        container(*(text(1) for _ in range(40))),
        container(text(1)) | {"content": "not with components V2"},
        container(text(1)) | {"embeds": [{"title": "neither"}]},
        {"flags": COMPONENTS_V2, "components": [button(1)]},
        {"flags": COMPONENTS_V2, "components": []},
    ],
)
def test_what_breaks_a_limit_is_named(body: JsonObject):
    assert list(wrong_in_message(body)) != []


def test_choices_have_their_limits():
    good: list[object] = [{"name": "x" * 100, "value": "y" * 100}] * 25
    assert list(wrong_in_choices({"choices": good})) == []
    assert list(wrong_in_choices({"choices": [*good, *good[:1]]})) != []
    assert list(wrong_in_choices({"choices": [{"name": "x" * 101, "value": "y"}]})) != []
    assert list(wrong_in_choices({"choices": [{"name": "x", "value": ""}]})) != []
