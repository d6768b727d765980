"""The checks on a job before it is accepted, with the platform's error codes (docs/reference/modelarts.md §1.4)."""

import re
from pathlib import PurePosixPath

from infra.errors import AtlasFlowError, UserError
from infra.modelarts.emulator.container import Stores
from infra.modelarts.emulator.errors import ApiError, ErrorCode
from infra.modelarts.emulator.offers import ENGINE, FLAVOR, MAX_NODES
from infra.modelarts.emulator.request import JobRequest, read_request
from infra.obs.address import ObjectAddress

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_IMAGE = re.compile(r"([a-z0-9.-]+(:[0-9]+)?/)?[a-z0-9._-]+(/[a-z0-9._-]+)*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?")
_POOL = re.compile(r"pool[a-z0-9_-]{1,60}")
_MAX_PRIORITY = 3  # modelarts.md §1.2
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_VARIABLES, _MAX_NAME, _MAX_VALUE = 100, 8192, 4096  # modelarts.md §1.2


def check_job(body: object, stores: Stores) -> JobRequest:
    """Read and check the body of a request that creates a job.

    Raises:
        ApiError: the first problem found.
    """
    if not isinstance(body, dict):
        raise ApiError(ErrorCode.INVALID_JSON, "the body is not a JSON object")
    if body.get("kind") != "job":
        raise ApiError(ErrorCode.INVALID_FIELD, f"kind must be job, not {body.get('kind')}")
    request = read_request(body)
    if not _NAME.fullmatch(request.name):
        raise ApiError(ErrorCode.INVALID_PARAMETER, "a name has 1 to 64 letters, digits, _ and -")
    if request.workspace != "0":
        raise ApiError(ErrorCode.UNKNOWN_WORKSPACE, f"the workspace {request.workspace} does not exist")
    _check_program(request)
    _check_resources(request)
    _check_schedule(request)
    _check_channels(request)
    _check_parameters(request)
    try:
        _check_code(request, stores)
    except UserError as error:
        raise ApiError(ErrorCode.INVALID_OBS_PATH, error.message) from error
    except AtlasFlowError as error:
        raise ApiError(ErrorCode.OBS_FAILED, f"OBS: {error.message}") from error
    return request


def _check_program(request: JobRequest) -> None:
    """Check the engine, or the custom image with its command; it runs with this machine's Python either way."""
    if not request.image and not request.command:
        if request.engine != ENGINE:
            raise ApiError(ErrorCode.UNKNOWN_ENGINE, f"the engine {request.engine} does not exist")
        return
    if not request.image or not request.command.strip():
        raise ApiError(ErrorCode.IMAGE_WITHOUT_COMMAND, "a custom image needs both image_url and command")
    if request.engine:
        raise ApiError(ErrorCode.INVALID_FIELD, "a job has an engine or a custom image, not both")
    if not _IMAGE.fullmatch(request.image):
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"{request.image[:200]} is not the address of an image")


def _check_schedule(request: JobRequest) -> None:
    if request.pool and not _POOL.fullmatch(request.pool):
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"there is no pool {request.pool[:64]}")
    if request.priority is not None and request.priority > _MAX_PRIORITY:
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"priority must be between 1 and {_MAX_PRIORITY}")
    if not request.pool and (request.priority is not None or request.preemptible):
        raise ApiError(ErrorCode.INVALID_PARAMETER, "priority and preemptible need a dedicated pool")
    for volume in request.volumes:
        if volume.kind == "nfs":
            raise ApiError(ErrorCode.INVALID_PARAMETER, "this stand-in has no SFS to mount")
        try:
            ObjectAddress.parse_folder(volume.source)
        except UserError as error:
            raise ApiError(ErrorCode.INVALID_OBS_PATH, error.message) from error


def _check_resources(request: JobRequest) -> None:
    if not request.flavor:
        raise ApiError(ErrorCode.INVALID_FLAVOR, "the flavor is missing")
    if request.flavor != FLAVOR:
        raise ApiError(ErrorCode.UNKNOWN_FLAVOR, f"the flavor {request.flavor} does not exist")
    if request.nodes > MAX_NODES:
        raise ApiError(ErrorCode.TOO_MANY_NODES, f"the flavor allows at most {MAX_NODES} node")


def _check_channels(request: JobRequest) -> None:
    for channel in request.channels:
        try:
            ObjectAddress.parse_folder(channel.address)
        except UserError as error:
            raise ApiError(ErrorCode.INVALID_OBS_PATH, error.message) from error
    if len({channel.name for channel in request.channels}) != len(request.channels):
        raise ApiError(ErrorCode.INVALID_CHANNEL, "two channels have the same name")


def _check_parameters(request: JobRequest) -> None:
    if len({name for name, _ in request.parameters}) != len(request.parameters):
        raise ApiError(ErrorCode.REPEATED_PARAMETER, "a parameter is given twice")
    if len(request.environment) > _MAX_VARIABLES:
        raise ApiError(ErrorCode.INVALID_PARAMETER, f"at most {_MAX_VARIABLES} environment variables are allowed")
    for name, value in request.environment.items():
        if not _VARIABLE.fullmatch(name) or len(name) > _MAX_NAME or len(value) > _MAX_VALUE:
            raise ApiError(ErrorCode.INVALID_PARAMETER, f"the environment variable {name[:64]} is not allowed")


def _check_code(request: JobRequest, stores: Stores) -> None:
    if request.image and not request.boot_file:
        if request.code_dir:
            bucket, code = ObjectAddress.parse_folder(request.code_dir).parts
            if not any(True for _ in stores(bucket).list(f"{code}/")):
                raise ApiError(ErrorCode.INVALID_CODE_DIR, f"the code directory {request.code_dir} is empty")
        return
    if not request.code_dir or not request.boot_file:
        raise ApiError(ErrorCode.INVALID_FIELD, "code_dir and boot_file are missing")
    bucket, code = ObjectAddress.parse_folder(request.code_dir).parts
    boot_bucket, boot = ObjectAddress.parse_folder(request.boot_file).parts
    if boot_bucket != bucket or not PurePosixPath(boot).is_relative_to(code):
        raise ApiError(ErrorCode.BOOT_FILE_OUTSIDE_CODE, "the boot file is not in the code directory")
    if not any(True for _ in stores(bucket).list(f"{code}/")):
        raise ApiError(ErrorCode.INVALID_CODE_DIR, f"the code directory {request.code_dir} is empty")
    if not boot.endswith(".py") or stores(bucket).head(boot) is None:
        raise ApiError(ErrorCode.INVALID_BOOT_FILE, f"the boot file {request.boot_file} does not exist")
