import re
from typing import Any

import pytest

from infra.errors import UserError
from tasks.tune.space import Choice, Range, space_of


def test_structure_comes_first_and_values_stay_as_they_were_written() -> None:
    fields = {"train.learning_rate": "0.01, 1e-1", "train.width": "0.5,1", "train.epochs": "2..9"}
    space = space_of(["lenet5-sample"], ["lenet5", "resnet20"], fields)
    assert space.factors == (
        Choice("network", ("lenet5", "resnet20")),
        Choice("width", ("0.5", "1")),
        Choice("recipe", ("lenet5-sample",)),
        Choice("learning_rate", ("0.01", "1e-1")),
        Range("epochs", 2, 9, log=False, whole=True),
    )
    assert space.varied == ("network", "width", "learning_rate", "epochs")
    assert space.size is None


def test_the_size_of_a_space_is_the_product_of_its_values() -> None:
    assert space_of(["quick", "compact"], [], {"train.seed": "1,2,3"}).size == 6
    assert space_of(["quick"], [], {}).size == 1


def test_a_range_of_equal_ratios() -> None:
    (_, found) = space_of(["quick"], [], {"train.learning_rate": "log:1e-3..0.1"}).factors
    assert found == Range("learning_rate", 0.001, 0.1, log=True, whole=False)


@pytest.mark.parametrize(
    ("recipes", "networks", "fields", "message"),
    [
        (["lenet"], [], {}, "no recipe 'lenet'"),
        (["quick"], ["lenet"], {}, "no network 'lenet'.*lenet5"),
        (["quick"], ["lenet5", "lenet5"], {}, "repeated"),
        (["quick"], [], {"train.learning_rte": "1,2"}, "learning_rte.*did you mean 'learning_rate'"),
        (["quick"], [], {"evaluate.min_accuracy": "0,1"}, "cannot be varied"),
        (["quick"], [], {"train.network": "lenet5,compact"}, "--networks lenet5,compact"),
        (["quick"], [], {"train.recipe": "a,b"}, "--recipes a,b"),
        (["quick"], [], {"train.seed": "1,,2"}, "empty"),
        (["quick"], [], {"train.seed": "1,1"}, "repeated"),
        (["quick"], [], {"train.schedule": "a..b"}, "only numbers"),
        (["quick"], [], {"train.flip": "0..1"}, "only numbers"),
        (["quick"], [], {"train.epochs": "1.5..3"}, "whole numbers"),
        (["quick"], [], {"train.width": "x..3"}, "must be numbers"),
        (["quick"], [], {"train.width": "2..1"}, "LOW < HIGH"),
        (["quick"], [], {"train.weight_decay": "log:0..1"}, "0 < LOW < HIGH"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_advice(recipes: Any, networks: Any, fields: Any, message: str) -> None:
    with pytest.raises(UserError) as refused:
        space_of(recipes, networks, fields)
    assert re.search(message, str(refused.value).replace("\n", " "))
