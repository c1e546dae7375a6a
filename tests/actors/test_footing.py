"""On what kind of disk the data lies: each sign, by itself and against the others."""

from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from actors.footing import Footing, Kind, find_footing, look_back, mount_of, read_mountinfo
from actors.ground import tell_of_new_history, warn_of_first_start
from actors.settings import Settings

DISK = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
CONTAINER = "600 500 0:51 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a\n"
VOLUME = "610 600 254:1 /var/lib/docker/volumes/bot-data/_data /srv/bot rw - ext4 /dev/vda rw\n"
NAMELESS = f"610 600 254:1 /var/lib/docker/volumes/{'ab' * 32}/_data /srv/bot rw - ext4 /dev/vda rw\n"
EMPTY_DIR = "610 600 8:1 /var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/d /srv/bot rw - ext4 /dev/sda rw\n"
MEMORY = "620 600 0:60 / /srv/bot rw - tmpfs tmpfs rw\n"
SPACED = "620 600 254:2 / /srv/my\\040bot rw - xfs /dev/vdb rw\n"
DATA = Path("/srv/bot/data")


@pytest.mark.parametrize(
    ("mounts", "environ", "kind", "sign"),
    [
        (DISK, {}, "lasting", "on ext4, mounted at /"),
        ("", {}, "lasting", "no sign"),
        ("nonsense\n", {}, "lasting", "no sign"),
        (CONTAINER, {}, "ephemeral", "overlay"),
        (CONTAINER + VOLUME, {}, "lasting", "mounted at /srv/bot"),
        (CONTAINER + NAMELESS, {}, "ephemeral", "without a name"),
        (CONTAINER + EMPTY_DIR, {}, "ephemeral", "emptyDir"),
        (CONTAINER + VOLUME + MEMORY, {}, "ephemeral", "in memory"),
        (CONTAINER + SPACED, {}, "ephemeral", "overlay"),
        (DISK, {"DYNO": "web.1"}, "ephemeral", "Heroku"),
        (DISK, {"FLY_APP_NAME": "bot"}, "ephemeral", "on Fly"),
        (CONTAINER + VOLUME, {"FLY_APP_NAME": "bot"}, "lasting", "mounted at /srv/bot"),
        (DISK, {"RENDER": "true"}, "ephemeral", "on Render"),
        (DISK, {"RAILWAY_PROJECT_ID": "1"}, "ephemeral", "on Railway"),
        (DISK, {"RAILWAY_PROJECT_ID": "1", "RAILWAY_VOLUME_MOUNT_PATH": "/srv/bot"}, "lasting", "ext4"),
        (DISK, {"RAILWAY_PROJECT_ID": "1", "RAILWAY_VOLUME_MOUNT_PATH": "/data"}, "ephemeral", "on Railway"),
    ],
)
def test_each_sign_is_read(mounts: str, environ: dict[str, str], kind: str, sign: str):
    footing = find_footing(DATA, None, environ, mounts)
    assert footing.kind == kind
    assert sign in footing.why


def test_the_operators_word_is_taken():
    assert find_footing(DATA, "lasting", {"DYNO": "web.1"}, CONTAINER).kind == "lasting"
    assert find_footing(DATA, "ephemeral", {}, DISK).kind == "ephemeral"


@pytest.mark.parametrize(
    ("said", "seen", "earlier", "kind"),
    [
        (None, False, 3, "ephemeral"),
        (None, True, 3, "lasting"),
        (None, False, 0, "lasting"),
        ("lasting", False, 3, "lasting"),
    ],
)
def test_a_start_that_only_a_layer_elsewhere_remembers_is_a_sign(
    said: Kind | None,
    seen: bool,  # noqa: FBT001 -- a parameter of the table
    earlier: int,
    kind: str,
):
    footing = Footing("lasting", "on ext4, mounted at /")
    found = look_back(footing, said, seen=seen, earlier=earlier)
    assert found.kind == kind
    assert (found == footing) == (kind == "lasting")


def test_a_better_sign_is_not_overruled():
    memory = Footing("ephemeral", "in memory")
    assert look_back(memory, None, seen=False, earlier=3) == memory


def test_an_operator_hears_of_it_once_the_layers_are_read():
    settings, log = Settings.model_validate({}), structlog.get_logger()
    with capture_logs() as lines:
        warn_of_first_start(settings, log, seen=True, earlier=3)
        warn_of_first_start(settings, log, seen=False, earlier=0)
        in_cloud = Settings.model_validate({"ledger_cloud": "s3://bucket", "ledger_ack": "cloud"})
        warn_of_first_start(in_cloud, log, seen=False, earlier=3)
        assert lines == []
        warn_of_first_start(settings, log, seen=False, earlier=3)
    assert [line["event"] for line in lines] == ["disk.ephemeral_found"]


@pytest.mark.parametrize(("cloud", "level"), [("", "info"), ("s3://bucket/mistyped", "warning")])
def test_an_operator_hears_of_a_history_that_begins_and_where_nothing_was_found(cloud: str, level: str):
    settings, log = Settings.model_validate({"ledger_cloud": cloud} if cloud else {}), structlog.get_logger()
    with capture_logs() as lines:
        tell_of_new_history(settings, log, earlier=1)
        assert lines == []
        tell_of_new_history(settings, log, earlier=0)
    (line,) = lines
    assert (line["event"], line["log_level"], line["cloud"]) == ("history.began", level, cloud)
    assert f"nothing was found at {cloud}" in line["hint"] or not cloud


def test_a_history_that_begins_where_nothing_could_be_read_is_a_warning(tmp_path: Path):
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "0000000001.jsonl").write_bytes(b"garbage")
    settings = Settings.model_validate({"ledger_data": tmp_path})
    with capture_logs() as lines:
        tell_of_new_history(settings, structlog.get_logger(), earlier=0)
    assert [(line["event"], line["log_level"]) for line in lines] == [("history.began", "warning")]
    assert f"it is in {tmp_path / 'quarantine'} now" in lines[0]["hint"]


def test_a_place_with_a_blank_in_its_name_is_found():
    mount = mount_of(Path("/srv/my bot/data"), DISK + SPACED)
    assert mount is not None
    assert (mount.point, mount.kind) == (Path("/srv/my bot"), "xfs")


def test_this_machines_mounts_are_read(tmp_path: Path):
    assert find_footing(tmp_path, None, {}, read_mountinfo()).why
