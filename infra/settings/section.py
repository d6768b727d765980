"""The base of every group of settings."""

from typing import Any, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Section(BaseModel):
    """A group of settings. Unknown keys are errors; every field has a `description`.

    A list may be written as a text with commas, as on a command line: `a,b`; one entry alone needs no brackets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _list_of(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields.get(info.field_name or "")
        if field is None or get_origin(field.annotation) is not tuple:
            return value
        if isinstance(value, str):
            return tuple(filter(None, (part.strip() for part in value.split(","))))
        return (value,) if isinstance(value, int | float) else value

    @field_validator("*", mode="before")
    @classmethod
    def _address(cls, value: Any) -> Any:
        """Addresses that no library can take apart are refused here, and not by each of them in its own way."""
        if isinstance(value, str) and "://" in value:
            try:
                _ = urlsplit(value).port
            except ValueError as error:
                raise ValueError(f"this is not an address: {error}") from None
        return value
