"""``.railway/railway.py``, compiled as Railway's command line does it (cli: src/.../iac, ``evaluate_python``)."""

import importlib.util
import json
from typing import Any

import pytest

from actors.ops.http import OPEN_PATHS
from tests.deploy.files import LONGEST_DRAIN_S, ROOT, last, of_image, unknown

DOCUMENTED = frozenset(
    {
        "drainingSeconds",
        "healthcheckPath",
        "healthcheckTimeout",
        "numReplicas",
        "overlapSeconds",
        "restartPolicyType",
        "startCommand",
    }
)
"""Of Railway's deploy settings (docs.railway.com, config-as-code/reference), those that are used."""


@pytest.fixture
def graph() -> dict[str, dict[str, Any]]:
    """The project's resources by their addresses, once through JSON."""
    spec = importlib.util.spec_from_file_location("railway_sdk_user", ROOT / ".railway" / "railway.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    project = json.loads(json.dumps(module.main().to_graph()))
    return {each["address"]: each for each in project["resources"]}


def test_the_file_compiles_to_one_bot_with_its_volume(graph: dict[str, dict[str, Any]]):
    assert set(graph) == {"service.inviteledger", "volume.inviteledger-data"}
    [attached] = graph["service.inviteledger"]["volumeAttachments"].values()
    assert attached["volume"] == "volume.inviteledger-data"
    assert attached["mountPath"] == of_image()["LEDGER_DATA"]


def test_a_deploy_waits_for_ready_and_leaves_time_to_drain(graph: dict[str, dict[str, Any]]):
    deploy = graph["service.inviteledger"]["deploy"]
    assert set(deploy) <= DOCUMENTED
    assert type(deploy["drainingSeconds"]) is int, "Railway's parser refuses strings (railwayapp/docs issue 1243)"
    assert deploy["drainingSeconds"] >= LONGEST_DRAIN_S
    assert type(deploy["overlapSeconds"]) is int
    assert deploy["healthcheckPath"] in OPEN_PATHS
    assert deploy["startCommand"].split() == last("CMD").command()
    assert deploy["numReplicas"] == 1


def test_it_builds_our_image_and_holds_no_secret(graph: dict[str, dict[str, Any]]):
    bot = graph["service.inviteledger"]
    assert bot["build"] == {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"}
    assert bot["variables"]["DISCORD_TOKEN"] == {"type": "preserve"}
    assert unknown(list(bot["variables"])) == []
