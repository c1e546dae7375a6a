"""Settings: what may be said, what is refused with which fix, and that no secret is ever shown."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.settings import BadSettings, Endpoint, Settings
from actors.sources import Row, described, look, read_settings
from persistence.address import SECRET_VARIABLES, VARIABLES

TOKEN = "MTk4NjIyNDgz.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"
Say = Callable[..., Settings]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting is said, and the working folder is empty."""
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, *VARIABLES):
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Reads settings after setting variables; files come from the test's own folder."""

    def read(**values: str) -> Settings:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return read_settings(env_file=tmp_path / ".env", secrets=tmp_path / "secrets")

    return read


def findings_of(say: Say, **values: str) -> tuple[str, ...]:
    with pytest.raises(BadSettings) as caught:
        say(**values)
    return caught.value.findings


def test_only_the_token_must_be_set(say: Say):
    settings = say()
    assert settings.discord_api_url == "https://discord.com/api/v10"
    assert (settings.ledger_data, settings.database()) == (Path("data"), Path("data/ledger.db"))
    assert settings.named_layers() == {"log", "database"}
    assert settings.http() == Endpoint("127.0.0.1", 8080)
    assert settings.ledger_second_witness == "on"
    with pytest.raises(BadSettings, match=r"DISCORD_TOKEN must be set .*\.env"):
        settings.token()


@pytest.mark.parametrize(
    "copied", [TOKEN, f" {TOKEN}\n", f'"{TOKEN}"', f"'{TOKEN}'", f"Bot {TOKEN}", f'"Bot {TOKEN}" ']
)
def test_what_is_copied_along_with_a_token_is_taken_off(say: Say, copied: str):
    assert say(DISCORD_TOKEN=copied).token().get_secret_value() == TOKEN


@pytest.mark.parametrize("broken", [f"{TOKEN} {TOKEN}", f"{TOKEN[:9]}\n{TOKEN[9:]}", f"{TOKEN}…"])
def test_a_broken_token_is_explained_and_not_shown(say: Say, broken: str):
    (finding,) = findings_of(say, DISCORD_TOKEN=broken)
    assert finding.startswith("DISCORD_TOKEN must be the bot's token")
    assert TOKEN[:9] not in finding


def test_the_token_is_in_no_text_of_settings_or_errors(say: Say):
    settings = say(DISCORD_TOKEN=TOKEN, LEDGER_HTTP_TOKEN="metrics-secret", LEDGER_CLOUD_TOKEN="cloud-secret")
    shown = f"{settings!r} {settings} {settings.token()!r} {described(settings)!r}"
    assert TOKEN not in shown
    assert "metrics-secret" not in shown
    assert "cloud-secret" not in shown
    assert settings.secrets() == (TOKEN, "metrics-secret", "cloud-secret")


def test_a_stores_secrets_are_kept_out_of_every_text_too(say: Say):
    settings = say(
        AWS_ACCESS_KEY_ID="an-id", AWS_SECRET_ACCESS_KEY="store-secret", AZURE_STORAGE_SAS_TOKEN="sig=secret"
    )
    assert "secret" not in f"{settings!r} {settings} {described(settings)!r}"
    assert set(settings.secrets()) == {"store-secret", "sig=secret"}


def test_a_stores_variables_have_rows_where_they_are_set(say: Say, tmp_path: Path):
    (tmp_path / ".env").write_text("AWS_REGION=eu-north-1\n")
    rows = described(say(AWS_SECRET_ACCESS_KEY="store-secret", AWS_ENDPOINT_URL="https://s3.example.org"))
    assert [row for row in rows if row.name in VARIABLES] == [
        Row("AWS_ENDPOINT_URL", "https://s3.example.org", "environment"),
        Row("AWS_REGION", "eu-north-1", str(tmp_path / ".env")),
        Row("AWS_SECRET_ACCESS_KEY", "********", "environment"),
    ]


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_of_no_store_a_secret_is_shown(say: Say, name: str):
    value = "a-secret" if name in SECRET_VARIABLES else "https://me:a-secret@s3.example.org"
    assert Row(name, "********", "environment") in described(say(**{name: value}))


