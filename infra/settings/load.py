"""Load the settings.

Precedence, highest first: command line, `ATLASFLOW_…` environment, secret files, profile, fleet file, default.
An environment variable names its setting with two underscores between section and key:
`ATLASFLOW_OBS__ENDPOINT=https://obs.cn-north-4.myhuaweicloud.com`. A secret file has the same name without
`ATLASFLOW_`, in the folder that `ATLASFLOW_SECRETS_DIR` names.
"""

import difflib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsError,
    TomlConfigSettingsSource,
)

from infra import proxies
from infra.errors import UserError
from infra.home import PROJECT, fleet_file
from infra.settings.all import PREFIX, Settings
from infra.settings.boards import BoardSettings
from infra.settings.fleet import BUILT_IN, read_fleet
from infra.settings.section import Section
from infra.settings.toml import nested, parse_toml, read_toml_text

DEFAULT = "local"  # in a project, it means the project's own profile
PROFILES = Path(__file__).resolve().parents[1] / "profiles"
# Variables with the prefix that are not settings: they select where and how a command runs.
CONTROL = (
    "ATLASFLOW_HOME",
    "ATLASFLOW_FLEET",
    "ATLASFLOW_SECRETS_DIR",
    "ATLASFLOW_FAULTS",
    "ATLASFLOW_KERNELS",
    PROJECT,
    proxies.UNUSABLE,
)
# Without flags, since a JSON Schema has none.
_HIDDEN = "([Ss]ignature|[Tt]oken|[Pp]assword|[Ss]ecret|[Cc]redential|[Aa]pi_?[Kk]ey)"
CREDENTIALS = rf"[Hh][Tt][Tt][Pp][Ss]?://([^/?#\s]*@|[^\s#]*[?&]([^=&#\s]*{_HIDDEN}|sig)=)"
"""Pattern of web addresses with a user, a password, or a signature or token among their parameters."""


class _Environment(EnvSettingsSource):
    """Variables: JSON where it is JSON, else the text, of which a `Section` makes a list."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def load(profile: str = "local", overrides: Mapping[str, str] | None = None) -> Settings:
    """Load the settings from all sources.

    Args:
        profile: the name of a shipped profile, or the path of a TOML file.
        overrides: `section.key` to text, from the command line; text that is a TOML value is read as one.

    Raises:
        UserError: an unknown profile, an unknown key (the nearest valid one is named), or a wrong value.
    """
    path = _profile_path(profile)
    _check_environment(os.environ)
    secrets = os.environ.get("ATLASFLOW_SECRETS_DIR")
    if secrets is not None and not Path(secrets).is_dir():
        raise UserError(f"ATLASFLOW_SECRETS_DIR names '{secrets}', which is not a folder")

    fleet = _fleet()

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            files = NestedSecretsSettingsSource(
                file_secret_settings, secrets_dir=secrets, secrets_prefix="", secrets_nested_delimiter="__"
            )
            table = TomlConfigSettingsSource(settings_cls, path)
            environment = _Environment(settings_cls)
            return init_settings, environment, files, table, InitSettingsSource(settings_cls, {"boards": fleet})

    values = nested(overrides or {})
    _refuse_secrets(values, "--set")
    try:
        profiled = parse_toml(read_toml_text(path), path)
        _refuse_secrets(profiled, str(path))
        loaded = Loaded(**values)
    except (ValidationError, SettingsError) as error:
        raise UserError(_explain(error)) from error
    _refuse_unknown_boards(loaded, {*fleet, *profiled.get("boards", {})})
    return loaded


def _refuse_unknown_boards(settings: Settings, known: Collection[str]) -> None:
    """Refuse a board that only a variable, a secret file or `--set` names: a mistyped name would be a stand-in.

    Raises:
        UserError: it has no address, and is not among those to deploy to.
    """
    for name, board in settings.boards.items():
        if name not in known and not board.address and name not in settings.deploy.boards:
            hint = f"correct the name in {PREFIX}BOARDS__…, or add the board: `atlasflow boards add {name} ADDRESS`"
            raise UserError(f"there is no board '{name}'{nearest(name, known)}", hint=hint)


def sources(profile: str) -> list[Path]:
    """List the files and folders that `load` reads: profile, fleet file, secret files."""
    secrets = os.environ.get("ATLASFLOW_SECRETS_DIR")
    folder = [Path(secrets), *Path(secrets).rglob("*")] if secrets else []
    return [_profile_path(profile), *(path for path in (fleet_file(),) if path.exists()), *folder]


def _fleet() -> dict[str, dict[str, Any]]:
    """Read the boards of the fleet file, and add this machine's own stand-in."""
    path = fleet_file()
    boards = read_fleet(path)
    _refuse_secrets({"boards": boards}, str(path))
    return {BUILT_IN: {}} | boards


