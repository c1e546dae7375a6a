"""Settings: what the operator may say, and what it means. Made in ``main``, passed down, kept in no module.

A validator that raises ``ValueError`` means "not what the field's description says"; ``Unusable`` says it better.
Neither holds a value, and no repr does: a secret may stand in the wrong place (the path of a file that is there is
none). ``actors/sources.py`` tells those that can be none.
What does not live here: where settings are read from (``actors/sources.py``), and how it is found out on what kind of
disk LEDGER_DATA lies (``actors/footing.py``).
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

import msgspec
from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from actors.command import command
from actors.footing import Footing
from ledger.errors import LedgerError
from persistence.address import EXAMPLES, SECRET_VARIABLES, BadAddress, is_loopback, parse_address

DISCORD_API_URL: Final = "https://discord.com/api/v10"
SQLITE: Final = "sqlite:///"
LOCAL_HTTP: Final = "127.0.0.1:8080"
Ack = Literal["local", "database", "cloud"]
NAMED_LAYERS: Final[Mapping[Ack, frozenset[str]]] = {
    "local": frozenset({"log"}),
    "database": frozenset({"log", "database"}),
    "cloud": frozenset({"log", "database", "cloud"}),
}
"""What LEDGER_ACK names, by the layers' names (``Layer.name``)."""
EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- what a server listens on, and how to ask it


