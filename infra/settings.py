"""Typed settings. Precedence, highest first: command line, `ATLASFLOW_…` environment, secret files, profile, default.

An environment variable names its setting with two underscores between section and key:
`ATLASFLOW_OBS__ENDPOINT=https://obs.cn-north-4.myhuaweicloud.com`. A secret file has the same name without
`ATLASFLOW_`, in the folder that `ATLASFLOW_SECRETS_DIR` names.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from infra.errors import UserError

PREFIX = "ATLASFLOW_"

PROFILES = Path(__file__).resolve().parent / "profiles"
# Variables with our prefix that choose where and how a command runs and are not settings of the chain.
CONTROL = ("ATLASFLOW_HOME", "ATLASFLOW_SECRETS_DIR", "ATLASFLOW_FAULTS")


class Section(BaseModel):
    """A group of settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DataSettings(Section):
    """Where the images come from."""

    source: str = Field("sample", description="sample, full, or an https://, file:// or obs:// address")
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="of the archive; needed for an address")
    mirrors: tuple[str, ...] = Field(
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
            "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
        ),
        description="where `full` is fetched from, in this order",
    )


class StoreSettings(Section):
    """The artifact store."""

    keep_runs: int = Field(20, ge=1, description="`gc` keeps what the last N runs used")
    mirror: str = Field(
        "",
        pattern=r"^(obs://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^/].*[^/])?$",
        description="obs://bucket/prefix: share receipts and artifacts with other machines",
    )


