"""Where settings are read from, once, in ``main``: the environment, files in /run/secrets, .env.

Rules: the first source that has a value wins, and an empty value is none; nothing is read at import; every finding is
told at once, a sentence each with its fix; an unknown ``LEDGER_*`` is an error, other unknown names are not ours (but
for the variables of stores, which are kept beside the settings).
What settings mean is the business of ``actors/settings.py``.
"""

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Final

import msgspec
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource, SecretsSettingsSource

from actors.command import command
from actors.footing import find_footing, read_mountinfo
from actors.settings import SQLITE, BadSettings, Settings, Surroundings, Unusable
from persistence.address import SECRET_VARIABLES, VARIABLES

SECRETS_FOLDER: Final = Path("/run/secrets")
ENV_FILE: Final = Path(".env")
MASK: Final = "********"
REFUSED: Final = "cannot be used"
NO_CLOUD: Final = "`local` or `database` while LEDGER_CLOUD is not set"
LONGEST_WORD: Final = 16
"""Characters; a longer word in a wrong place may be a token."""
_OURS: Final = "ledger_"
_SECRETS: Final = frozenset({"discord_token", "ledger_cloud_token", "ledger_http_token"})
_STORES: Final = frozenset(name.lower() for name in VARIABLES)


class Row(msgspec.Struct, frozen=True):
    """A setting for a person to read: its effective value (a secret masked) and where it came from."""

    name: str
    value: str
    source: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the sources say: the settings without those that cannot be used, whose names are in ``refused``."""

    settings: Settings
    refused: frozenset[str]
    findings: tuple[str, ...]


def read_settings(*, env_file: Path = ENV_FILE, secrets: Path = SECRETS_FOLDER) -> Settings:
    """Reads every source and checks what they say.

    Raises:
        BadSettings: when anything is broken, unknown or of a later release.
    """
    reading = look(env_file=env_file, secrets=secrets)
    if reading.findings:
        raise BadSettings(reading.findings)
    return reading.settings


def look(*, env_file: Path = ENV_FILE, secrets: Path = SECRETS_FOLDER) -> Reading:
    """Reads every source; what is wrong is among the findings, the rest can be used."""
    findings: list[str] = []
    found: dict[str, object] = {}
    origins: dict[str, str] = {}
    for source, values in _said(env_file, secrets, findings):
        findings += _unknown(values, source)
        known = Settings.model_fields.keys() | _STORES
        news = {name: value for name, value in values.items() if value and name in known and name not in found}
        found |= news
        origins |= {name.upper(): source for name in news}
    stores = {name.upper(): str(found.pop(name)) for name in _STORES & found.keys()}
    settings, refused = _validated(found, origins, findings)
    around = Surroundings(
        origins=origins,
        footing=find_footing(settings.ledger_data, settings.ledger_disk, os.environ, read_mountinfo()),
        store_variables=stores,
    )
    return Reading(settings=settings.read_in(around), refused=refused, findings=tuple(findings))


def described(settings: Settings, refused: Collection[str] = ()) -> tuple[Row, ...]:
    """Every setting with its effective value and its source, then the variables of stores that are set.

    Of a setting that was refused the source only.
    """
    values = {
        "DISCORD_TOKEN": _masked(settings.discord_token),
        "DISCORD_API_URL": settings.discord_api_url,
        "DATABASE_URL": settings.database_url or f"{SQLITE}{settings.database()}",
        "LEDGER_DATA": str(settings.ledger_data),
        "LEDGER_DISK": settings.footing().kind,
        "LEDGER_CLOUD": settings.cloud() or "none",
        "LEDGER_CLOUD_TOKEN": _masked(settings.ledger_cloud_token),
        "CLOUD_API_URL": settings.cloud_api_url or "none",
        "LEDGER_ACK": settings.ack(),
        "LEDGER_LOG": settings.ledger_log or "console on a terminal, else json",
        "LEDGER_HTTP": str(settings.http()),
        "LEDGER_HTTP_TOKEN": _masked(settings.ledger_http_token),
        "LEDGER_SECOND_WITNESS": settings.ledger_second_witness,
        "PORT": "not set" if settings.port is None else str(settings.port),
    }
    values |= {name: _shown(name, value) for name, value in sorted(settings.store_variables().items())}
    sources = {name: settings.origin(name) for name in values}
    sources["LEDGER_DISK"] += f": {settings.footing().why}"
    return tuple(Row(name, REFUSED if name in refused else value, sources[name]) for name, value in values.items())


def _said(env_file: Path, secrets: Path, findings: list[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """What each source says, by lower-case name, in the order in which the first wins."""
    yield "environment", EnvSettingsSource(Settings).env_vars
    try:
        yield str(secrets), _secret_files(secrets)
    except (OSError, UnicodeDecodeError) as error:
        findings.append(f"{secrets} must be readable text ({_why(error)}).")
    try:
        yield str(env_file), _env_file(env_file, findings)
    except (OSError, UnicodeDecodeError) as error:
        findings.append(f"{env_file} must be readable text ({_why(error)}).")


def _env_file(path: Path, findings: list[str]) -> Mapping[str, str]:
    """What its lines of the form NAME=value say; of others it is said where they are, not what they say."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        lines = list(parse_stream(file))
    findings.extend(f"{path}, line {line.original.line}, must be NAME=value." for line in lines if line.error)
    usable = "".join(line.original.string for line in lines if not line.error)
    return {name.lower(): value for name, value in dotenv_values(stream=StringIO(usable)).items() if value}


