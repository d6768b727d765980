"""Settings of ModelArts (training jobs, notebooks) and of the xihe platform."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from infra.settings.section import Section


class ModelArtsStandInSettings(Section):
    """Behaviour of the ModelArts stand-in."""

    slots: int = Field(1, ge=1, le=16, description="jobs that run at the same time; others are queued")
    creating_seconds: float = Field(0.5, ge=0, description="duration of the phase Creating, in seconds")
    queue_seconds: float = Field(0.5, ge=0, description="least duration of the phase Pending, in seconds")
    log_seconds: float = Field(1.0, ge=0, description="delay of a job's log, in seconds")
    clock_minutes: float = Field(15.0, gt=0, description="accepted clock difference of a request (unconfirmed)")
    arguments: Literal["joined", "separate"] = Field(
        "joined", description="arguments of the boot script: --name=value, or --name and value apart (unconfirmed)"
    )
    compatibility: Literal["1.x", "off"] = Field(
        "1.x", description="let scripts use names of MindSpore 1.x, with a notice in the log; off: only those of 2.x"
    )
    jupyter: bool = Field(
        True, description="open a real JupyterLab behind a notebook instance, where the extra `notebook` is installed"
    )


class ModelArtsNotebookSettings(Section):
    """Notebook instances on ModelArts."""

    image: str = Field("", description="image id; without one, the error lists the region's images")
    flavor: str = Field("", description="flavor id; empty: modelarts.flavor")
    hours: int = Field(1, ge=1, le=72, description="hours after which the platform stops the instance")
    storage: Literal["EVS", "OBS"] = Field("EVS", description="EVS: an own disk; OBS: a folder of a bucket")
    storage_gb: int = Field(5, ge=5, le=4096, description="size of the disk, in GB")
    storage_address: str = Field("", description="for OBS: obs://bucket/folder/")
    storage_credential: str = Field("", description="for OBS: name of the credential kept in the platform's DEW")


class ModelArtsVolume(Section):
    """A folder of a file system or of a bucket, mounted into a job's containers."""

    kind: Literal["nfs", "pfs", "obs"] = Field(description="nfs: SFS; pfs: a parallel file system; obs: a bucket")
    source: str = Field(min_length=1, description="SERVER:/PATH for nfs, an address in object storage for the others")
    target: str = Field(pattern=r"^/.+", description="folder in the container")
    read_only: bool = Field(False, description="for nfs: mount it read-only")