class ObsSettings(Section):
    """Object storage; without an endpoint the embedded stand-in is used."""

    endpoint: str = Field("", description="such as https://obs.cn-north-4.myhuaweicloud.com; empty: embedded stand-in")
    region: str = "cn-north-4"
    bucket: str = Field("atlasflow", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = Field("atlasflow", description="all our keys start with this")
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    security_token: SecretStr = SecretStr("")
    threads: int = Field(8, ge=1, le=64, description="parallel transfers")
    ca: str = Field("", description="path of a CA certificate to trust instead of the public ones")
    proxy: str = Field("", description="HTTP proxy, such as http://proxy:3128; empty: what the environment says")
    acl: Literal["private", "public-read"] = Field("private", description="who may read a bucket that is made")
    storage_class: Literal["STANDARD", "STANDARD_IA"] = Field("STANDARD", description="of a bucket that is made")
    link_seconds: int = Field(86_400, ge=60, le=604_800, description="how long a pre-signed link works")


class TrainSettings(Section):
    """Which recipe, where; every further key is a field of the recipe (`models/spec.py` checks them)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    target: Literal["local", "modelarts"] = "local"
    recipe: str = "lenet5-sample"

    def overrides(self) -> dict[str, object]:
        """The recipe's fields that are set here."""
        return dict(self.model_extra or {})


class ModelArtsStandInSettings(Section):
    """How the ModelArts stand-in behaves."""

    slots: int = Field(1, ge=1, le=16, description="jobs that run at once; the others wait in the queue")
    creating_seconds: float = Field(0.5, ge=0, description="in phase Creating")
    queue_seconds: float = Field(0.5, ge=0, description="in phase Pending, at least")
    log_seconds: float = Field(1.0, ge=0, description="how late a job's log appears")
    clock_minutes: float = Field(15.0, gt=0, description="how far a request's clock may be off")


class ModelArtsNotebookSettings(Section):
    """Notebook instances on ModelArts."""

    image: str = Field("", description="image id; an unset one is answered with the list of the region's images")
    flavor: str = Field("", description="empty: modelarts.flavor")
    hours: int = Field(1, ge=1, le=72, description="the platform stops the instance then")
    storage: Literal["EVS", "OBS"] = Field("EVS", description="a disk of its own, or a folder of a bucket")
    storage_gb: int = Field(5, ge=5, le=4096, description="size of the disk")
    storage_address: str = Field("", description="obs://bucket/folder/ for OBS")
    storage_credential: str = Field("", description="for OBS: name of the credential kept in the platform's DEW")


class ModelArtsSettings(Section):
    """Training jobs on ModelArts; without an endpoint the embedded stand-in is used."""

    endpoint: str = Field(
        "", description="such as https://modelarts.cn-north-4.myhuaweicloud.com; empty: embedded stand-in"
    )
    iam_endpoint: str = Field("", description="where the project is looked up; empty: the one of obs.region")
    project_id: str = Field("", description="empty: looked up by the name of obs.region")
    access_key: SecretStr = Field(SecretStr(""), description="empty: the keys of [obs]")
    secret_key: SecretStr = SecretStr("")
    security_token: SecretStr = SecretStr("")
    workspace: str = Field("0", description="0 is the default workspace")
    engine: str = Field("", description="engine id; an unknown one is answered with the list of the region's engines")
    flavor: str = Field("", description="flavor id; an unknown one is answered with the list of the region's flavors")
    node_count: int = Field(1, ge=1, le=64)
    environment: dict[str, str] = Field({}, description="environment variables of the job; never secrets")
    prices: dict[str, float] = Field({}, description="flavor id to price of one node for one hour")
    cost_cap: float | None = Field(None, ge=0, description="no job may cost more; needs the flavor's price")
    auto_stop_hours: int = Field(24, ge=1, le=720, description="the platform stops the job then")
    jobs_at_once: int = Field(1, ge=1, description="our jobs in the project; a further one waits here, unpaid")
    poll_seconds: float = Field(5.0, gt=0, le=300, description="between looks at a job; grows to six times that")
    stop_on_cancel: bool = Field(True, description="a cancelled run stops its job")
    logs: str = Field("logs", description="folder under obs.prefix that the platform writes log files to")
    notebook: ModelArtsNotebookSettings = ModelArtsNotebookSettings()
    stand_in: ModelArtsStandInSettings = ModelArtsStandInSettings()


class XiheSettings(Section):
    """A project on the xihe platform, for `import xihe` and `export xihe`."""

    owner: str = Field("me", description="who owns the repositories on xihe")
    job_name: str = "atlasflow"
    job_description: str = ""
    code_dir: str = Field("train/atlasflow/", description="the training's folder in the repository")
    boot_file: str = "train.py"
    output_dir: str = "train/output/"
    output_name: str = Field("output_path", description="the platform asks for this name")
    framework_type: str = "MPI"
    data: str = Field("", description="the platform's data set, such as datasets/me/cifar10/")
    pretrained: str = Field(
        "", description="the platform's checkpoint to start from, such as models/me/resnet50/x.ckpt"
    )


class EvaluateSettings(Section):
    """The gate after evaluation."""

    min_accuracy: float = Field(0.50, ge=0, le=1, description="below this the chain stops with exit code 3")


class ExportSettings(Section):
    """Formats to export."""

    formats: tuple[Literal["mindir", "onnx", "air"], ...] = ("mindir", "onnx", "air")
    max_difference: float = Field(1e-4, gt=0, description="largest absolute logit difference to the checkpoint")
    portable_air: bool = Field(False, description="where MindSpore cannot write AIR, write it without an Ascend device")


class ConvertSettings(Section):
    """Compilation to `.om`."""

    compiler: Literal["auto", "atc", "stand-in"] = Field("auto", description="auto: atc when it is on PATH")
    model: str = Field("", description="compile this file (a path or an obs:// address) instead of the export")
    soc_version: str = "Ascend310"
    precision_mode: str = "force_fp16"
    source: Literal["onnx", "air"] = Field("onnx", description="which export is compiled")


class DeploySettings(Section):
    """Which boards get the release."""

    boards: tuple[str, ...] = Field(("laptop",), description="names in [boards]")
    pictures: str = Field("", description="folder of pictures to classify at the end; empty: some test images")


class BoardSettings(Section):
    """One board. The stand-in needs none of these."""

    address: str = Field("", description="host name or IP address; empty: the stand-in")
    port: int = Field(22, ge=1, le=65_535)
    user: str = "HwHiAiUser"
    key: str = Field("", description="path of the private key")
    host_key: str = Field("", description="pinned public host key, such as 'ssh-ed25519 AAAA…'")
    password: SecretStr = SecretStr("")
    python: str = "python3"
    environment: str = Field("", description="script to source on the board before anything runs there")
    folder: str = Field("atlasflow", description="where releases live; relative to the user's home")


class PrefectSettings(Section):
    """The checkout's own Prefect server."""

    port: int = Field(0, ge=0, le=65_535, description="0: 4200, or a free one that is then kept")
    start_seconds: int = Field(120, ge=5, description="how long a new server may take to answer")


class RetrySettings(Section):
    """Retries of transient errors."""

    attempts: int = Field(3, ge=1, le=10)
    seconds: float = Field(2.0, ge=0, description="before the first retry; doubles, with jitter")


class Settings(BaseSettings):
    """All settings of one invocation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data: DataSettings = DataSettings()
    store: StoreSettings = StoreSettings()
    obs: ObsSettings = ObsSettings()
    train: TrainSettings = TrainSettings()
    modelarts: ModelArtsSettings = ModelArtsSettings()
    xihe: XiheSettings = XiheSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    export: ExportSettings = ExportSettings()
    convert: ConvertSettings = ConvertSettings()
    deploy: DeploySettings = DeploySettings()
    boards: dict[str, BoardSettings] = {"laptop": BoardSettings()}
    prefect: PrefectSettings = PrefectSettings()
    retry: RetrySettings = RetrySettings()


def load(profile: str = "local", overrides: Mapping[str, str] | None = None) -> Settings:
    """Put the settings together.

    Args:
        profile: the name of a shipped profile, or the path of a TOML file.
        overrides: `section.key` to text, from the command line; the text is read as a TOML value where it is one.

    Raises:
        UserError: an unknown profile, an unknown key (the nearest valid one is named), or a wrong value.
    """
    path = _profile_path(profile)
    _check_environment(os.environ)
    secrets = os.environ.get("ATLASFLOW_SECRETS_DIR")
    if secrets is not None and not Path(secrets).is_dir():
        raise UserError(f"ATLASFLOW_SECRETS_DIR names '{secrets}', which is not a folder")

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            files = NestedSecretsSettingsSource(
                file_secret_settings, secrets_dir=secrets, secrets_prefix="", secrets_nested_delimiter="__"
            )
            return init_settings, env_settings, files, TomlConfigSettingsSource(settings_cls, path)

    values = _nested(overrides or {})
    _refuse_secrets(values, "--set")
    try:
        _refuse_secrets(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
        return Loaded(**values)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    except (ValidationError, SettingsError) as error:
        raise UserError(_explain(error)) from error


def sources(profile: str) -> list[Path]:
    """The files and folders that `load` reads settings from, besides the environment: the profile, the secret files."""
    secrets = os.environ.get("ATLASFLOW_SECRETS_DIR")
    folder = [Path(secrets), *Path(secrets).rglob("*")] if secrets else []
    return [_profile_path(profile), *folder]


def _profile_path(profile: str) -> Path:
    path = Path(profile) if profile.endswith(".toml") else PROFILES / f"{profile}.toml"
    if not path.is_file():
        known = sorted(item.stem for item in PROFILES.glob("*.toml"))
        raise UserError(
            f"there is no profile '{profile}'", hint=f"take one of {', '.join(known)}, or a path to a .toml"
        )
    return path


def _nested(overrides: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in overrides.items():
        section, dot, key = name.partition(".")
        if not dot or not key:
            raise UserError(f"'{name}' is not a setting", hint="write section.key=value, such as train.epochs=3")
        inner = values.setdefault(section, {})
        *parents, last = key.split(".")
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = _toml_value(text)
    return values


def _refuse_secrets(values: Mapping[str, Any], where: str) -> None:
    """Secrets on a command line or in a profile end up in histories, parameters and repositories."""
    secrets = {
        name
        for section in Section.__subclasses__()
        for name, field in section.model_fields.items()
        if field.annotation is SecretStr
    }
    for path in _paths(values):
        if path[-1] in secrets:
            raise UserError(
                f"{'.'.join(path)} is a secret and is not read from {where}",
                hint=f"set {PREFIX}{'__'.join(path).upper()}, or put it into ATLASFLOW_SECRETS_DIR",
            )


def _paths(values: Mapping[str, Any], parents: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in values.items():
        yield (*parents, name)
        if isinstance(inner, Mapping):
            yield from _paths(inner, (*parents, name))


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _check_environment(environment: Mapping[str, str]) -> None:
    """Refuse `ATLASFLOW_…` names that mean nothing, which the settings library would pass over."""
    for name in environment:
        if not name.startswith(PREFIX) or name in CONTROL or name.startswith("ATLASFLOW_TEST_"):
            continue
        section = name.removeprefix(PREFIX).lower().partition("__")[0]
        if section not in Settings.model_fields:
            raise UserError(f"unknown setting {name} in the environment{nearest(section, Settings.model_fields)}")


def nearest(word: str, candidates: Iterable[str]) -> str:
    """A question that names the candidate most like `word`; empty when none is like it."""
    close = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _explain(error: ValidationError | SettingsError) -> str:
    """One line a problem; values are left out, since they may be secrets."""
    if isinstance(error, SettingsError):
        return str(error)
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"unknown setting '{where}'{nearest(str(problem['loc'][-1]), _keys(problem['loc'][:-1]))}")
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