def _secret_files(folder: Path) -> Mapping[str, object]:
    if not folder.is_dir():
        return {}
    files = {path.name.lower(): path for path in folder.iterdir()}
    texts: dict[str, object] = SecretsSettingsSource(Settings, folder)()
    texts |= {name: files[name].read_text(encoding="utf-8").strip() for name in _STORES & files.keys()}
    return {name: texts.get(name, "") for name in files if texts.get(name) or name not in Settings.model_fields}


def _why(error: OSError | UnicodeDecodeError) -> str:
    return error.reason if isinstance(error, UnicodeDecodeError) else str(error.strerror)


def _unknown(names: Mapping[str, object], source: str) -> Iterator[str]:
    known = [field.removeprefix(_OURS) for field in Settings.model_fields if field.startswith(_OURS)]
    for name in sorted(names):
        own = name.removeprefix(_OURS)
        if name.startswith(_OURS) and own not in known:
            near = difflib.get_close_matches(own, known, n=1)  # the prefix is alike in all
            fix = (
                f"did you mean {(_OURS + near[0]).upper()}?"
                if near
                else f"remove it (`{command('config')}` lists all)."
            )
            yield f"{name.upper()} ({source}) is no setting: {fix}"


def _validated(
    found: Mapping[str, object], origins: Mapping[str, str], findings: list[str]
) -> tuple[Settings, frozenset[str]]:
    """The settings without those that cannot be used, and the names of these; each field is checked for itself."""
    faults: Mapping[str, str] = {}
    try:
        settings = Settings.model_validate(found)
    except ValidationError as error:
        faults = dict(_faults(error))
    else:
        if settings.ledger_ack != "cloud" or settings.cloud() is not None:
            return settings, frozenset()
        faults = {"ledger_ack": NO_CLOUD}
    for name, wanted in faults.items():
        what = _told(name, found[name])
        findings.append(f"{name.upper()} must be {wanted} ({origins[name.upper()]}{what}).")
    usable = {name: value for name, value in found.items() if name not in faults}
    return Settings.model_validate(usable), frozenset(name.upper() for name in faults)


def _faults(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Each name, and what its value must be: what a validator said, else what the field's description says."""
    for finding in error.errors(include_url=False, include_input=False):
        name = str(finding["loc"][0])
        cause = finding.get("ctx", {}).get("error")
        yield name, str(cause if isinstance(cause, Unusable) else Settings.model_fields[name].description)


def _told(name: str, value: object) -> str:
    """A value that cannot be used, where it can hold no secret: a short word, or an address without credentials."""
    text = str(value)
    fits = text.count(":") == 1 if "://" in text else len(text) <= LONGEST_WORD
    if name in _SECRETS or not fits or not text.isprintable() or any(mark in text for mark in "@?#"):
        return ""
    return f": `{text}`"


def _shown(name: str, value: str) -> str:
    """A store's variable; with an ``@`` an address may hold credentials, or be a whole account."""
    return MASK if name in SECRET_VARIABLES or "@" in value else value


def _masked(secret: SecretStr | None) -> str:
    return "not set" if secret is None else MASK