class ModelArtsSettings(Section):
    """Training jobs on ModelArts; without an endpoint the embedded stand-in is used."""

    endpoint: str = Field(
        "", description="such as https://modelarts.cn-north-4.myhuaweicloud.com; empty: embedded stand-in"
    )
    iam_endpoint: str = Field("", description="IAM endpoint to look the project up; empty: beside the endpoint")
    proxy: str = Field("", description="HTTP proxy, such as http://proxy:3128; empty: as the environment says")
    project_id: str = Field("", description="project id; empty: looked up by the name of obs.region")
    access_key: SecretStr = Field(SecretStr(""), description="access key ID (AK); empty: the keys of [obs]")
    secret_key: SecretStr = Field(SecretStr(""), description="secret access key (SK)")
    security_token: SecretStr = Field(SecretStr(""), description="security token of temporary keys")
    workspace: str = Field("0", description="workspace id; 0 is the default workspace")
    engine: str = Field("", description="engine id; for an unknown one, the error lists the region's engines")
    image: str = Field("", description="address of a custom image (SWR) to train in, instead of an engine")
    image_digest: str = Field(
        "", pattern=r"^(sha256:[0-9a-f]{64})?$", description="digest of the image, unless its address ends in one"
    )
    command: str = Field("python", min_length=1, description="starts the boot file in the custom image")
    flavor: str = Field("", description="flavor id; for an unknown one, the error lists the region's flavors")
    pool_id: str = Field("", description="id of a dedicated resource pool; empty: the public one")
    priority: int | None = Field(None, ge=1, le=3, description="in the queue of a dedicated pool; 3 is the highest")
    preemptible: bool = Field(False, description="let jobs of a higher priority take the place of this one")
    volumes: tuple[ModelArtsVolume, ...] = Field((), description="file systems and buckets to mount into the job")
    tags: dict[str, str] = Field({}, description="tags of the job, for bills and searches")
    node_count: int = Field(1, ge=1, le=64, description="nodes of a job")
    environment: dict[str, str] = Field({}, description="environment variables of the job; never secrets")
    parameters: dict[str, str] = Field(
        {}, description="extra arguments of the boot script, shown with the job; models/main.py ignores them"
    )
    code_dir: str = Field("", description="folder with your own boot file, which trains instead of models/main.py")
    boot_file: str = Field("", description="your own boot file in modelarts.code_dir; empty: models/main.py")
    checkpoint: str = Field("**/*.ckpt", description="pattern of the checkpoints of your boot file; the last counts")
    prices: dict[str, float] = Field({}, description="flavor id to price of one node for one hour")
    cost_cap: float | None = Field(None, ge=0, description="most that a job may cost; needs the flavor's price")
    auto_stop_hours: int = Field(24, ge=1, le=720, description="hours after which the platform stops a job")
    jobs_at_once: int = Field(1, ge=1, description="own jobs at the same time; others wait here, unbilled")
    poll_seconds: float = Field(5.0, gt=0, le=300, description="poll interval of a job; grows to six times this")
    stall_factor: float = Field(
        20.0, ge=0, description="tell of a job without a new step for this many times its usual step time; 0: never"
    )
    stop_stalled: bool = Field(False, description="stop such a job; the next run resumes from its checkpoints")
    stop_on_cancel: bool = Field(True, description="stop the job when its run is cancelled")
    abnormal_is_final: bool = Field(
        True, description="treat the phase Abnormal as the end of a job (unconfirmed); false: keep watching it"
    )
    logs: str = Field("logs", description="folder under obs.prefix for the platform's log files")
    notebook: ModelArtsNotebookSettings = Field(ModelArtsNotebookSettings(), description="notebook instances")
    stand_in: ModelArtsStandInSettings = Field(ModelArtsStandInSettings(), description="behaviour of the stand-in")

    @field_validator("parameters", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Take numbers, as people write them: arguments are texts."""
        if not isinstance(value, dict):
            return value
        return {name: str(item) if isinstance(item, int | float) else item for name, item in value.items()}


class XiheSettings(Section):
    """A project on the xihe platform, for `import xihe` and `export xihe`."""

    owner: str = Field("me", description="owner of the repositories on xihe")
    job_name: str = Field("atlasflow", description="name of the training job")
    job_description: str = Field("", description="description of the training job")
    code_dir: str = Field("train/atlasflow/", description="folder of the training in the repository")
    boot_file: str = Field("train.py", description="boot script in code_dir")
    output_dir: str = Field("train/output/", description="output folder in the repository")
    output_name: str = Field("output_path", description="name of the output argument, such as output_url")
    framework_type: str = Field("MPI", description="framework type of the job")
    aim_repo: str = Field(
        "", description="where the training writes its Aim metrics; empty: ./db, with config_aim.json alone"
    )
    parameters: dict[str, str | int | float | bool] = Field(
        {}, description="hyper-parameters under the names of the repository's own script; `import xihe` keeps them"
    )
    data: str = Field("", description="data set on the platform, such as datasets/me/cifar10/")
    data_name: str = Field("data_url", description="name of the argument with the data set's folder")
    pretrained: str = Field(
        "", description="checkpoint on the platform to start from, such as models/me/resnet50/x.ckpt"
    )
    pretrained_name: str = Field("pretrain_url", description="name of the argument with the checkpoint")
