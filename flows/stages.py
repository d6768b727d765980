"""One small flow a stage, for triggering it alone: it uses the receipts that are there, like the whole chain."""

from prefect import State, flow
from prefect.runtime import flow_run

from flows.pipeline import run_to_end
from flows.requests import StageRequest, current_request, run_name

_DEFAULT = StageRequest()


def _name() -> str:
    return run_name(flow_run.flow_name or "stage", current_request(StageRequest))


@flow(name="download", flow_run_name=_name, persist_result=False)
def download(request: StageRequest = _DEFAULT) -> State[None] | None:
    """Fetch the data set and check every image of it."""
    return run_to_end(request.of("download"))


@flow(name="upload", flow_run_name=_name, persist_result=False)
def upload(request: StageRequest = _DEFAULT) -> State[None] | None:
    """Make object storage hold the data set and the code."""
    return run_to_end(request.of("upload"))


@flow(name="train", flow_run_name=_name, persist_result=False)
def train(request: StageRequest = _DEFAULT) -> State[None] | None:
    """Train the network of the recipe, on this machine or on ModelArts."""
    return run_to_end(request.of("train"))


@flow(name="evaluate", flow_run_name=_name, persist_result=False)
def evaluate(request: StageRequest = _DEFAULT) -> State[None] | None:
    """Measure the checkpoint on the evaluation images."""
    return run_to_end(request.of("evaluate"))


@flow(name="export", flow_run_name=_name, persist_result=False)
def export(request: StageRequest = _DEFAULT) -> State[None] | None:
    """Write the model as MINDIR, ONNX and AIR."""
    return run_to_end(request.of("export"))


@flow(name="convert", flow_run_name=_name, persist_result=False)
def convert(request: StageRequest = _DEFAULT) -> State[None] | None:
    """Compile the model for each chip and precision, and compare every hop."""
    return run_to_end(request.of("convert"))


@flow(name="publish", flow_run_name=_name, persist_result=False)
def publish(request: StageRequest = _DEFAULT) -> State[None] | None:
    """Send the model and its reports to object storage."""
    return run_to_end(request.of("publish"))


@flow(name="deploy", flow_run_name=_name, persist_result=False)
def deploy(request: StageRequest = _DEFAULT) -> State[None] | None:
    """Put the release into service on the boards."""
    return run_to_end(request.of("deploy"))


@flow(name="corrupt", flow_run_name=_name, persist_result=False)
def corrupt(request: StageRequest = _DEFAULT) -> State[None] | None:
    """Make the corrupted evaluation images, on which robustness is measured."""
    return run_to_end(request.of("corrupt"))


@flow(name="robustness", flow_run_name=_name, persist_result=False)
def robustness(request: StageRequest = _DEFAULT) -> State[None] | None:
    """Measure the checkpoint on the corrupted images."""
    return run_to_end(request.of("robustness"))


STAGE_FLOWS = {
    single.name: single
    for single in (
        download,
        upload,
        train,
        evaluate,
        export,
        convert,
        publish,
        deploy,
        corrupt,
        robustness,
    )
}
