"""What the stand-in does not have, by the official SDK; and that it knows every path of the training API."""

import inspect
import re
from pathlib import Path
from typing import Any

import huaweicloudsdkmodelarts.v1 as sdk
import pytest

from infra.errors import Refused, UserError
from infra.modelarts.client import ModelArts
from infra.modelarts.emulator.api import Api
from infra.modelarts.emulator.notebooks import Notebooks
from infra.modelarts.emulator.offers import FLAVOR
from infra.modelarts.emulator.platform import Platform
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeBody

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12
_SUBJECTS = re.compile("training|algorithm|experiment")


def test_every_training_operation_of_the_sdk_has_a_route(tmp_path: Path, store: doubles.FolderStore) -> None:
    source = inspect.getsource(sdk.ModelArtsClient)
    found = re.findall(r'"method": "(\w+)",\s+"resource_path": "([^"]+)"', source)
    wanted = {(method, path) for method, path in found if _SUBJECTS.search(path)}
    assert len(wanted) > 50
    platform = Platform(tmp_path / "jobs", lambda _bucket: store, "", doubles.QUICK)
    api = Api(platform, Notebooks(tmp_path / "notebooks.json"), lambda _bucket: store)
    have = {(route.method, re.sub(r"{\w+}", "{}", route.path)) for route in api.routes}
    platform.close()
    assert {(method, path) for method, path in wanted if (method, re.sub(r"{\w+}", "{}", path)) not in have} == set()


def test_lists_are_empty_and_single_things_are_refused(client: ModelArts, body: MakeBody) -> None:
    job = client.submit(body()).id

    def call(name: str, request: str, **values: Any) -> Any:
        made = getattr(sdk, request)(**values)
        return client.call(name, lambda found: getattr(found, name)(made))

    assert call("show_auto_search_trials", "ShowAutoSearchTrialsRequest", training_job_id=job).items.data == []
    assert call("list_ft_artifacts", "ListFtArtifactsRequest", training_job_id=job).total == 0
    assert call("show_search_algorithms", "ShowSearchAlgorithmsRequest").search_algo_count == 0
    assert call("show_training_job_route_plan", "ShowTrainingJobRoutePlanRequest", training_job_id=job).job_id == job
    largest = "ShowTrainingFlavorMaxAvailableResourceRequest"
    name = "show_training_flavor_max_available_resource"
    assert call(name, largest, flavor_id=FLAVOR, pool_id="pool-1").cpu_core_num == 2
    with pytest.raises(UserError, match="2781"):
        call(name, largest, flavor_id="none", pool_id="pool-1")
    with pytest.raises(UserError, match="no fine-tuning"):
        call("show_ft_detail", "ShowFtDetailRequest", training_job_id=job)
    with pytest.raises(UserError, match="searches no hyper-parameters"):
        call("show_auto_search_per_trial", "ShowAutoSearchPerTrialRequest", training_job_id=job, trial_id="t")
    image = sdk.ImageSaveJob(name="n", namespace="s", tag="1")
    with pytest.raises(Refused, match="no image repository"):
        call("create_save_image_job", "CreateSaveImageJobRequest", training_job_id=job, task_id="worker-0", body=image)
