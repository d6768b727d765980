"""Where the images, the artifacts and the objects live."""

from typing import Literal

from pydantic import Field, SecretStr

from infra.settings.section import Section


class DataSettings(Section):
    """Where the images come from."""

    source: str = Field("sample", description="sample, full, or an https://, file:// or obs:// address")
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="of the archive; needed for an address")
    mirrors: tuple[str, ...] = Field(
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
            "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
        ),
        description="where `full` is fetched from, in this order",
    )


class StoreSettings(Section):
    """The artifact store."""

    keep_runs: int = Field(20, ge=1, description="`gc` keeps what the last N runs used")
    mirror: str = Field(
        "",
        pattern=r"^(obs://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^/].*[^/])?$",
        description="obs://bucket/prefix: share receipts and artifacts with other machines",
    )


class ObsSettings(Section):
    """Object storage; without an endpoint the embedded stand-in is used."""

    endpoint: str = Field("", description="such as https://obs.cn-north-4.myhuaweicloud.com; empty: embedded stand-in")
    region: str = "cn-north-4"
    bucket: str = Field("atlasflow", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = Field(
        "atlasflow", pattern=r"^[^/](.*[^/])?$", description="all our keys start with this; without slashes at its ends"
    )
    access_key: SecretStr = SecretStr("")
    secret_key: SecretStr = SecretStr("")
    security_token: SecretStr = SecretStr("")
    threads: int = Field(8, ge=1, le=64, description="parallel transfers")
    archive: Literal["auto", "always", "never"] = Field(
        "auto", description="a data set travels as one archive; auto: when it is more than 100 files, small on average"
    )
    ca: str = Field("", description="path of a CA certificate to trust instead of the public ones")
    proxy: str = Field("", description="HTTP proxy, such as http://proxy:3128; empty: what the environment says")
    acl: Literal["private", "public-read"] = Field("private", description="who may read a bucket that is made")
    storage_class: Literal["STANDARD", "STANDARD_IA"] = Field("STANDARD", description="of a bucket that is made")
    link_seconds: int = Field(86_400, ge=60, le=604_800, description="how long a pre-signed link works")
    link_endpoint: str = Field("", description="where people open links, when not at the endpoint; empty: there")
    stand_in: Literal["plain", "as-obs"] = Field(
        "plain", description="the embedded stand-in as it is, or under OBS's host names, over TLS, with OBS's refusals"
    )
    stand_in_checksums: Literal["refuse", "accept"] = Field(
        "refuse", description="what the stand-in does with x-amz-checksum headers; what OBS does is not documented"
    )
