"""A user's own training script as a job: what it consists of, its key, the names of its versions, its request body."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from infra.errors import UserError
from infra.modelarts.plan import resources
from infra.obs.address import ObjectAddress
from infra.settings import ModelArtsSettings
from infra.store.digests import value_digest

DATA, OUTPUT = "data_url", "train_url"
"""Names of the arguments for data and output, as ModelArts fills them in by default (modelarts.md §1.6)."""

KEY_DIGITS = 24
_NAME = re.compile(r"[A-Za-z0-9_-]{1,56}")  # the platform takes 64 characters, and a version needs some
_VERSION = re.compile(r"-V(?P<number>[0-9]{4,})")
_DESCRIPTION = re.compile(r"AtlasFlow, script key (?P<key>[0-9a-f]{24}), installation (?P<installation>[0-9a-f]+)")


@dataclass(frozen=True)
class Placed:
    """A folder in object storage, or a file (its address has no slash at its end), and the digest of what it holds."""

    address: str
    digest: str


@dataclass(frozen=True)
class Script:
    """One job with a user's script.

    Attributes:
        name: of its first version; later ones end in `-V0002` and so on.
        code: the code directory.
        boot: path of the boot file in it.
        data: filled into `data_url`; None: the script gets no such argument.
        output: address for `train_url`; empty: a folder of the job's own under `obs.prefix`.
        log: address for the log; empty: the folder `modelarts.logs` under `obs.prefix`.
        parameters: further arguments, as name and value, in order.
        image: address of a custom image to run in, instead of the engine of the settings.
        inputs: argument and place of each further input.
        output_name: the argument for `output`.
        outputs: argument and address of each further output.
    """

    name: str
    code: Placed
    boot: str
    data: Placed | None = None
    output: str = ""
    log: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    image: str = ""
    inputs: tuple[tuple[str, Placed], ...] = ()
    output_name: str = OUTPUT
    outputs: tuple[tuple[str, str], ...] = ()

    def key(self, settings: ModelArtsSettings) -> str:
        """Return the digest of everything that can change what the job writes, and where."""
        channels = {
            "inputs": [[name, placed.digest] for name, placed in self.inputs],
            "output_name": "" if self.output_name == OUTPUT else self.output_name,
            "outputs": [list(pair) for pair in self.outputs],
        }
        return value_digest(
            {
                **{name: value for name, value in channels.items() if value},
                "code": self.code.digest,
                "boot": self.boot,
                "data": self.data.digest if self.data else "",
                "output": self.output,
                "parameters": [list(pair) for pair in self.parameters],
                "engine": "" if self.image else settings.engine,
                "image": self.image,
                "flavor": settings.flavor,
                "nodes": settings.node_count,
                "environment": dict(settings.environment),
            }
        )


def check(script: Script) -> None:
    """Check the name and the parameters.

    Raises:
        UserError: what ModelArts would refuse.
    """
    if not _NAME.fullmatch(script.name):
        raise UserError(
            f"'{script.name}' cannot be a job's name", hint="1 to 56 letters, digits, _ and -: give one with --name"
        )
    names = [name for name, _ in script.parameters]
    _check_address(script.output, "--output")
    _check_address(script.log, "--log")
    given = [*names, *(name for name, _ in (*_inputs(script), *_outputs(script, script.output)))]
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"the argument {twice} is given twice", hint="give each once")
    if not all(names):
        raise UserError("a parameter has no name", hint="write --param name=value")


def description(key: str, installation: str) -> str:
    """Describe a job by its key and the installation that requested it."""
    return f"AtlasFlow, script key {key[:KEY_DIGITS]}, installation {installation}"


def key_of(text: str) -> str:
    """Return the first digits of the key in a job's description; empty for a job that is not of a script."""
    match = _DESCRIPTION.fullmatch(text)
    return match["key"] if match else ""


def version(name: str, job_name: str) -> int:
    """Return the version of a job of this name, from 1; 0 for a job of another name."""
    if job_name == name:
        return 1
    match = _VERSION.fullmatch(job_name.removeprefix(name)) if job_name.startswith(name) else None
    return int(match["number"]) if match else 0


