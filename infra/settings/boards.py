"""Settings of the boards and of deployment."""

from pydantic import Field, SecretStr, field_validator

from infra.settings.section import Section


class DeploySettings(Section):
    """Which boards get which release."""

    boards: tuple[str, ...] = Field(("laptop",), description="names of boards in [boards]")
    release: str = Field(
        "", description="release to deploy, a folder or obs://bucket/prefix/; empty: the one that the chain published"
    )
    allow_downgrade: bool = Field(
        False, description="let boards accept a release that is older than the newest they have run; it is logged there"
    )
    devices: str = Field(
        "0",
        pattern=r"^(all|\d+(,\d+)*)$",
        description="devices that the smoke test, `boards classify` and `boards bench` use: numbers, or all",
    )

    pictures: str = Field("", description="folder of pictures to classify at the end; empty: some test images")

    @field_validator("devices", mode="before")
    @classmethod
    def _devices_as_text(cls, value: object) -> object:
        """`--set deploy.devices=1` is a number, and `[0, 1]` a list."""
        if isinstance(value, list | tuple):
            return ",".join(map(str, value))
        return str(value) if isinstance(value, int) else value


class BoardSettings(Section):
    """One board. The stand-in needs none of these."""

    address: str = Field("", description="host name or IP address; empty: the stand-in")
    soc: str = Field("Ascend310", description="the chip, as ATC names it")
    port: int = Field(22, ge=1, le=65_535, description="SSH port")
    user: str = Field("HwHiAiUser", description="SSH user")
    key: str = Field("", description="path of the private key")
    host_key: str = Field("", description="pinned public host key, such as 'ssh-ed25519 AAAA…'")
    password: SecretStr = Field(SecretStr(""), description="SSH password; a key is better; the stand-in takes it, too")
    python: str = Field("python3", description="Python command on the board")
    environment: str = Field("", description="script on the board to source before anything runs there")
    like: str = Field(
        "", description="what a stand-in imitates, such as orangepi-aipro; empty: a plain board with the chip `soc`"
    )
    folder: str = Field("atlasflow", description="folder of the releases, relative to the user's home")
    as_root: bool = Field(False, description="let the board's program run as root")
    labels: tuple[str, ...] = Field((), description="labels to select boards by, such as a site or a floor")
