import subprocess
import sys
from typing import Any

import pytest

from models.networks.registry import NETWORKS, code_of, module_of
from models.spec.recipes import RECIPES, SpecError, _warmup, load, resolve, to_json
from models.spec.train_spec import TrainSpec


def test_the_sample_recipe_is_the_tuning_tutorial_s() -> None:
    spec = resolve("lenet5-sample")
    assert (spec.network, spec.batch_size, spec.optimizer, spec.momentum) == ("lenet5", 32, "momentum", 0.9)
    assert (spec.schedule, spec.learning_rate, spec.weight_decay, spec.epochs) == ("cosine", 0.01, 0.0, 30)
    assert (spec.crop, spec.flip) == (4, True)


def test_the_tutorials_recipes_have_the_tutorials_values() -> None:
    lenet = resolve("lenet5-tutorial")
    assert (lenet.network, lenet.batch_size, lenet.epochs, lenet.learning_rate) == ("lenet5", 32, 50, 0.01)
    assert (lenet.schedule, lenet.warmup_epochs, lenet.momentum, lenet.weight_decay) == ("cosine", 0, 0.9, 0.0)
    resnet = resolve("resnet50-tutorial")
    assert (resnet.network, resnet.batch_size, resnet.epochs, resnet.momentum) == ("resnet50", 32, 90, 0.9)
    assert (resnet.schedule, resnet.warmup_epochs) == ("square", 5)
    assert (resnet.warmup_rate, resnet.learning_rate, resnet.stem, resnet.image_size) == (0.01, 0.1, "native", 32)
    assert resolve("resnet50-board") == resolve("resnet50-tutorial", {"image_size": 224})
    paper = resolve("resnet20-paper")
    assert (paper.batch_size, paper.learning_rate, paper.weight_decay, paper.decay_rate) == (128, 0.1, 1e-4, 0.1)
    # 64,000 steps of 128 images, a tenth of the rate after 32,000 and 48,000, in whole epochs of 390 steps.
    assert [paper.epochs, *paper.milestones] == [round(steps / 390) for steps in (64_000, 32_000, 48_000)]


def test_our_own_recipes_have_the_values_of_the_documentation() -> None:
    compact = resolve("compact")
    assert (compact.network, compact.width, compact.batch_size, compact.image_size) == ("compact", 1.0, 128, 32)
    assert (compact.optimizer, compact.momentum, compact.nesterov) == ("momentum", 0.9, True)
    assert (compact.schedule, compact.learning_rate, compact.warmup_epochs) == ("one-cycle", 0.1, 0)
    assert (compact.weight_decay, compact.decay_all, compact.crop, compact.flip) == (5e-4, False, 4, True)
    quick = resolve("quick")
    assert (quick.network, quick.width, quick.batch_size, quick.epochs) == ("compact", 0.5, 32, 1)
    assert (quick.optimizer, quick.momentum, quick.nesterov) == ("momentum", 0.9, True)
    assert (quick.schedule, quick.learning_rate, quick.weight_decay, quick.decay_all) == (
        "one-cycle",
        0.05,
        1e-4,
        False,
    )
    assert (quick.crop, quick.flip) == (0, True)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_resolves_and_comes_back_from_its_json(recipe: Any) -> None:
    assert load(to_json(resolve(recipe))) == resolve(recipe)


def test_overrides_change_single_fields() -> None:
    assert resolve("lenet5-sample", {"epochs": "3"}).epochs == 3


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="recipe: ") as caught:
        resolve("lenet5-tutoriel")
    assert "lenet5-tutorial" in caught.value.hint
    with pytest.raises(SpecError, match="network: ") as caught:
        resolve("lenet5-sample", {"network": "lenet"})
    assert "lenet5" in caught.value.hint


def test_a_wrong_image_size_is_refused() -> None:
    with pytest.raises(SpecError, match="image_size: lenet5"):
        load('{"image_size": 224}')


def test_networks_are_named_without_importing_them() -> None:
    program = (
        "import sys, models.spec.recipes, models.networks.registry as r; r.module_of('lenet5');"
        "sys.exit(any(m in sys.modules for m in ('numpy', 'mindspore', 'models.networks.lenet')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("network", NETWORKS)
def test_the_code_of_a_command_has_the_one_network(network: Any) -> None:
    code = code_of("train", network)
    assert module_of(network) in code
    assert "models.training.loop" in code


def test_an_unknown_network_has_no_module() -> None:
    with pytest.raises(SpecError, match="network"):
        module_of("lenet6")


@pytest.mark.parametrize(("epochs", "warmup"), [("1", 0), (3, 0), (5, 0), (6, 5), (90, 5)])
def test_a_few_epochs_shorten_the_warm_up(epochs: object, warmup: int) -> None:
    assert resolve("resnet50-tutorial", {"epochs": epochs}).warmup_epochs == warmup


def test_a_longer_warm_up_is_shortened_in_proportion() -> None:
    assert _warmup(TrainSpec(epochs=90, warmup_epochs=45), {"epochs": 40}) == {"warmup_epochs": 20}


def test_a_warm_up_that_is_asked_for_must_fit() -> None:
    with pytest.raises(SpecError, match="warmup_epochs"):
        resolve("resnet50-tutorial", {"epochs": 3, "warmup_epochs": 5})
