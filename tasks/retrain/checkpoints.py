"""Evaluate any checkpoint that was trained here, on today's data with today's code."""

from infra.errors import UserError
from infra.settings.stages import TrainSettings
from infra.store.receipts import Receipt
from tasks.engine.chain import Chain
from tasks.stages import corrupt, download, evaluate, robustness, train

STAGES = (download.STAGE, train.STAGE, evaluate.STAGE, corrupt.STAGE, robustness.STAGE)


def chain_with_training(chain: Chain, trained: Receipt) -> Chain:
    """Build a chain with this training, so that its `evaluate` and `robustness` measure that checkpoint.

    Run `evaluate`, or `corrupt` and then `robustness`, with its `run`, or as Prefect tasks with `run_stage`. Their
    results are reused as in any run; `latest/` does not change.

    Args:
        chain: its data set, which must exist, and its settings are used, except those of the training.
        trained: a receipt of the stage `train`, of any network.

    Raises:
        UserError: the data set is missing.
    """
    settings = chain.settings.train
    train_settings = TrainSettings(target=settings.target, recipe=settings.recipe, **trained.ingredients["settings"])
    other = chain.with_settings(STAGES, chain.settings.model_copy(update={"train": train_settings}))
    look = other.look(download.STAGE)
    if look.receipt is None:
        raise UserError(f"the data set is missing: {look.reason}", hint="run the stage download first")
    other.known[train.STAGE.name] = trained
    return other
