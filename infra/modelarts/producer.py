"""What trains in a ModelArts job, for keys and receipts."""

import importlib.metadata

from infra.home import CHECKOUT
from infra.local_training.producer import processor
from infra.modelarts import plan
from infra.ports.values import Producer
from infra.settings import ModelArtsSettings
from infra.store.code_digest import closure
from infra.store.digests import value_digest


def producer(settings: ModelArtsSettings, *, emulated: bool) -> Producer:
    """Name what trains, without a client or a request.

    The stand-in trains with this machine's MindSpore; its version is the digest of the code that prepares a job.
    """
    engine = plan.image_digest(settings) if settings.image else settings.engine
    details = {"engine": engine, "flavor": settings.flavor, "nodes": str(settings.node_count)}
    if not emulated:
        return Producer("modelarts", engine, emulated=False, details=details)
    version = value_digest(closure(["infra.modelarts.emulator.container"], CHECKOUT))[:16]
    details |= {"mindspore": importlib.metadata.version("mindspore"), **processor()}
    return Producer("modelarts-stand-in", version, emulated=True, details=details)
