"""Settings of training, evaluation, export and compilation, of the Prefect server and of retries."""

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, field_validator

from infra.settings.section import Section


class TrainSettings(Section):
    """What is trained and where. Any other key is a field of the recipe, checked by `models/spec/recipes.py`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    target: Literal["local", "modelarts"] = Field("local", description="where training runs")
    recipe: str = Field("lenet5-sample", description="name of the recipe")
    pretrained: str = Field(
        "",
        description="start from this checkpoint (.ckpt, .safetensors, .pth, .onnx): a path or an obs:// address; "
        "empty: from scratch",
    )

    def overrides(self) -> dict[str, object]:
        """Fields of the recipe that are set here."""
        return dict(self.model_extra or {})

    def network_file(self) -> Path | None:
        """The file of a network of one's own (`network=my_net.py:MyNet`); None for a network of AtlasFlow."""
        name = str(self.overrides().get("network", ""))
        file, colon, _ = name.rpartition(":")
        return Path(file).expanduser() if colon and file.endswith(".py") else None


class EvaluateSettings(Section):
    """The evaluation, and the gate after it."""

    min_accuracy: float = Field(0.50, ge=0, le=1, description="with a lower accuracy the chain stops with exit code 3")
    views: Literal[1, 2, 6] = Field(
        1,
        description="views of each image for a second accuracy: mirrored, and shifted by a pixel; the gate counts one",
    )


class ExportSettings(Section):
    """Formats to export."""

    formats: tuple[Literal["mindir", "onnx", "air"], ...] = Field(
        ("mindir", "onnx", "air"), description="formats to write"
    )
    max_difference: float = Field(1e-4, gt=0, description="largest absolute difference of a logit to the checkpoint's")
    batch: int = Field(0, ge=0, le=4096, description="batch size of MINDIR, ONNX and AIR; 0: dynamic, for AIR one")
    portable_air: bool = Field(
        False, description="write AIR without an Ascend device when MindSpore cannot write it itself"
    )


# The values of ATC's --precision_mode (docs/reference/atc.md §3.2), and int8 by quantisation after training.
Precision = Literal[
    "int8",
    "force_fp16",
    "force_fp32",
    "cube_fp16in_fp32out",
    "allow_fp32_to_fp16",
    "must_keep_origin_dtype",
    "allow_mix_precision",
    "allow_mix_precision_fp16",
    "allow_mix_precision_bf16",
]


class AtcSettings(Section):
    """The compiler."""

    stand_in_cann: Literal["5.1", "6.3", "7.0", "8.0", "8.5", "9.0"] = Field(
        "8.0", description="the generation of CANN that the stand-in compiler plays; see docs/compatibility.md"
    )
    toolkits: tuple[str, ...] = Field(
        (),
        description="set_env.sh of more CANN toolkits; a chip is compiled by the first that has its operators",
    )

    @field_validator("stand_in_cann", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """`--set atc.stand_in_cann=9.0` and TOML without quotes are numbers."""
        return str(value) if isinstance(value, float) else value


class ConvertSettings(Section):
    """Compilation to `.om`."""

    compiler: Literal["auto", "atc", "stand-in"] = Field(
        "auto", description="auto: ATC when it is on PATH, else the stand-in"
    )
    model: str = Field(
        "", description="compile this ONNX or AIR file (a path or an obs:// address) instead of the export"
    )
    classes: str = Field("", description="for convert.model: a file with a class name a line; empty: the data set's")
    images: str = Field("", description="for convert.model: a folder of pictures to compare with; empty: the data set")
    max_images: int = Field(500, ge=1, le=100_000, description="for convert.images: number of pictures to take")
    source: Literal["onnx", "air"] = Field("onnx", description="export to compile")
    soc_versions: tuple[str, ...] = Field((), description="chips, as ATC names them; empty: those of deploy.boards")
    precisions: tuple[Precision, ...] = Field(
        ("force_fp16",), min_length=1, description="precision modes to compile, the preferred one first"
    )
    aipp: bool = Field(False, description="include the normalisation in the .om, whose input is then uint8 pixels")
    batch_gears: tuple[int, ...] = Field((), description="batch sizes of a model with dynamic batch; empty: one size")
    options: dict[str, str] = Field({}, description="other options of ATC, by name without dashes")
    min_agreement: float = Field(
        0.98, ge=0, le=1, description="least share of images with the same answer as the checkpoint"
    )
    max_accuracy_drop: float = Field(0.01, ge=0, le=1, description="largest loss of accuracy of the compiled model")


class PrefectSettings(Section):
    """The installation's own Prefect server."""

    port: int = Field(0, ge=0, le=65_535, description="port of the server; 0: 4200, or a free one that is then kept")
    start_seconds: int = Field(120, ge=5, description="how long to wait for a new server to answer, in seconds")
    keep_days: int = Field(90, ge=1, description="days after which the server deletes runs with their logs and reports")
    training_jobs: int = Field(
        1, ge=1, le=64, description="trainings that run at the same time, on all machines of this server"
    )
    crashed_seconds: int = Field(
        120, ge=70, description="seconds without a heartbeat after which a run is marked as crashed"
    )


class RetrySettings(Section):
    """Retries of transient errors."""

    attempts: int = Field(3, ge=1, le=10, description="tries in all")
    seconds: float = Field(2.0, ge=0, le=600, description="delay before the first retry; it doubles, with jitter")
