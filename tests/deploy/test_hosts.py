"""Compose, systemd, Fly, Kubernetes: the samples say what image and program say, and leave time to drain."""

import re
import shlex
import subprocess
import tomllib
from configparser import ConfigParser
from typing import Any

import pytest

from actors.cli.exits import CONFIGURATION
from actors.ops.http import OPEN_PATHS
from tests.deploy.files import DEPLOY, LONGEST_DRAIN_S, ROOT, last, of_image, read_yaml, unknown, user_id

PAGE = ROOT / "docs" / "deploy.md"
HOME = of_image()["LEDGER_DATA"]


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_compose_keeps_the_data_in_a_volume_with_a_name():
    [compose] = read_yaml(ROOT / "compose.yaml")
    for name, service in compose["services"].items():
        [mount] = service["volumes"]
        volume, place = mount.split(":")
        assert volume in compose["volumes"], name
        assert place == HOME
        assert seconds(service["stop_grace_period"]) >= LONGEST_DRAIN_S
        assert unknown(list(service.get("environment", {}))) == []
    assert compose["services"]["vault"]["profiles"] == ["vault"], "who wants a bot alone gets a bot alone"
    assert "profiles" not in compose["services"]["bot"]


def test_systemd_lets_the_bot_drain_and_does_not_repeat_what_only_a_person_can_mend():
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] -- systemd's names are of mixed case
    unit.read(DEPLOY / "inviteledger.service")
    service = unit["Service"]
    assert shlex.split(service["ExecStart"])[1:] == last("CMD").command()[1:]
    assert int(service["TimeoutStopSec"]) >= LONGEST_DRAIN_S
    assert int(service["RestartPreventExitStatus"]) == CONFIGURATION
    assert service["WorkingDirectory"] in service["ReadWritePaths"]


def test_fly_asks_for_ready_and_lets_the_bot_drain():
    fly = tomllib.loads((DEPLOY / "fly.toml").read_text())
    assert fly["kill_signal"] == last("STOPSIGNAL").rest
    assert LONGEST_DRAIN_S <= fly["kill_timeout"] <= 300
    assert fly["mounts"]["destination"] == HOME
    assert fly["checks"]["ready"]["path"] in OPEN_PATHS
    assert fly["checks"]["ready"]["port"] == int(fly["env"]["PORT"])
    assert (ROOT / fly["build"]["dockerfile"]).exists()
    assert unknown(list(fly["env"])) == []


def pod_of(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest's workload, and its pod."""
    workload = read_yaml(DEPLOY / name)[0]
    return workload, workload["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", ["kubernetes.yaml", "kubernetes-cloud.yaml"])
def test_a_pod_is_the_images_user_is_probed_and_may_drain(name: str):
    workload, pod = pod_of(name)
    [bot] = pod["containers"]
    assert workload["spec"]["replicas"] == 1
    assert workload["spec"]["selector"]["matchLabels"] == workload["spec"]["template"]["metadata"]["labels"]
    assert pod["terminationGracePeriodSeconds"] >= LONGEST_DRAIN_S
    assert {pod["securityContext"][each] for each in ("runAsUser", "runAsGroup", "fsGroup")} == {user_id()}
    [port] = bot["ports"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert bot[probe]["httpGet"]["port"] == port["name"]
        assert bot[probe]["httpGet"]["path"] in OPEN_PATHS
    environ = {each["name"]: each["value"] for each in bot["env"]}
    assert environ["LEDGER_HTTP"] == f"0.0.0.0:{port['containerPort']}"
    assert unknown(list(environ)) == []
    assert [each["mountPath"] for each in bot["volumeMounts"]] == [HOME]


def test_one_pod_keeps_its_disk_and_the_other_needs_none():
    lasting, _ = pod_of("kubernetes.yaml")
    [claim] = lasting["spec"]["volumeClaimTemplates"]
    assert lasting["kind"] == "StatefulSet"
    assert claim["metadata"]["name"] == "data"
    passing, pod = pod_of("kubernetes-cloud.yaml")
    assert passing["kind"] == "Deployment"
    assert passing["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert pod["volumes"] == [{"name": "data", "emptyDir": {}}]
    assert {"name": "LEDGER_ACK", "value": "cloud"} in pod["containers"][0]["env"]


def test_the_page_names_every_file_and_its_commands_are_shell():
    page = PAGE.read_text()
    for path in (*DEPLOY.iterdir(), ROOT / "Dockerfile", ROOT / "compose.yaml", ROOT / ".railway" / "railway.py"):
        assert path.name in page, path
    for block in re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL):
        assert subprocess.run(["bash", "-n"], input=block, text=True, check=False).returncode == 0, block
