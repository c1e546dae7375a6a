"""What ``doctor`` says of the store that LEDGER_CLOUD names."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from actors.cli.cloud import try_cloud
from actors.footing import Footing
from actors.gateway.findings import Finding, Severity
from actors.settings import Settings, Surroundings
from persistence.disk import RealDisk
from tests.actors.vaults import serving
from tests.memory.objects import MemoryBucket, MemoryObjects
from tests.servers import Place


def findings(environ: Mapping[str, str] | None = None, disk: str = "lasting", **said: str) -> list[Finding]:
    settings = Settings.model_validate(said)
    footing = Footing("ephemeral" if disk == "ephemeral" else "lasting", "the test says so")
    return list(try_cloud(settings.read_in(Surroundings(footing=footing, store_variables=environ or {}))))


def test_no_cloud_is_no_finding():
    assert findings() == []


def test_a_bucket_that_is_fit_is_fine(s3_address: Place):
    (finding,) = findings(s3_address.environ, ledger_cloud=s3_address.address)
    assert finding.severity is Severity.FINE
    assert finding.what == f"LEDGER_CLOUD, {s3_address.address}, keeps what it is given, and two writers apart"


def test_a_folder_that_is_fit_is_fine_and_left_empty(tmp_path: Path):
    (finding,) = findings(ledger_cloud=(tmp_path / "cloud").as_uri(), ledger_data=str(tmp_path / "data"))
    assert finding.severity is Severity.FINE
    assert RealDisk().names(tmp_path / "cloud" / "probe") == []


def test_a_folder_in_the_data_folder_is_no_second_place(tmp_path: Path):
    first, second = findings(ledger_cloud=(tmp_path / "cloud").as_uri(), ledger_data=str(tmp_path))
    assert (first.severity, second.severity) == (Severity.WARNING, Severity.FINE)
    assert "lies in LEDGER_DATA and is lost with it" in first.what


def test_a_store_that_refuses_stops_the_bot_and_no_secret_is_told(s3_address: Place):
    wrong = {**s3_address.environ, "AWS_SECRET_ACCESS_KEY": "not-to-be-told"}
    (finding,) = findings(wrong, ledger_cloud=s3_address.address)
    assert finding.severity is Severity.BLOCKING
    assert "the secret key does not belong to the access key" in finding.what
    assert "LEDGER_CLOUD" in finding.fix
    assert "doctor" not in finding.fix, "who reads it has called it"
    assert "not-to-be-told" not in str(finding)


@pytest.mark.parametrize(("disk", "severity"), [("lasting", Severity.WARNING), ("ephemeral", Severity.AWAY)])
def test_a_store_that_is_away_stops_only_a_bot_that_knows_nothing_without_it(
    deaf_port: int, disk: str, severity: Severity
):
    endpoint = f"http://127.0.0.1:{deaf_port}"
    variables = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    (finding,) = findings(variables, disk, ledger_cloud="s3://bucket")
    assert finding.severity is severity
    assert "Connection refused" in finding.what


@pytest.mark.parametrize(
    ("said", "differs"),
    [
        ({"ledger_cloud_token": "not-to-be-told"}, "LEDGER_CLOUD_TOKEN is another than the vault's own"),
        ({}, "LEDGER_CLOUD_TOKEN is not set, and the vault wants it"),
    ],
)
async def test_a_token_that_is_not_the_vaults_is_told_from_all_else(said: Mapping[str, str], differs: str):
    async with serving(MemoryObjects(MemoryBucket())) as vault:
        (finding,) = await asyncio.to_thread(findings, ledger_cloud=vault.address, **said)
    assert finding.severity is Severity.BLOCKING
    assert finding.what.startswith(differs)
    assert "that the vault was started with" in finding.fix
    assert "not-to-be-told" not in str(finding)