def _profile_path(profile: str) -> Path:
    if profile == DEFAULT and os.environ.get(PROJECT):
        profile = os.environ[PROJECT]
    path = Path(profile) if profile.endswith(".toml") else PROFILES / f"{profile}.toml"
    if not path.is_file():
        if profile.endswith(".toml"):
            raise UserError(f"there is no file {profile}", hint="--profile is relative to the current folder")
        known = sorted(item.stem for item in PROFILES.glob("*.toml"))
        raise UserError(
            f"there is no profile '{profile}'", hint=f"use one of {', '.join(known)}, or the path of a .toml file"
        )
    return path


def secret_names() -> frozenset[str]:
    """Names of the secret settings, without their section, such as `secret_key`."""
    return frozenset(
        name
        for section in Section.__subclasses__()
        for name, field in section.model_fields.items()
        if field.annotation in (SecretStr, dict[str, SecretStr])
    )


def _refuse_secrets(values: Mapping[str, Any], where: str) -> None:
    """Refuse secrets where they would end up in shell histories, Prefect parameters or repositories."""
    secrets = secret_names()
    for path, value in _paths(values):
        named = bool(secrets & set(path))
        if named or (not isinstance(value, Mapping) and re.search(CREDENTIALS, str(value))):
            raise UserError(
                f"{'.'.join(path)} {'is a secret' if named else 'has credentials in it'} and is not read from {where}",
                hint=f"set {PREFIX}{'__'.join(path).upper()}, or put it into ATLASFLOW_SECRETS_DIR",
            )


def _paths(values: Mapping[str, Any], parents: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in values.items():
        yield (*parents, name), inner
        if isinstance(inner, Mapping):
            yield from _paths(inner, (*parents, name))


def _check_environment(environment: Mapping[str, str]) -> None:
    """Refuse unknown `ATLASFLOW_…` names, which the settings library ignores."""
    for name in environment:
        if not name.startswith(PREFIX) or name in CONTROL or name.startswith("ATLASFLOW_TEST_"):
            continue
        section = name.removeprefix(PREFIX).lower().partition("__")[0]
        if section not in Settings.model_fields:
            raise UserError(f"unknown setting {name} in the environment{nearest(section, Settings.model_fields)}")


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Ask whether the most similar candidate was meant; empty when none is similar."""
    close = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _explain(error: ValidationError | SettingsError) -> str:
    """Describe each problem in a line, without values, which may be secrets."""
    if isinstance(error, SettingsError):
        return str(error)
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"unknown setting '{where}'{nearest(str(problem['loc'][-1]), _keys(problem['loc'][:-1]))}")
        elif problem["type"] == "tuple_type":
            lines.append(f"setting '{where}' is a list: write it as 'one,two' or '[\"one\", \"two\"]'")
        else:
            lines.append(f"setting '{where}': {problem['msg']}")
    return "\n".join(lines)


def _keys(location: tuple[int | str, ...]) -> Iterable[str]:
    if location[:1] == ("boards",):
        return BoardSettings.model_fields
    model: type[BaseModel] = Settings
    for name in location:
        inner = model.model_fields[str(name)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return ()
        model = inner
    return model.model_fields