def test_a_token_in_the_wrong_place_is_not_shown_either(say: Say):
    for name in (
        "LEDGER_ACK",
        "LEDGER_DISK",
        "LEDGER_HTTP",
        "DATABASE_URL",
        "DISCORD_API_URL",
        "PORT",
        "LEDGER_CLOUD",
    ):
        with pytest.raises(BadSettings) as caught:
            say(**{name: TOKEN})
        assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_the_environment_wins_over_secrets_and_secrets_over_the_file(say: Say, tmp_path: Path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "discord_token").write_text(f"{TOKEN}\n")
    (tmp_path / "secrets" / "LEDGER_ACK").write_text("local\n")
    (tmp_path / ".env").write_text(f"DISCORD_TOKEN=other\nLEDGER_ACK=database\nLEDGER_DATA='{tmp_path}'\nFOREIGN=1\n")
    settings = say(LEDGER_LOG="console", LEDGER_ACK="")
    rows = {row.name: row for row in described(settings)}
    assert settings.token().get_secret_value() == TOKEN
    assert rows["DISCORD_TOKEN"] == Row("DISCORD_TOKEN", "********", str(tmp_path / "secrets"))
    assert rows["LEDGER_ACK"] == Row("LEDGER_ACK", "local", str(tmp_path / "secrets"))
    assert rows["LEDGER_LOG"] == Row("LEDGER_LOG", "console", "environment")
    assert rows["DATABASE_URL"] == Row("DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db", "default")
    assert rows["LEDGER_DATA"].source == str(tmp_path / ".env")


NOT_TOLD = {
    "s3://id:key@bucket",
    "https://me:secret@discord.com",
    "http://127.0.0.1:80/",
    "sqlite:///:memory:",
    "discord.example/api",
    "two words",
    __file__,
}
"""Of the values below those that may hold a secret, as far as can be seen."""


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        (
            "LEDGER_CLOUD",
            "bucket",
            "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, file:///folder or",
        ),
        ("LEDGER_CLOUD", "s3://id:key@bucket", "without credentials in it: they have variables of their own"),
        ("LEDGER_CLOUD", "file://folder", "file:/// and the path of a folder"),
        ("LEDGER_CLOUD", "http://vault.example.org", "https://, since the vault's token"),
        ("LEDGER_CLOUD_TOKEN", "two words", "a word"),
        ("CLOUD_API_URL", "s3://bucket", "a vault's address, such as https://vault"),
        ("CLOUD_API_URL", "vault", "a vault's address, such as https://vault"),
        ("CLOUD_API_URL", "http://[", "a vault's address, such as https://vault"),
        (
            "DATABASE_URL",
            "postgresql://db/ledger",
            "remove the variable, which a host's database add-on may have set, or set it to sqlite:///",
        ),
        ("LEDGER_ACK", "cloud", "`local` or `database` while LEDGER_CLOUD is not set"),
        ("LEDGER_ACK", "databse", "`local`, `database` or `cloud`; left out, it goes by the disk"),
        ("LEDGER_DISK", "ssd", "`lasting` or `ephemeral`"),
        ("LEDGER_LOG", "text", "`json` or `console`"),
        ("LEDGER_HTTP", "8080", "host:port"),
        ("LEDGER_HTTP", "localhost:http", "host:port"),
        ("LEDGER_HTTP", "127.0.0.1:70000", "host:port"),
        ("LEDGER_HTTP", "http://127.0.0.1:80/", "host:port"),
        ("LEDGER_HTTP_TOKEN", "two words", "a word"),
        ("LEDGER_SECOND_WITNESS", "maybe", "`on` or `off`: whether Discord's member search may be asked"),
        ("DATABASE_URL", "mysql://db", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///:memory:", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///", "sqlite:///"),
        ("DISCORD_API_URL", "discord.example/api", "a REST base"),
        ("DISCORD_API_URL", "https://me:secret@discord.com", "without user and password"),
        ("PORT", "-1", "a port number"),
        ("LEDGER_DATA", __file__, "a folder"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_fix(say: Say, name: str, value: str, fix: str):
    (finding,) = findings_of(say, **{name: value})
    assert finding.startswith(f"{name} must be ")
    assert fix in finding
    assert finding.endswith(" (environment)." if value in NOT_TOLD else f" (environment: `{value}`).")


@pytest.mark.parametrize(("folder", "link"), [("loop", "loop"), ("loop/data", "loop"), ("dangling", "dangling")])
def test_links_that_lead_to_no_folder_are_none_for_the_data(say: Say, tmp_path: Path, folder: str, link: str):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    (finding,) = findings_of(say, LEDGER_DATA=str(tmp_path / folder))
    assert f"{tmp_path / link} is a file, or a link that leads to no folder: move it away" in finding


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://ledger:hidden@db/ledger"),
        ("DATABASE_URL", "mysql://db?password=hidden"),
        ("DISCORD_API_URL", "ftp://hidden@discord.com"),
        ("LEDGER_CLOUD", "s3://bucket#hidden"),
        ("LEDGER_CLOUD", "s3://id:hidden"),
        ("LEDGER_CLOUD", "id:hidden@bucket"),
        ("LEDGER_HTTP_TOKEN", "is hidden"),
        ("LEDGER_CLOUD_TOKEN", "is hidden"),
        ("DISCORD_TOKEN", "is hidden"),
        ("LEDGER_ACK", "hidden-and-longer"),
        ("LEDGER_ACK", "hidden\nor"),
    ],
)
def test_a_value_that_may_hold_a_secret_is_not_told_with_its_fault(say: Say, name: str, value: str):
    (finding,) = findings_of(say, **{name: value})
    assert finding.endswith(" (environment).")
    assert "hidden" not in finding


