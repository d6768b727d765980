"""The errors of the official SDK as ours, each with the platform's own words and a hint.

Source: docs/reference/modelarts.md §1.4.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from huaweicloudsdkcore.exceptions.exceptions import SdkException, ServiceResponseException

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.modelarts.codes import CLASSES, digits, meaning

_PROJECT = "set modelarts.project_id (console: My Credentials → API Credentials), so that nothing is looked up"


@contextmanager
def mapped(what: str) -> Iterator[None]:
    """Turn what the SDK raises into an error of ours.

    Args:
        what: what is being done, for the message.

    Raises:
        Refused, UserError, Transient: as the platform's code says; `Transient` as well when there was no answer, or
            one that cannot be read; `Refused` for a certificate that does not hold.
    """
    try:
        yield
    except ServiceResponseException as error:
        raise refusal(what, error) from error
    except (SdkException, requests.RequestException) as error:
        words = error.error_msg if isinstance(error, SdkException) else type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in str(words):
            raise Refused(
                f"the certificate of ModelArts' end point does not hold ({what}): {words}",
                hint="check modelarts.endpoint, this machine's clock, and what stands between it and the network",
            ) from error
        raise Transient(f"ModelArts does not answer ({what}): {words}", hint="check the network") from error
    except json.JSONDecodeError as error:
        raise unreadable(what) from error


@contextmanager
def mapped_look_up() -> Iterator[None]:
    """Turn what the SDK raises while it looks the project up into an error of ours, like `mapped`.

    The SDK hides IAM's answer in a plain exception, which it also raises when there is no project, or several.

    Raises:
        UserError: the region has no project, or several, so that the settings must name one.
    """
    what = "look up the project"
    try:
        with mapped(what):
            try:
                yield
            except SdkException as error:
                if type(error) is not SdkException:
                    raise
                if isinstance(error.__context__, ServiceResponseException):
                    raise error.__context__ from None
                raise UserError(f"the project cannot be looked up: {error.error_msg}", hint=_PROJECT) from error
            except (AttributeError, KeyError, TypeError) as error:  # JSON, but not IAM's
                raise unreadable(what) from error
    except Refused as error:
        raise Refused(error.message, hint=f"{error.hint}; or {_PROJECT}") from error


def unreadable(what: str) -> Transient:
    """The error for an answer that says nothing: nothing may be concluded from it."""
    return Transient(
        f"ModelArts' answer cannot be read ({what})", hint="is something between here and there, such as a proxy?"
    )


def refusal(what: str, error: ServiceResponseException) -> AtlasFlowError:
    """Our error for an answer with an error code."""
    code = str(error.error_code or "")
    known = meaning(code, int(error.status_code))
    text = f"ModelArts refused to {what}: {error.error_msg} ({code or error.status_code}"
    text += f", request {error.request_id})" if error.request_id else ")"
    return CLASSES.get(digits(code), known.kind)(text, hint=known.hint)