def base_name(job_name: str) -> str:
    """Return the name that all versions of a job share."""
    return re.sub(rf"{_VERSION.pattern}$", "", job_name)


def version_name(name: str, number: int) -> str:
    """Return the name of a version, as names of jobs are unique (code 2751)."""
    return name if number == 1 else f"{name}-V{number:04}"


def output_address(script: Script, key: str, bucket: str, prefix: str) -> str:
    """Return where the job writes; empty when the script copies its output itself (`--param train_url=…`)."""
    if any(name == script.output_name for name, _ in script.parameters):
        return ""
    own = f"{prefix.strip('/')}/jobs/{key[:KEY_DIGITS]}/output"
    return script.output or ObjectAddress(bucket, own).folder


def body(script: Script, name: str, text: str, settings: ModelArtsSettings, output: str, log: str) -> dict[str, object]:
    """Build the request body that creates the job (docs/reference/modelarts.md §1.2).

    Args:
        script: the script.
        name: of the job.
        text: its description.
        settings: of the jobs.
        output: address for `train_url`; empty for none.
        log: address of the folder for the log.

    Raises:
        UserError: engine and image, or flavor are not set.
    """
    for setting, value in (
        ("modelarts.engine", settings.engine or script.image),
        ("modelarts.flavor", settings.flavor),
    ):
        if not value:
            raise UserError(f"{setting} is not set", hint="`doctor` lists what your region offers")
    access = "env" if script.image else "parameter"
    channels = {"inputs": _inputs(script), "outputs": _outputs(script, output)}
    parameters = [{"name": item, "value": value} for item, value in script.parameters]
    return {
        "kind": "job",
        "metadata": {"name": name, "workspace_id": settings.workspace, "description": text},
        "algorithm": {
            "code_dir": _folder(script.code.address),
            **_program(script, settings, output),
            **{
                kind: [_channel(channel, address, access) for channel, address in items]
                for kind, items in channels.items()
            },
            "parameters": parameters,
            "environments": settings.environment,
        },
        "spec": {
            **resources(settings),
            "log_export_path": {"obs_url": _folder(log)},
            "auto_stop": {"time_unit": "HOURS", "duration": settings.auto_stop_hours},
        },
    }


def _program(script: Script, settings: ModelArtsSettings, output: str) -> Mapping[str, object]:
    """Return the boot file with an engine, or the command with an image, which gets its folders as variables."""
    if not script.image:
        return {"boot_file": f"{_folder(script.code.address)}{script.boot}", "engine": {"engine_id": settings.engine}}
    code = PurePosixPath(ObjectAddress.parse_folder(script.code.address).key).name
    channels = [name for name, _ in (*_inputs(script), *_outputs(script, output))]
    words = [
        "python",
        f'"${{MA_JOB_DIR}}"/{shlex.quote(f"{code}/{script.boot}")}',
        *(f'--{name}="${{{name}}}"' for name in channels),
        *(shlex.quote(f"--{name}={value}") for name, value in script.parameters),
    ]
    return {"command": " ".join(words), "engine": {"image_url": script.image}}


def _inputs(script: Script) -> list[tuple[str, str]]:
    """Return argument and address of each input; a file keeps its address without a slash."""
    data = [(DATA, script.data.address)] if script.data else []
    return [*data, *((name, placed.address) for name, placed in script.inputs)]


def _outputs(script: Script, output: str) -> list[tuple[str, str]]:
    first = [(script.output_name, _folder(output))] if output else []
    return [*first, *((name, _folder(address)) for name, address in script.outputs)]


def _channel(name: str, address: str, access: str) -> dict[str, object]:
    return {"name": name, "access_method": access, "remote": {"obs": {"obs_url": address}}}


def _folder(address: str) -> str:
    return ObjectAddress.parse_folder(address).folder


def _check_address(address: str, option: str) -> None:
    if address:
        try:
            ObjectAddress.parse_folder(address)
        except UserError as error:
            raise UserError(f"{option}: {error.message}", hint=error.hint) from error
