"""Any checkpoint that was trained here, under today's data and code: what champion and challenger have in common."""

from infra.errors import UserError
from infra.settings.stages import TrainSettings
from infra.store.receipts import Receipt
from tasks.engine.chain import Chain
from tasks.stages import corrupt, download, evaluate, robustness, train

STAGES = (download.STAGE, train.STAGE, evaluate.STAGE, corrupt.STAGE, robustness.STAGE)


def about(chain: Chain, trained: Receipt) -> Chain:
    """A chain whose training is `trained`: its `evaluate` and `robustness` are about that checkpoint.

    Run `evaluate`, or `corrupt` and then `robustness`, with its `run`, or as Prefect tasks with `run_stage`. What they
    make is reused as in any run, and `latest/` stays as it is.

    Args:
        chain: whose data set, which must be there, and settings count; those of the training are the receipt's.
        trained: a receipt of the stage `train`, of any network.

    Raises:
        UserError: the data set is not there.
    """
    settings = chain.settings.train
    theirs = TrainSettings(target=settings.target, recipe=settings.recipe, **trained.ingredients["settings"])
    other = chain.with_settings(STAGES, chain.settings.model_copy(update={"train": theirs}))
    look = other.look(download.STAGE)
    if look.receipt is None:
        raise UserError(f"the data set is not there: {look.reason}", hint="run the stage download first")
    other.known[train.STAGE.name] = trained
    return other


def trained(chain: Chain, checkpoint: str) -> Receipt:
    """The newest receipt of a training that made a checkpoint.

    Args:
        chain: of this home.
        checkpoint: its SHA-256.

    Raises:
        UserError: no training here made it.
    """
    makers = [
        receipt
        for receipt in chain.receipts.all(train.STAGE.name)
        if receipt.outputs["checkpoint"].sha256 == checkpoint
    ]
    if not makers:
        raise UserError(f"no training here made the checkpoint {checkpoint[:12]}", hint="see `atlasflow status`")
    return max(makers, key=lambda receipt: receipt.finished)
