"""The boards and what they get."""

from pydantic import Field, SecretStr

from infra.settings.section import Section


class DeploySettings(Section):
    """Which boards get the release."""

    boards: tuple[str, ...] = Field(("laptop",), description="names in [boards]")
    release: str = Field("", description="deploy this one instead: a folder, or obs://bucket/prefix/")
    pictures: str = Field("", description="folder of pictures to classify at the end; empty: some test images")


class BoardSettings(Section):
    """One board. The stand-in needs none of these."""

    address: str = Field("", description="host name or IP address; empty: the stand-in")
    soc: str = Field("Ascend310", description="the chip, as ATC names it")
    port: int = Field(22, ge=1, le=65_535)
    user: str = "HwHiAiUser"
    key: str = Field("", description="path of the private key")
    host_key: str = Field("", description="pinned public host key, such as 'ssh-ed25519 AAAA…'")
    password: SecretStr = SecretStr("")
    python: str = "python3"
    environment: str = Field("", description="script to source on the board before anything runs there")
    folder: str = Field("atlasflow", description="where releases live; relative to the user's home")
    labels: tuple[str, ...] = Field((), description="words to select boards by, such as a site or a floor")
