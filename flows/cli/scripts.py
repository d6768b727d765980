"""`atlasflow jobs submit`: a user's own training script as a ModelArts job."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.jobs import jobs
from flows.cli.options import Json, Profile, Set, pairs, parse_overrides
from flows.cli.output import print_facts, print_json, print_line, print_text
from flows.context import open_chain
from infra.errors import UserError
from tasks.engine.reporter import Silent

if TYPE_CHECKING:
    from infra.modelarts.scripts.runs import Submission
    from infra.modelarts.scripts.script import Script
    from infra.ports.training import TrainEvent
    from tasks.engine.chain import Chain


def register(_app: typer.Typer) -> None:
    """Add the command to those of `jobs`."""
    example = (
        "Example: `atlasflow jobs submit --code experiment_3 --boot resnet50_train.py "
        "--data obs://ms-course/experiment_3/cifar10/ --output obs://ms-course/experiment_3/output/ "
        "--param num_epochs=3 --wait --profile cloud`"
    )
    jobs.command(epilog=example)(submit)


def submit(
    code: Annotated[str, typer.Option(help="Code directory: a folder of this machine, or obs://bucket/folder/.")],
    boot: Annotated[str, typer.Option(help="The Python file in it that the job starts.")],
    data: Annotated[str, typer.Option(help="Folder or address for the argument data_url.")] = "",
    output: Annotated[str, typer.Option(help="Address for the argument train_url; empty: one of the job's own.")] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", help="A further argument, name=value; may be given several times.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the job; empty: that of the boot file.")] = "",
    engine: Annotated[str, typer.Option(help="Engine id; empty: modelarts.engine.")] = "",
    image: Annotated[str, typer.Option(help="Address of a custom image, instead of an engine.")] = "",
    flavor: Annotated[str, typer.Option(help="Flavor id; empty: modelarts.flavor.")] = "",
    log: Annotated[str, typer.Option(help="Address of the folder for the log; empty: modelarts.logs.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Print the log until the job ends.")] = False,
    fetch: Annotated[Path | None, typer.Option(help="Wait, then copy the output to this folder.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Run, and pay, again although it has completed.")] = False,
    profile: Profile = "cloud",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Run your own training script as a job, once for each state of code, data and arguments.

    Code and data on this machine are sent to the bucket first. The same command finds the job that runs or has
    completed, and pays for nothing; changed inputs make the next version of the job.
    """
    chain = open_chain(profile, parse_overrides(settings), Silent())
    if engine and image:
        raise UserError("--engine and --image exclude each other", hint="a custom image brings its own engine")
    chosen = {field: value for field, value in (("engine", engine), ("flavor", flavor)) if value}
    modelarts = chain.settings.modelarts.model_copy(update=chosen)
    runs = chain.world.scripts(modelarts)
    script = replace(
        _script(chain, code, boot, data),
        output=output,
        log=log,
        image=image,
        parameters=tuple(pairs(param, "--param").items()),
    )
    script = replace(script, name=name) if name else script

    def on_event(event: "TrainEvent") -> None:
        from infra.modelarts.logs import event_line  # noqa: PLC0415 - the SDK takes a while to import

        if not as_json:
            print_text(event_line(event))

    if wait or fetch is not None:
        submission = runs.run(script, on_event, again=again)
    else:
        submission = runs.submit(script, lambda text: None if as_json else print_line(text), again=again)
    if fetch is not None:
        _fetch(chain, submission, fetch)
    _show(submission, script, profile, as_json=as_json)


def _script(chain: "Chain", code: str, boot: str, data: str) -> "Script":
    """Send what is on this machine to the bucket."""
    from infra.modelarts.scripts.place import boot_path, place  # noqa: PLC0415 - boto3 is for those who use it
    from infra.modelarts.scripts.script import Script  # noqa: PLC0415

    inside = boot_path(code, boot)
    store, prefix = chain.world.object_store(), chain.settings.obs.prefix
    return Script(
        name=Path(inside).stem,
        code=place(code, "--code", store, f"{prefix}/scripts", chain.world.bucket),
        boot=inside,
        data=place(data, "--data", store, f"{prefix}/data", chain.world.bucket) if data else None,
    )


def _fetch(chain: "Chain", submission: "Submission", folder: Path) -> None:
    if not submission.output:
        raise UserError("the script copies its output itself", hint="`atlasflow obs copy` fetches it")
    chain.world.object_store().files.copy_parallel(submission.output, str(folder))


def _show(submission: "Submission", script: "Script", profile: str, *, as_json: bool) -> None:
    job = submission.job
    if as_json:
        print_json(submission)
        return
    state = job.phase if submission.created else f"{job.phase}; it existed already, and is not paid for again"
    facts = [("job", job.name), ("phase", state), ("code", script.code.address)]
    facts += [("data", script.data.address)] if script.data else []
    facts += [("output", submission.output)] if submission.output else []
    print_facts(facts)
    if not job.final:
        print_line(f"`atlasflow jobs logs {job.name} --follow --profile {profile}` shows its log")
