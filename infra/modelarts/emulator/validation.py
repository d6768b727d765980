"""What the ModelArts stand-in checks before it takes a job, in the platform's error codes.

Source: docs/reference/modelarts.md §1.4.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from infra.errors import AtlasFlowError, UserError
from infra.modelarts import addresses
from infra.modelarts.codes import ApiError
from infra.modelarts.emulator.container import Stores

ENGINE = "mindspore-stand-in-cpu"
FLAVOR = "modelarts.vm.cpu.2u"

ENGINES: list[dict[str, Any]] = [
    {
        "engine_id": ENGINE,
        "engine_name": "AtlasFlow stand-in: MindSpore of this machine, on its CPU",
        "engine_version": ENGINE,
        "v1_compatible": False,
        "run_user": "1102",
    }
]
FLAVORS: list[dict[str, Any]] = [
    {
        "flavor_id": FLAVOR,
        "flavor_name": "AtlasFlow stand-in: this machine's CPU",
        "flavor_type": "CPU",
        "max_num": 1,
        "billing": {"code": FLAVOR, "unit_num": 1},
        "flavor_info": {"max_num": 1, "cpu": {"arch": "x86", "core_num": 2}, "memory": {"size": 8, "unit": "GB"}},
        "attributes": {"is_free": "true"},
    }
]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_VARIABLES, _LONGEST_KEY, _LONGEST_VALUE = 100, 8192, 4096  # modelarts.md §1.2


def check_job(body: Any, stores: Stores) -> dict[str, Any]:
    """Check the body of a job creation; the job as the platform keeps it.

    Raises:
        ApiError: the first thing that is wrong.
    """
    if not isinstance(body, dict):
        raise ApiError("2787", "the body is not a JSON object")
    if body.get("kind") != "job":
        raise ApiError("2788", f"kind must be job, not {body.get('kind')}")
    metadata, algorithm, spec = (_object(body, name) for name in ("metadata", "algorithm", "spec"))
    if not _NAME.fullmatch(str(metadata.get("name", ""))):
        raise ApiError("0104", "a name has 1 to 64 letters, digits, _ and -")
    if metadata.get("workspace_id", "0") != "0":
        raise ApiError("0102", f"the workspace {metadata['workspace_id']} does not exist")
    _check_resources(algorithm, spec)
    _check_channels(algorithm)
    _check_parameters(algorithm)
    try:
        _check_code(algorithm, stores)
    except UserError as error:
        raise ApiError("2791", error.message) from error
    except AtlasFlowError as error:
        raise ApiError("1002", f"OBS: {error.message}") from error
    return {"metadata": metadata, "algorithm": algorithm, "spec": spec}


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise ApiError("2788", f"{name} is missing")
    return value


def _check_resources(algorithm: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    engine = (algorithm.get("engine") or {}).get("engine_id")
    if engine not in [item["engine_id"] for item in ENGINES]:
        raise ApiError("2780", f"the engine {engine} does not exist")
    resource = spec.get("resource") or {}
    if not resource.get("flavor_id"):
        raise ApiError("2763", "the flavor is missing")
    flavor = next((item for item in FLAVORS if item["flavor_id"] == resource["flavor_id"]), None)
    if flavor is None:
        raise ApiError("2781", f"the flavor {resource['flavor_id']} does not exist")
    if int(resource.get("node_count", 1)) > flavor["max_num"]:
        raise ApiError("2793", f"the flavor takes at most {flavor['max_num']} node")
    limit = spec.get("auto_stop")
    if limit is not None and (limit.get("time_unit") != "HOURS" or int(limit.get("duration", 0)) < 1):
        raise ApiError("0104", "auto_stop takes whole HOURS")


def _check_channels(algorithm: Mapping[str, Any]) -> None:
    names: list[str] = []
    for channel in [*(algorithm.get("inputs") or []), *(algorithm.get("outputs") or [])]:
        if not channel.get("name") or channel.get("access_method", "parameter") not in ("parameter", "env"):
            raise ApiError("2753", "a channel has a name, and the access method parameter or env")
        names.append(channel["name"])
        try:
            addresses.split(str(((channel.get("remote") or {}).get("obs") or {}).get("obs_url")))
        except UserError as error:
            raise ApiError("2791", error.message) from error
    if len(names) != len(set(names)):
        raise ApiError("2753", "two channels have the same name")


def _check_parameters(algorithm: Mapping[str, Any]) -> None:
    names = [item.get("name") for item in algorithm.get("parameters") or []]
    if len(names) != len(set(names)):
        raise ApiError("2767", "a parameter is given twice")
    if any(not isinstance(item.get("value"), str) for item in algorithm.get("parameters") or []):
        raise ApiError("2765", "a parameter's value must be a text")
    environment = algorithm.get("environments") or {}
    if len(environment) > _MOST_VARIABLES:
        raise ApiError("0104", f"at most {_MOST_VARIABLES} environment variables")
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name) or len(name) > _LONGEST_KEY or len(str(value)) > _LONGEST_VALUE:
            raise ApiError("0104", f"the environment variable {name[:64]} is not allowed")


def _check_code(algorithm: Mapping[str, Any], stores: Stores) -> None:
    if not algorithm.get("code_dir") or not algorithm.get("boot_file"):
        raise ApiError("2788", "code_dir and boot_file are missing")
    bucket, code = addresses.split(algorithm["code_dir"])
    boot_bucket, boot = addresses.split(algorithm["boot_file"])
    if boot_bucket != bucket or not PurePosixPath(boot).is_relative_to(code):
        raise ApiError("2792", "the boot file is not in the code directory")
    if not any(True for _ in stores(bucket).list(f"{code}/")):
        raise ApiError("2757", f"there is no code at {algorithm['code_dir']}")
    if not boot.endswith(".py") or stores(bucket).head(boot) is None:
        raise ApiError("2758", f"there is no boot file at {algorithm['boot_file']}")