class BadSettings(LedgerError):
    """Settings that cannot be used. ``findings``: one sentence each, with the fix; none holds a secret."""

    def __init__(self, findings: Sequence[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = tuple(findings)


class Unusable(ValueError):
    """A value that is refused for a reason of its own; the text completes "NAME must be …"."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found beside the settings where they were read.

    ``origins``: where each value came from, by name; ``footing``: of LEDGER_DATA; ``store_variables``: those of the
    stores that LEDGER_CLOUD can name, by name.
    """

    origins: Mapping[str, str] = {}
    footing: Footing = Footing("lasting", "nobody looked")
    store_variables: Mapping[str, str] = {}


class Endpoint(msgspec.Struct, frozen=True):
    """Where to listen. ``port`` 0: any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def near(self) -> str:
        """The host to ask on this machine, where it listens everywhere."""
        return EVERYWHERE.get(self.host, self.host)

    def is_loopback(self) -> bool:
        """Whether only this machine can reach it. A name that is not an address counts as reachable."""
        return is_loopback(self.host)


def _bare_token(value: object) -> object:
    """The token without what is often copied along: blanks, quotes, the header's ``Bot``."""
    if not isinstance(value, str):
        return value
    bare = value.strip().strip("\"'").strip()
    bare = bare[4:].lstrip() if bare[:4].lower() == "bot " else bare
    if not bare.isascii() or not bare.isprintable() or " " in bare:
        raise ValueError
    return bare or None


def parse_token(text: str) -> SecretStr:
    """A token that somebody typed, without what is often copied along.

    Raises:
        BadSettings: when it cannot be one.
    """
    try:
        return Settings.model_validate({"discord_token": text}).token()
    except ValidationError:
        said = Settings.model_fields["discord_token"].description
    raise BadSettings([f"DISCORD_TOKEN must be {said}."])  # behind pydantic's error, which knows the value


def parse_endpoint(text: str) -> Endpoint:
    """Where to listen, as people write it. Raises ``ValueError`` for what is no ``host:port``."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.port is None or parts.netloc != text or "@" in text:
        raise ValueError
    return Endpoint(parts.hostname, parts.port)


class Settings(BaseSettings):
    """All settings, each named as its variable in lower case.

    Constructed directly it reads no source; ``sources.read_settings`` does. A field's description completes
    the sentence "NAME must be …".
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
        validate_default=False,
    )
    _around: Surroundings = PrivateAttr(default_factory=Surroundings)

    discord_token: Annotated[SecretStr | None, BeforeValidator(_bare_token)] = Field(
        default=None, description="the bot's token as Discord's developer portal shows it: one word, nothing round it"
    )
    discord_api_url: str = Field(
        default=DISCORD_API_URL, description=f"a REST base such as {DISCORD_API_URL}, without user and password"
    )
    database_url: str | None = Field(
        default=None, description="sqlite:/// and a file's path; left out, it is ledger.db in LEDGER_DATA"
    )
    ledger_data: Path = Field(default=Path("data"), description="a folder")
    ledger_disk: Literal["lasting", "ephemeral"] | None = Field(
        default=None, description="`lasting` or `ephemeral`; left out, it is found out"
    )
    ledger_cloud: str | None = Field(default=None, description=EXAMPLES)
    ledger_cloud_token: SecretStr | None = Field(default=None, description="a word of letters and digits")
    cloud_api_url: str | None = Field(default=None, description="a vault's address, such as https://vault")
    ledger_ack: Ack | None = Field(
        default=None, description="`local`, `database` or `cloud`; left out, it goes by the disk and LEDGER_CLOUD"
    )
    ledger_log: Literal["json", "console"] | None = Field(
        default=None, description="`json` or `console`; left out, it is console on a terminal, else json"
    )
    ledger_http: str | None = Field(default=None, description=f"host:port, such as {LOCAL_HTTP} or [::1]:8080")
    ledger_http_token: SecretStr | None = Field(default=None, description="a word of letters and digits")
    ledger_second_witness: Literal["on", "off"] = Field(
        default="on", description="`on` or `off`: whether Discord's member search may be asked how members came"
    )
    port: int | None = Field(default=None, ge=0, le=65_535, description="a port number; the host sets it")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the library's signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources are read by ``read_settings``, so that each value's origin is known."""
        return (init_settings,)

    @field_validator("discord_api_url")
    @classmethod
    def _check_api(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
            raise ValueError
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str) -> str:
        if value.startswith(("postgres:", "postgresql")):
            raise Unusable(
                "a sqlite:/// file, since PostgreSQL comes in a later release: remove the variable, which a host's "
                "database add-on may have set, or set it to sqlite:/// and a file's path"
            )
        path = value.removeprefix(SQLITE)
        if path == value or not path or "?" in path or path.startswith(":") or path.endswith("/"):
            raise ValueError
        return value

    @field_validator("ledger_cloud", "cloud_api_url")
    @classmethod
    def _check_cloud(cls, value: str, info: ValidationInfo) -> str:
        if info.field_name == "cloud_api_url" and urlsplit(value).scheme not in {"http", "https"}:
            raise ValueError
        try:
            return str(parse_address(value))
        except BadAddress as error:
            raise Unusable(str(error)) from None  # the library's text may hold a part of the value

    @field_validator("ledger_data")
    @classmethod
    def _check_data(cls, value: Path) -> Path:
        path = value.absolute()
        there = next(each for each in (path, *path.parents) if os.path.lexists(each))
        if not os.path.isdir(there):  # noqa: PTH112 -- Path's raises where it may not look
            is_none = f"{there} is a file, or a link that leads to no folder"
            raise Unusable(f"a folder, but {is_none}: move it away, or name another folder")
        return value

    @field_validator("ledger_http")
    @classmethod
    def _check_http(cls, value: str) -> str:
        parse_endpoint(value)
        return value

    @field_validator("ledger_http_token", "ledger_cloud_token")
    @classmethod
    def _check_word(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        if not text.isascii() or not text.isprintable() or " " in text or not text:
            raise ValueError
        return SecretStr(text)

    def token(self) -> SecretStr:
        """The bot's token.

        Raises:
            BadSettings: when it is not set.
        """
        if self.discord_token is None:
            where = "in the environment, /run/secrets/discord_token or .env"
            raise BadSettings([f"DISCORD_TOKEN must be set {where}; `{command('setup')}` asks for it."])
        return self.discord_token

    def database(self) -> Path:
        """The database's file."""
        if self.database_url is None:
            return self.ledger_data / "ledger.db"
        return Path(self.database_url.removeprefix(SQLITE))

    def footing(self) -> Footing:
        """On what kind of disk LEDGER_DATA lies, and the sign that says so."""
        return self._around.footing

    def cloud(self) -> str | None:
        """The address of the cloud layer's store; None = there is none."""
        return self.ledger_cloud or self.cloud_api_url

    def store_variables(self) -> Mapping[str, str]:
        """The variables of stores that were found (AWS_ACCESS_KEY_ID …): for ``persistence/stores.py``."""
        return self._around.store_variables

    def ack(self) -> Ack:
        """What acknowledges a record: as said, else the cloud where it is what outlives a deploy."""
        goes_away = self.footing().kind == "ephemeral" and self.cloud() is not None
        return self.ledger_ack or ("cloud" if goes_away else "database")

    def named_layers(self) -> frozenset[str]:
        """Layers that have to hold a record before it is acknowledged, by their names (``Layer.name``)."""
        return NAMED_LAYERS[self.ack()]

    def http(self) -> Endpoint:
        """Where health and metrics are served: as said, else the host's PORT on all addresses, else loopback."""
        if self.ledger_http is None and self.port is not None:
            return Endpoint("0.0.0.0", self.port)  # noqa: S104 -- a host that sets PORT asks from outside
        return parse_endpoint(self.ledger_http or LOCAL_HTTP)

    def secrets(self) -> tuple[str, ...]:
        """Every secret in the clear, for those who have to keep it out of what they write."""
        held = (self.discord_token, self.ledger_http_token, self.ledger_cloud_token)
        ours = (secret.get_secret_value() for secret in held if secret is not None)
        return (*ours, *(value for name, value in self.store_variables().items() if name in SECRET_VARIABLES))

    def origin(self, name: str) -> str:
        """Where the value of a setting came from."""
        if name == "LEDGER_HTTP" and self.ledger_http is None and self.port is not None:
            return "PORT"
        if name == "LEDGER_CLOUD" and self.ledger_cloud is None and self.cloud_api_url is not None:
            return "CLOUD_API_URL"
        return self._around.origins.get(name, "default")

    def read_in(self, around: Surroundings) -> Self:
        """The same settings, now knowing where they were read."""
        self._around = around
        return self
