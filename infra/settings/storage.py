"""Settings of the data source, the artifact store and object storage."""

import re
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from infra.settings.section import Section


class DataSettings(Section):
    """The source of the images."""

    source: str = Field(
        "sample",
        description="sample, full, a folder, archive, .csv or .manifest of pictures, "
        "or an https://, file:// or obs:// address",
    )
    sha256: str = Field(
        "", pattern=r"^([0-9a-f]{64})?$", description="of the archive; required with an https:// address"
    )

    @field_validator("sha256", mode="before")
    @classmethod
    def _small_letters(cls, value: Any) -> Any:
        """Digests are compared in small letters; one of another length is named for what it is."""
        if isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{32}", value):
            raise ValueError("this is an MD5 (32 digits); a SHA-256 has 64: `sha256sum ARCHIVE` prints it")
        if isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{40}", value):
            raise ValueError("this is a SHA-1 (40 digits); a SHA-256 has 64: `sha256sum ARCHIVE` prints it")
        return value.lower() if isinstance(value, str) else value

    fit: Literal["stretch", "crop", "letterbox"] = Field(
        "stretch",
        description="how pictures become square: stretched, their centre, or whole on black",
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box"] = Field(
        "bilinear", description="filter that resizes pictures"
    )
    orientation: Literal["exif", "stored"] = Field(
        "exif", description="exif: turn pictures as the camera says; stored: leave them as they lie in the file"
    )
    eval_share: float = Field(
        0.2, gt=0, lt=1, description="share of the pictures of each class to evaluate on, where the source has no split"
    )
    seed: int = Field(1, ge=0, description="seed of the split")
    max_unusable: float = Field(
        0.02, ge=0, le=1, description="largest share of pictures that may be unusable; with more, the download stops"
    )
    labels: Literal["fine", "coarse"] = Field("fine", description="of CIFAR-100: 100 classes, or 20 superclasses")
    mirrors: tuple[str, ...] = Field(
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
            "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
        ),
        description="addresses to fetch `full` from, in this order",
    )


class StoreSettings(Section):
    """The artifact store."""

    keep_runs: int = Field(20, ge=1, description="`gc` keeps what the last N runs used")
    mirror: str = Field(
        "",
        pattern=r"^(obs://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^/].*[^/])?$",
        description="obs://bucket/prefix: share receipts and artifacts with other machines",
    )
    mirror_secret: SecretStr = Field(
        SecretStr(""), description="the same on all machines of the mirror: what does not carry its seal is refused"
    )


class ObsSettings(Section):
    """Object storage; without an endpoint the embedded stand-in is used."""

    endpoint: str = Field("", description="such as https://obs.cn-north-4.myhuaweicloud.com; empty: embedded stand-in")
    region: str = Field("cn-north-4", description="region of the endpoint")
    bucket: str = Field("atlasflow", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="name of the bucket")
    prefix: str = Field(
        "atlasflow", pattern=r"^[^/](.*[^/])?$", description="prefix of every key, without slashes at its ends"
    )
    access_key: SecretStr = Field(SecretStr(""), description="access key ID (AK)")
    secret_key: SecretStr = Field(SecretStr(""), description="secret access key (SK)")
    security_token: SecretStr = Field(SecretStr(""), description="security token of temporary keys")
    agency: str = Field(
        "",
        description="http://169.254.169.254, a cloud server's metadata service, for its agency's temporary keys",
    )
    threads: int = Field(8, ge=1, le=64, description="parallel transfers")
    archive: Literal["auto", "always", "never"] = Field(
        "auto", description="upload a data set as one archive; auto: when it has more than 100 files, small on average"
    )
    ca: str = Field("", description="path of a CA certificate to trust instead of the public ones")
    proxy: str = Field("", description="HTTP proxy, such as http://proxy:3128; empty: as the environment says")
    acl: Literal["private", "public-read", "public-read-write"] = Field(
        "private", description="who may read or write a bucket that is created"
    )
    storage_class: Literal["STANDARD", "STANDARD_IA", "GLACIER"] = Field(
        "STANDARD", description="of a bucket that is created: standard, infrequent access, archive"
    )
    redundancy: Literal["single", "multi"] = Field(
        "single", description="availability zones of a bucket that is created; OBS does not change them afterwards"
    )
    direct_read: bool = Field(
        False, description="let archived objects of a bucket that is created be read without restoring them first"
    )
    link_seconds: int = Field(86_400, ge=60, le=604_800, description="how long a pre-signed link works, in seconds")
    link_endpoint: str = Field("", description="address for people who open links; empty: the endpoint")
    stand_in: Literal["plain", "as-obs"] = Field(
        "plain", description="run the stand-in as it is, or with OBS's host names, TLS and refusals"
    )
    stand_in_checksums: Literal["refuse", "accept"] = Field(
        "refuse", description="how the stand-in treats x-amz-checksum headers; OBS does not document it"
    )
