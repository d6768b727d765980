"""The errors that the stand-in answers with."""

from infra.modelarts.codes import CODES


class ApiError(Exception):
    """An error response of the API.

    Args:
        code: four digits (docs/reference/modelarts.md §1.4).
        message: what is wrong.
    """

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = f"ModelArts.{code}"
        self.status = CODES[code].status if status is None else status
