"""Two stages for simulated chains: one that is paid for, and one that works here."""

from tasks.engine.stage import Stage, StageContext, StageOutput


def run(context: StageContext) -> StageOutput:
    """Train on the platform."""
    from infra.ports.training import TrainJob

    spec = {"variant": context.settings.modelarts.parameters["variant"]}
    folder = context.folder / "result"
    folder.mkdir(parents=True, exist_ok=True)
    job = TrainJob(context.key, folder, spec, folder, "obs://data/set/", "obs://data/code/", again=context.forced)
    context.world.trainer().train(job, lambda _event: None)
    return StageOutput({"checkpoint": folder / "checkpoint.ckpt"})


def pack(context: StageContext) -> StageOutput:
    """Make a file and a folder of the checkpoint."""
    text = context.input("checkpoint").read_bytes()
    folder = context.folder / "packed"
    (folder / "part").mkdir(parents=True)
    (folder / "part" / "a.bin").write_bytes(text[:100])
    (folder / "part" / "b.bin").write_bytes(text[100:])
    (context.folder / "summary.txt").write_bytes(text[::-1])
    return StageOutput({"packed": folder, "summary": context.folder / "summary.txt"})


TRAIN = Stage("train", "pure", run, settings=lambda settings: dict(settings.modelarts.parameters), resumes=True)
PACK = Stage("pack", "pure", pack, needs={"checkpoint": ("train", "checkpoint")})
