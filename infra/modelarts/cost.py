"""The maximum cost of jobs and notebooks, and the cap on it."""

from infra.errors import UserError
from infra.settings import ModelArtsSettings


def maximum_cost(settings: ModelArtsSettings) -> float | None:
    """Return the maximum cost of a job, which stops after `auto_stop_hours`; None when its flavor has no price."""
    price = settings.prices.get(settings.flavor)
    return None if price is None else price * settings.node_count * settings.auto_stop_hours


def check_job_cost(settings: ModelArtsSettings) -> None:
    """Check the maximum cost of a job against the cap.

    Raises:
        UserError: the cost may exceed the cap, or the price is unknown.
    """
    _check(settings, "job", settings.flavor, settings.node_count * settings.auto_stop_hours, "auto_stop_hours")


def check_notebook_cost(settings: ModelArtsSettings, flavor: str) -> None:
    """Check the maximum cost of a notebook, which stops after `notebook.hours`, against the cap.

    Raises:
        UserError: the cost may exceed the cap, or the price is unknown.
    """
    _check(settings, "notebook", flavor, settings.notebook.hours, "notebook.hours")


def _check(settings: ModelArtsSettings, what: str, flavor: str, node_hours: int, limit: str) -> None:
    cap, price = settings.cost_cap, settings.prices.get(flavor)
    if cap is None:
        return
    if price is None:
        raise UserError(
            f"modelarts.cost_cap is set, but the flavor {flavor} has no price",
            hint=f'set its price per hour: modelarts.prices = {{ "{flavor}" = … }}',
        )
    if price * node_hours > cap:
        raise UserError(
            f"the {what} could cost {price * node_hours:.2f} ({node_hours} node hours × {price:.2f}), "
            f"more than modelarts.cost_cap {cap:.2f}",
            hint=f"lower modelarts.{limit}, use a cheaper flavor, or raise the cap",
        )
