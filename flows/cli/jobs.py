"""`atlasflow jobs`: manage training jobs on ModelArts, which are billed while they run."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_facts, print_json, print_line, print_table, print_text
from flows.context import open_chain
from infra.errors import AtlasFlowError, UserError
from tasks.engine.reporter import Silent

if TYPE_CHECKING:
    from infra.modelarts.configuration import Configuration
    from infra.modelarts.job import Job
    from infra.modelarts.trainer import ModelArtsTrainer
    from tasks.engine.chain import Chain

Name = Annotated[str, typer.Argument(help="Name or id of the job, as `jobs list` shows them.")]

jobs = typer.Typer(help="Manage training jobs on ModelArts.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(jobs, name="jobs", epilog="Examples: `atlasflow jobs submit …` · `atlasflow jobs list`")


@jobs.command("list", epilog="Examples: `atlasflow jobs list --profile cloud` · `atlasflow jobs list --ours`")
def list_jobs(
    ours: Annotated[bool, typer.Option("--ours", help="Only jobs that AtlasFlow submitted.")] = False,
    name: Annotated[str, typer.Option(help="Only jobs with this text in their name.")] = "",
    profile: Profile = "cloud",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """List the training jobs of the project, newest first: AtlasFlow's, other programs', the console's."""
    found = [job for job in _trainer(profile, settings).jobs(everybody=not ours) if name in job.name]
    if as_json:
        print_json(found)
        return
    rows = [(job.name, job.phase, _duration(job.queued_ms), _duration(job.running_ms), job.id) for job in found]
    print_table(("name", "phase", "queued", "ran", "id"), rows)


@jobs.command("show", epilog="Example: `atlasflow jobs show resnet50 --profile cloud`")
def show_job(name: Name, profile: Profile = "cloud", settings: Set = None, as_json: Json = False) -> None:
    """Show a job as the console does: state, configuration, versions, and its latest events."""
    trainer = _trainer(profile, settings)
    job = trainer.job(name)
    configuration = trainer.client.configuration(job.id)
    versions = trainer.versions(job)
    events = trainer.client.events(job.id)
    if as_json:
        more = {"configuration": configuration, "versions": [item.name for item in versions], "events": events}
        print_json(asdict(job) | more)
        return
    print_facts((field, str(value)) for field, value in asdict(job).items())
    print_facts(_configuration_lines(configuration))
    print_facts((f"version {item.name}", f"{item.phase} {_duration(item.running_ms)}") for item in versions)
    for event in events:
        print_line(f"  {event}")


def _configuration_lines(found: "Configuration") -> Iterator[tuple[str, str]]:
    for field in ("code_dir", "boot_file", "engine", "image", "command", "flavor", "nodes", "log"):
        if value := getattr(found, field):
            yield field.replace("_", " "), str(value)
    for kind, channels in (("input", found.inputs), ("output", found.outputs)):
        for channel in channels:
            yield f"{kind} {channel.name}", channel.address
    for name, value in found.parameters:
        yield f"parameter {name}", value
    for name, value in found.environment:
        yield f"variable {name}", value


@jobs.command(
    "logs",
    epilog="Examples: `atlasflow jobs logs NAME --follow` · `atlasflow jobs logs NAME --output job.log` · "
    "`atlasflow jobs logs NAME --link`",
)
def show_logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until the job ends.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the whole log to this file.")] = None,
    link: Annotated[bool, typer.Option("--link", help="Print a URL of the whole log instead.")] = False,
    profile: Profile = "cloud",
    settings: Set = None,
) -> None:
    """Print the end of a job's log, at most 5 MB; follow it; write it to a file; or print a link to the whole log.

    The link is valid for five minutes.
    """
    if follow + link + (output is not None) > 1:
        raise UserError("--follow, --output and --link exclude each other", hint="use one of them")
    from infra.modelarts import logs  # noqa: PLC0415 - as in `_trainer`

    chain = open_chain(profile, parse_overrides(settings), Silent())
    trainer = _trainer_of(chain)
    job = trainer.job(name)
    if follow:
        if error := logs.follow(trainer.client, job, print_text, chain.settings.modelarts.poll_seconds):
            raise error
        return
    if output is not None:
        logs.save(trainer.client, job, output, chain.world.bucket)
        print_line(f"wrote {output}, {output.stat().st_size:,} bytes")
        return
    for task in job.tasks:
        if link:
            text = trainer.client.log_link(job.id, task)
        else:
            preview = trainer.client.preview(job.id, task)
            text = None if preview is None else preview.content
        if text is None:
            raise logs.missing(job)
        print_text(text)