def test_where_a_value_comes_from_that_cannot_be_used_is_told(say: Say, tmp_path: Path):
    (tmp_path / ".env").write_text("LEDGER_LOG=text\nLEDGER_HTTP_TOKEN='two words'\n")
    token, log = sorted(findings_of(say))
    assert log.endswith(f" ({tmp_path / '.env'}: `text`).")
    assert token.endswith(f" ({tmp_path / '.env'}).")


def test_every_finding_is_told_at_once(say: Say, tmp_path: Path):
    (tmp_path / ".env").write_text("LEDGER_SECOND_WITNES=off\n")
    found = findings_of(say, LEDGER_DISC="lasting", LEDGER_ACK="all", LEDGER_NOTHING_LIKE_IT="1")
    assert found == (
        "LEDGER_DISC (environment) is no setting: did you mean LEDGER_DISK?",
        "LEDGER_NOTHING_LIKE_IT (environment) is no setting: remove it (`inviteledger config` lists all).",
        f"LEDGER_SECOND_WITNES ({tmp_path / '.env'}) is no setting: did you mean LEDGER_SECOND_WITNESS?",
        f"LEDGER_ACK must be {Settings.model_fields['ledger_ack'].description} (environment: `all`).",
    )


def test_an_unknown_name_among_the_secrets_is_found(say: Say, tmp_path: Path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "ledger_tokn").write_text("x")
    (tmp_path / "secrets" / "database_password").write_text("not ours")
    assert findings_of(say)[0].startswith(f"LEDGER_TOKN ({tmp_path / 'secrets'}) is no setting")


def test_a_file_that_is_no_text_is_a_finding(say: Say, tmp_path: Path):
    (tmp_path / ".env").write_bytes(b"LEDGER_ACK=\xff\xfe\n")
    (finding,) = findings_of(say)
    assert finding.startswith(f"{tmp_path / '.env'} must be readable text (")


@pytest.mark.parametrize(
    ("values", "endpoint", "source", "loopback"),
    [
        ({}, Endpoint("127.0.0.1", 8080), "default", True),
        ({"PORT": "3000"}, Endpoint("0.0.0.0", 3000), "PORT", False),
        ({"PORT": "3000", "LEDGER_HTTP": "localhost:0"}, Endpoint("localhost", 0), "environment", True),
        ({"LEDGER_HTTP": "[::1]:9000"}, Endpoint("::1", 9000), "environment", True),
        ({"LEDGER_HTTP": "bot.internal:9000"}, Endpoint("bot.internal", 9000), "environment", False),
    ],
)
def test_where_health_is_served(say: Say, values: dict[str, str], endpoint: Endpoint, source: str, loopback: bool):  # noqa: FBT001 -- a column
    settings = say(**values)
    assert settings.http() == endpoint
    assert settings.origin("LEDGER_HTTP") == source
    assert endpoint.is_loopback() is loopback
    assert str(endpoint) == values.get("LEDGER_HTTP", f"{endpoint.host}:{endpoint.port}")


