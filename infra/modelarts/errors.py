"""Map the errors of the official SDK to AtlasFlow's, with the platform's own message and a hint.

Source: docs/reference/modelarts.md §1.4.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from huaweicloudsdkcore.exceptions.exceptions import SdkException, ServiceResponseException

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.modelarts.codes import meaning
from infra.obs.limits import SlowAnswer

_PROJECT = "set modelarts.project_id (console: My Credentials → API Credentials), which skips the lookup"


@contextmanager
def map_errors(action: str) -> Iterator[None]:
    """Map errors of the SDK to AtlasFlow's.

    Args:
        action: for the message, such as `create a job`.

    Raises:
        Refused, UserError, Transient: as the platform's code means; `Transient` also without a response, or with an
            unreadable one; `Refused` for an invalid certificate.
    """
    try:
        yield
    except ServiceResponseException as error:
        raise _response_error(action, error) from error
    except (SdkException, requests.RequestException) as error:
        text = error.error_msg if isinstance(error, SdkException) else type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in str(text):
            raise Refused(
                f"the certificate of the ModelArts endpoint is not valid ({action}): {text}",
                hint="check modelarts.endpoint, this machine's clock, and any proxy on the way",
            ) from error
        raise Transient(f"ModelArts does not answer ({action}): {text}", hint="check the network") from error
    except SlowAnswer as error:
        raise Transient(f"ModelArts answers too slowly ({action}): {error}", hint="check the network") from error
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:  # not of the type that is declared
        raise unreadable(action) from error


@contextmanager
def map_project_errors() -> Iterator[None]:
    """Map errors of the SDK's project lookup, like `map_errors`.

    The SDK hides IAM's response in a plain exception, which it also raises when the region has no project, or several.

    Raises:
        UserError: the region has no project, or several, so that the settings must name one.
    """
    action = "look up the project"
    try:
        with map_errors(action):
            try:
                yield
            except SdkException as error:
                if type(error) is not SdkException:
                    raise
                if isinstance(error.__context__, ServiceResponseException):
                    raise error.__context__ from None
                raise UserError(f"the project cannot be looked up: {error.error_msg}", hint=_PROJECT) from error
            except (AttributeError, KeyError, TypeError) as error:  # JSON, but not IAM's
                raise unreadable(action) from error
    except Refused as error:
        raise Refused(error.message, hint=f"{error.hint}; or {_PROJECT}") from error


def unreadable(action: str) -> Transient:
    """Build the error for a response without usable content, from which nothing may be concluded."""
    return Transient(f"the response of ModelArts cannot be read ({action})", hint="is there a proxy in between?")


def _response_error(action: str, error: ServiceResponseException) -> AtlasFlowError:
    code = str(error.error_code or "")
    known = meaning(code, int(error.status_code))
    text = f"ModelArts refused to {action}: {error.error_msg} ({code or error.status_code}"
    text += f", request {error.request_id})" if error.request_id else ")"
    return known.error_class(text, hint=known.hint)
