"""A repository of the xihe platform on this machine, and its own boot file as a job."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from infra.errors import UserError
from infra.modelarts.scripts.place import ListedStore, OpenBucket, place
from infra.modelarts.scripts.script import Script
from infra.obs.address import ObjectAddress
from infra.settings import ModelArtsSettings
from infra.xihe.config import TRACKING, Config, Frameworks, Output, Parameter, find_problems, read

_CONFIGS = ("train/config.json", "config.json")
_FORM = "fill in the form: --boot train.py, and --code, --param, --input, --output-name where the script needs them"


@dataclass(frozen=True)
class Form:
    """What a user fills into the platform's form; an empty field leaves the config file's as it is.

    Attributes:
        code: folder of the training in the repository.
        boot: boot file in it.
        output_name: argument for the output.
        name: of the training.
        parameters: hyper-parameters by name.
        inputs: by argument, where a copy of each input is: a folder, a file, or an address.
    """

    code: str = ""
    boot: str = ""
    output_name: str = ""
    name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Repository:
    """A repository and the training that is wanted of it."""

    root: Path
    config: Config

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.root.resolve().name


def open_repository(path: Path, form: Form) -> Repository:
    """Open a repository by its folder, or by a training config in it.

    Raises:
        UserError: there is no config and no form, one of them is not valid, or the boot file is not there.
    """
    found = path if path.is_file() else next((path / name for name in _CONFIGS if (path / name).is_file()), None)
    if found is None and not path.is_dir():
        raise UserError(f"there is no file or folder {path}", hint="check the path")
    if found is None and not form.boot:
        raise UserError(f"{path} has no {_CONFIGS[0]}", hint=_FORM)
    config = _filled(read(found.read_text(encoding="utf-8")) if found else _empty(path), form)
    boot = PurePosixPath(config.code_dir) / config.boot_file
    roots = found.resolve().parents if found and path.is_file() else (path,)
    root = next((root for root in roots if (root / boot).is_file()), None)
    if root is None:
        raise UserError(f"{found or path}: there is no boot file {boot} in the repository", hint=_FORM)
    return Repository(root, config)


def _empty(path: Path) -> Config:
    return Config(
        code_dir="train/",
        boot_file="train.py",
        outputs=(Output(output_dir="train/output/", name="output_path"),),
        frameworks=Frameworks(framework_type="MPI", framework_version=""),
        train_instance_type="-",
        log_url="train/log/",
        job_name=path.resolve().name,
    )


def _filled(config: Config, form: Form) -> Config:
    """Return the config with what the form says.

    Raises:
        UserError: the two contradict each other.
    """
    fields = {"code_dir": form.code, "boot_file": form.boot, "job_name": form.name}
    changes: dict[str, object] = {name: value for name, value in fields.items() if value}
    if form.output_name:
        folder = config.outputs[0].output_dir if config.outputs else "train/output/"
        changes["outputs"] = (Output(output_dir=folder, name=form.output_name),)
    given = {item.name: item.value for item in config.hypeparameters} | dict(form.parameters)
    changes["hypeparameters"] = tuple(Parameter(name=name, value=value) for name, value in given.items())
    filled = config.model_copy(update=changes)
    if problems := find_problems(filled):
        raise UserError(f"the form is not valid: {'; '.join(problems)}")
    return filled


def script_of(
    repository: Repository,
    inputs: Mapping[str, str],
    store: ListedStore,
    open_bucket: OpenBucket,
    prefix: str,
    settings: ModelArtsSettings,
) -> Script:
    """Send the repository's code and the copies of its inputs to the bucket, and return its training as a job.

    The output has a folder of its own for each state of code, inputs and hyper-parameters; Aim's metrics go to `db/`
    below it (docs/reference/tutorials.md T1).

    Args:
        repository: with its config.
        inputs: by argument, where each is.
        store: the bucket of the settings.
        open_bucket: opens the bucket of an address.
        prefix: of all keys.
        settings: of the jobs.

    Raises:
        UserError: an input of the config has no copy, or what is named is not there.
    """
    config = repository.config
    for item in config.inputs:
        if item.name not in inputs:
            raise UserError(
                f"the input {item.name} is {item.input_url} on xihe",
                hint=f"download it there, and name the copy: --input {item.name}=PATH",
            )
    folder = f"{prefix.strip('/')}/xihe/{repository.name}"
    given = {item.name: str(item.value) for item in config.hypeparameters}
    tracked = given.pop(TRACKING, "")
    script = Script(
        name=config.job_name,
        code=place(str(repository.root / config.code_dir), "code_dir", store, f"{folder}/code", open_bucket),
        boot=config.boot_file,
        parameters=tuple(given.items()),
        inputs=tuple(
            (name, place(path, f"--input {name}", store, f"{folder}/inputs", open_bucket))
            for name, path in inputs.items()
        ),
        output_name=config.outputs[0].name if config.outputs else "output_path",
        outputs=((TRACKING, ""),) if tracked else (),
    )
    output = ObjectAddress(store.bucket, f"{folder}/output/{script.key(settings)[:16]}").folder
    outputs = ((TRACKING, f"{output}db/"),) if tracked else ()
    return replace(script, output=output, outputs=outputs)