def test_a_database_may_lie_elsewhere(say: Say):
    assert say(DATABASE_URL="sqlite:////var/lib/x.db").database() == Path("/var/lib/x.db")


def test_the_log_alone_may_acknowledge(say: Say):
    assert say(LEDGER_ACK="local").named_layers() == {"log"}


# The cloud

CLOUD = "s3://bucket/prefix"
VAULT = "https://vault.example.org"


@pytest.mark.parametrize(
    ("said", "address", "source"),
    [
        ({}, None, "default"),
        ({"LEDGER_CLOUD": CLOUD}, CLOUD, "environment"),
        ({"LEDGER_CLOUD": f"{CLOUD}/"}, CLOUD, "environment"),
        ({"CLOUD_API_URL": VAULT}, VAULT, "CLOUD_API_URL"),
        ({"CLOUD_API_URL": VAULT, "LEDGER_CLOUD": CLOUD}, CLOUD, "environment"),
        ({"CLOUD_API_URL": VAULT, "LEDGER_CLOUD": ""}, VAULT, "CLOUD_API_URL"),
    ],
)
def test_where_the_cloud_is(say: Say, said: dict[str, str], address: str | None, source: str):
    settings = say(**said)
    assert settings.cloud() == address
    (row,) = (row for row in described(settings) if row.name == "LEDGER_CLOUD")
    assert row == Row("LEDGER_CLOUD", address or "none", source)


def test_a_vaults_address_has_a_row_of_its_own(say: Say):
    rows = described(say(CLOUD_API_URL=VAULT, LEDGER_CLOUD=CLOUD))
    assert Row("CLOUD_API_URL", VAULT, "environment") in rows
    assert Row("LEDGER_CLOUD", CLOUD, "environment") in rows


@pytest.mark.parametrize(
    ("said", "layers"),
    [
        ({"LEDGER_DISK": "lasting"}, {"log", "database"}),
        ({"LEDGER_DISK": "ephemeral"}, {"log", "database"}),
        ({"LEDGER_DISK": "lasting", "LEDGER_CLOUD": CLOUD}, {"log", "database"}),
        ({"LEDGER_DISK": "ephemeral", "LEDGER_CLOUD": CLOUD}, {"log", "database", "cloud"}),
        ({"LEDGER_DISK": "ephemeral", "CLOUD_API_URL": VAULT}, {"log", "database", "cloud"}),
        ({"LEDGER_DISK": "ephemeral", "LEDGER_CLOUD": CLOUD, "LEDGER_ACK": "local"}, {"log"}),
        ({"LEDGER_DISK": "lasting", "LEDGER_CLOUD": CLOUD, "LEDGER_ACK": "cloud"}, {"log", "database", "cloud"}),
        ({"DYNO": "web.1", "LEDGER_CLOUD": CLOUD}, {"log", "database", "cloud"}),
    ],
)
def test_what_acknowledges_goes_by_the_disk_and_the_cloud(say: Say, said: dict[str, str], layers: set[str]):
    settings = say(**said)
    assert settings.named_layers() == layers
    (row,) = (row for row in described(settings) if row.name == "LEDGER_ACK")
    assert row.value == settings.ack()


def test_without_a_cloud_nothing_waits_for_it(say: Say, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LEDGER_ACK", "cloud")
    reading = look()
    assert (reading.refused, reading.settings.ack()) == ({"LEDGER_ACK"}, "database")
    assert findings_of(say, LEDGER_CLOUD="bucket")[0].startswith("LEDGER_CLOUD must be"), "and nothing more"


def test_a_stores_variables_come_from_every_source(say: Say, tmp_path: Path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "aws_secret_access_key").write_text("from-a-secret\n")
    (tmp_path / ".env").write_text("AWS_REGION=eu-north-1\nAWS_ACCESS_KEY_ID=other\nAWS_PROFILE=mine\n")
    settings = say(AWS_ACCESS_KEY_ID="an-id", AWS_ENDPOINT_URL="")
    assert settings.store_variables() == {
        "AWS_ACCESS_KEY_ID": "an-id",
        "AWS_SECRET_ACCESS_KEY": "from-a-secret",
        "AWS_REGION": "eu-north-1",
    }