@jobs.command("metrics", epilog="Example: `atlasflow jobs metrics NAME --json`")
def show_metrics(name: Name, profile: Profile = "cloud", settings: Set = None, as_json: Json = False) -> None:
    """Show the utilisation of a job's processors and memory: the latest and the highest value, in percent."""
    trainer = _trainer(profile, settings)
    job = trainer.job(name)
    found = {task: trainer.client.metrics(job.id, task) for task in job.tasks}
    if as_json:
        print_json(found)
        return
    rows = []
    for task, metrics in found.items():
        for metric, values in metrics.items():
            known = [value for value in values if value >= 0]  # -1: unknown
            if known:
                rows.append((task, metric, f"{known[-1]:.0f} %", f"{max(known):.0f} %"))
    print_table(("task", "metric", "latest", "highest"), rows, right=("latest", "highest"))


@jobs.command("stop", epilog="Example: `atlasflow jobs stop NAME --profile cloud`")
def stop_job(name: Name, profile: Profile = "cloud", settings: Set = None) -> None:
    """Stop a job; its checkpoints are kept, and the next run resumes from them."""
    trainer = _trainer(profile, settings)
    job = trainer.job(name)
    if job.final:
        raise UserError(f"{job.name} has ended already: {job.phase}")
    print_line(f"{job.name}: {trainer.stop(job.name).phase}")


@jobs.command("delete", epilog="Example: `atlasflow jobs delete NAME --profile cloud`")
def delete_job(name: Name, profile: Profile = "cloud", settings: Set = None) -> None:
    """Delete a job with its records on the platform; its results stay in the bucket."""
    trainer = _trainer(profile, settings)
    job = trainer.job(name)
    trainer.client.delete(job.id)
    print_line(f"{job.name}: deleted")


@jobs.command("orphans", epilog="Example: `atlasflow jobs orphans --stop --profile cloud`")
def orphans(
    stop: Annotated[bool, typer.Option("--stop", help="Stop them instead of only listing them.")] = False,
    everywhere: Annotated[
        bool,
        typer.Option("--everywhere", help="Include jobs of other installations, which may be watched there."),
    ] = False,
    profile: Profile = "cloud",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Find training jobs of this installation that are billed while no process watches them."""
    handle_orphans(_trainer(profile, settings), stop=stop, everywhere=everywhere, as_json=as_json)


def handle_orphans(trainer: "ModelArtsTrainer", *, stop: bool, everywhere: bool, as_json: bool) -> None:
    """Print the orphans, and stop them if asked; one that refuses to stop does not keep the others running.

    Raises:
        AtlasFlowError: of the first job that could not be stopped; the message names all of them.
    """
    found = trainer.orphans(everywhere=everywhere)
    errors = _stop_all(trainer, found) if stop else {}
    if as_json:
        print_json(
            [
                {"name": job.name, "id": job.id, "phase": job.phase, "stopped": stop and job.name not in errors}
                for job in found
            ]
        )
    else:
        print_line(
            f"{len(found)} jobs found{f', {len(found) - len(errors)} stopped' if stop else '; --stop ends them'}"
        )
        for job in found:
            print_line(f"  {job.name} ({job.phase})")
    if errors:
        first = next(iter(errors.values()))
        text = "; ".join(f"{name}: {error.message}" for name, error in errors.items())
        raise type(first)(f"{len(errors)} of {len(found)} jobs keep running and are billed: {text}", hint=first.hint)


def _stop_all(trainer: "ModelArtsTrainer", found: "Sequence[Job]") -> dict[str, AtlasFlowError]:
    """Stop every job; return the errors by job name."""
    errors: dict[str, AtlasFlowError] = {}
    for job in found:
        try:
            trainer.stop(job.name)
        except AtlasFlowError as error:
            errors[job.name] = error
    return errors


def _trainer(profile: str, settings: list[str] | None) -> "ModelArtsTrainer":
    return _trainer_of(open_chain(profile, parse_overrides(settings), Silent()))


def _trainer_of(chain: "Chain") -> "ModelArtsTrainer":
    from infra.modelarts.trainer import ModelArtsTrainer  # noqa: PLC0415 - the SDK takes a while to import

    trainer = chain.world.trainer()
    if not isinstance(trainer, ModelArtsTrainer):
        raise UserError("this profile does not train on ModelArts", hint="use --profile cloud or twin")
    return trainer


def _duration(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    minutes, seconds = divmod(milliseconds // 1000, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
