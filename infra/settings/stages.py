"""Training, evaluation, export, compilation; the server and retries."""

from typing import Literal

from pydantic import ConfigDict, Field

from infra.settings.section import Section


class TrainSettings(Section):
    """Which recipe, where; every further key is a field of the recipe (`models/spec/recipes.py` checks them)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    target: Literal["local", "modelarts"] = "local"
    recipe: str = "lenet5-sample"
    pretrained: str = Field("", description="start from this .ckpt or .safetensors: a path or an obs:// address")

    def overrides(self) -> dict[str, object]:
        """The recipe's fields that are set here."""
        return dict(self.model_extra or {})


class EvaluateSettings(Section):
    """The gate after evaluation."""

    min_accuracy: float = Field(0.50, ge=0, le=1, description="below this the chain stops with exit code 3")


class ExportSettings(Section):
    """Formats to export."""

    formats: tuple[Literal["mindir", "onnx", "air"], ...] = ("mindir", "onnx", "air")
    max_difference: float = Field(1e-4, gt=0, description="largest absolute logit difference to the checkpoint")
    batch: int = Field(0, ge=0, le=4096, description="images a call of MINDIR, ONNX and AIR; 0: any number, AIR one")
    portable_air: bool = Field(False, description="where MindSpore cannot write AIR, write it without an Ascend device")


# The values of ATC's --precision_mode (docs/reference/atc.md §3.2).
Precision = Literal[
    "force_fp16",
    "force_fp32",
    "cube_fp16in_fp32out",
    "allow_fp32_to_fp16",
    "must_keep_origin_dtype",
    "allow_mix_precision",
    "allow_mix_precision_fp16",
    "allow_mix_precision_bf16",
]


class ConvertSettings(Section):
    """Compilation to `.om`."""

    compiler: Literal["auto", "atc", "stand-in"] = Field("auto", description="auto: atc when it is on PATH")
    model: str = Field("", description="compile this file (a path or an obs:// address) instead of the export")
    source: Literal["onnx", "air"] = Field("onnx", description="which export is compiled")
    soc_versions: tuple[str, ...] = Field((), description="chips, as ATC names them; empty: those of deploy.boards")
    precisions: tuple[Precision, ...] = Field(("force_fp16",), min_length=1, description="the preferred one first")
    aipp: bool = Field(False, description="put the normalisation into the .om, which then takes pixels as bytes")
    batch_gears: tuple[int, ...] = Field((), description="batch sizes of a model with dynamic batch; empty: one size")
    options: dict[str, str] = Field({}, description="further options of ATC, by name without dashes")
    min_agreement: float = Field(0.98, ge=0, le=1, description="share of images with the checkpoint's answer")
    max_accuracy_drop: float = Field(0.01, ge=0, le=1, description="how much accuracy the compiled model may lose")


class PrefectSettings(Section):
    """The checkout's own Prefect server."""

    port: int = Field(0, ge=0, le=65_535, description="0: 4200, or a free one that is then kept")
    start_seconds: int = Field(120, ge=5, description="how long a new server may take to answer")
    keep_days: int = Field(90, ge=1, description="the server forgets runs, with their logs and reports, after so long")
    training_jobs: int = Field(1, ge=1, le=64, description="trainings at once, on all machines of this server")
    crashed_seconds: int = Field(120, ge=70, description="a run that was not heard of for so long is marked as crashed")


class RetrySettings(Section):
    """Retries of transient errors."""

    attempts: int = Field(3, ge=1, le=10)
    seconds: float = Field(2.0, ge=0, le=600, description="before the first retry; doubles, with jitter")
