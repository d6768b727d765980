"""Settings of the signatures of releases."""

from pydantic import Field, SecretStr

from infra.settings.section import Section


class ReleaseSettings(Section):
    """Who signs releases, and what for."""

    key: str = Field(
        "", description="name of the key that signs (`atlasflow keys list`); empty: the development key of this home"
    )
    passphrase: SecretStr = Field(SecretStr(""), description="passphrase of an encrypted key, or PIN of its token")
    fleet: str = Field("main", min_length=1, max_length=100, description="the fleet whose boards may run the releases")
    expire_days: int = Field(0, ge=0, le=36_500, description="days after which boards refuse a release; 0: never")
