"""Training jobs, notebooks and projects in Huawei's cloud."""

from typing import Literal

from pydantic import Field, SecretStr

from infra.settings.section import Section


class ModelArtsStandInSettings(Section):
    """How the ModelArts stand-in behaves."""

    slots: int = Field(1, ge=1, le=16, description="jobs that run at once; the others wait in the queue")
    creating_seconds: float = Field(0.5, ge=0, description="in phase Creating")
    queue_seconds: float = Field(0.5, ge=0, description="in phase Pending, at least")
    log_seconds: float = Field(1.0, ge=0, description="how late a job's log appears")
    clock_minutes: float = Field(15.0, gt=0, description="how far a request's clock may be off (unconfirmed)")
    arguments: Literal["joined", "separate"] = Field(
        "joined", description="the boot script gets --name=value, or --name and value as two words (unconfirmed)"
    )


class ModelArtsNotebookSettings(Section):
    """Notebook instances on ModelArts."""

    image: str = Field("", description="image id; an unset one is answered with the list of the region's images")
    flavor: str = Field("", description="empty: modelarts.flavor")
    hours: int = Field(1, ge=1, le=72, description="the platform stops the instance then")
    storage: Literal["EVS", "OBS"] = Field("EVS", description="a disk of its own, or a folder of a bucket")
    storage_gb: int = Field(5, ge=5, le=4096, description="size of the disk")
    storage_address: str = Field("", description="obs://bucket/folder/ for OBS")
    storage_credential: str = Field("", description="for OBS: name of the credential kept in the platform's DEW")


class ModelArtsSettings(Section):
    """Training jobs on ModelArts; without an endpoint the embedded stand-in is used."""

    endpoint: str = Field(
        "", description="such as https://modelarts.cn-north-4.myhuaweicloud.com; empty: embedded stand-in"
    )
    iam_endpoint: str = Field("", description="where the project is looked up; empty: the one of obs.region")
    project_id: str = Field("", description="empty: looked up by the name of obs.region")
    access_key: SecretStr = Field(SecretStr(""), description="empty: the keys of [obs]")
    secret_key: SecretStr = SecretStr("")
    security_token: SecretStr = SecretStr("")
    workspace: str = Field("0", description="0 is the default workspace")
    engine: str = Field("", description="engine id; an unknown one is answered with the region's list of them")
    flavor: str = Field("", description="flavor id; an unknown one is answered with the region's list of them")
    node_count: int = Field(1, ge=1, le=64)
    environment: dict[str, str] = Field({}, description="environment variables of the job; never secrets")
    parameters: dict[str, str] = Field(
        {}, description="further arguments of the boot script, shown with the job; models/main.py ignores them"
    )
    prices: dict[str, float] = Field({}, description="flavor id to price of one node for one hour")
    cost_cap: float | None = Field(None, ge=0, description="no job may cost more; needs the flavor's price")
    auto_stop_hours: int = Field(24, ge=1, le=720, description="the platform stops the job then")
    jobs_at_once: int = Field(1, ge=1, description="our jobs in the project; a further one waits here, unpaid")
    poll_seconds: float = Field(5.0, gt=0, le=300, description="between looks at a job; grows to six times that")
    stop_on_cancel: bool = Field(True, description="a cancelled run stops its job")
    abnormal_is_final: bool = Field(
        True, description="a job in phase Abnormal does not recover (unconfirmed); false: it is followed further"
    )
    logs: str = Field("logs", description="folder under obs.prefix that the platform writes log files to")
    notebook: ModelArtsNotebookSettings = ModelArtsNotebookSettings()
    stand_in: ModelArtsStandInSettings = ModelArtsStandInSettings()


class XiheSettings(Section):
    """A project on the xihe platform, for `import xihe` and `export xihe`."""

    owner: str = Field("me", description="who owns the repositories on xihe")
    job_name: str = "atlasflow"
    job_description: str = ""
    code_dir: str = Field("train/atlasflow/", description="the training's folder in the repository")
    boot_file: str = "train.py"
    output_dir: str = "train/output/"
    output_name: str = Field("output_path", description="the platform asks for this name")
    framework_type: str = "MPI"
    aim_repo: str = Field("", description="the argument by which an evaluation on the platform finds its Aim metrics")
    data: str = Field("", description="the platform's data set, such as datasets/me/cifar10/")
    pretrained: str = Field(
        "", description="the platform's checkpoint to start from, such as models/me/resnet50/x.ckpt"
    )
