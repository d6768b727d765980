"""One small flow a stage, for triggering it alone: it uses the receipts that are there, like the whole chain."""

from prefect import Flow, flow

from flows.pipeline import RunRequest, run_stages
from tasks.chain import STAGES


def _stage_flow(name: str, description: str) -> Flow[[RunRequest], None]:
    def run(request: RunRequest = RunRequest()) -> None:  # noqa: B008 - frozen
        run_stages(request.model_copy(update={"stages": (name,)}))

    run.__name__ = name
    run.__doc__ = description
    return flow(name=name, persist_result=False)(run)


STAGE_FLOWS: dict[str, Flow[[RunRequest], None]] = {
    stage.name: _stage_flow(stage.name, (stage.run.__doc__ or "").strip()) for stage in STAGES
}
