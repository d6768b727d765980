import pytest

from infra.errors import UserError
from infra.modelarts.cost import check_job_cost, check_notebook_cost, maximum_cost
from infra.settings import ModelArtsSettings

SETTINGS = ModelArtsSettings(engine="e", flavor="f")


def test_the_cap_refuses_a_job_that_could_cost_more() -> None:
    priced = SETTINGS.model_copy(update={"prices": {"f": 10.0}, "node_count": 2, "auto_stop_hours": 3})
    assert maximum_cost(priced) == 60
    check_job_cost(priced.model_copy(update={"cost_cap": 60.0}))
    with pytest.raises(UserError, match=r"60\.00.*59\.00"):
        check_job_cost(priced.model_copy(update={"cost_cap": 59.0}))


def test_a_cap_without_a_price_refuses() -> None:
    check_job_cost(SETTINGS)
    with pytest.raises(UserError, match="no price"):
        check_job_cost(SETTINGS.model_copy(update={"cost_cap": 1e9}))


def test_the_cap_holds_for_notebooks() -> None:
    priced = SETTINGS.model_copy(update={"prices": {"f": 10.0, "g": 11.0}, "cost_cap": 10.0})
    check_notebook_cost(priced, "f")
    with pytest.raises(UserError, match=r"11\.00.*10\.00"):
        check_notebook_cost(priced, "g")
