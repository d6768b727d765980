"""Ask the Jupyter of a running notebook instance to fetch what is new in its storage."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx

from infra.errors import Refused, Transient, UserError

if TYPE_CHECKING:
    from infra.modelarts.notebooks import Notebook

_SECONDS = 600.0  # a data set takes its time


@dataclass(frozen=True)
class Synced:
    """What a synchronisation did: files by their path in the notebook's folder.

    Attributes:
        fetched: new or changed in OBS.
        repaired: of these, shell scripts whose Windows line ends were removed.
        kept: changed in OBS and in the notebook, and left as they are there.
    """

    fetched: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def sync(notebook: "Notebook") -> Synced:
    """Synchronise a running instance.

    Raises:
        UserError: it does not run, or nothing runs behind it.
        Refused: it has no storage in OBS, or the storage refused.
        Transient: it does not answer.
    """
    if not notebook.url:
        raise UserError(
            f"the notebook {notebook.name} is {notebook.status}", hint=f"`atlasflow notebook start {notebook.name}`"
        )
    parts = urlsplit(notebook.url)
    token = parse_qs(parts.query).get("token")
    if token is None:
        raise UserError(
            f"no Jupyter runs behind {notebook.name}", hint="`make dev` installs it; modelarts.stand_in.jupyter=true"
        )
    address = parts._replace(path=parts.path.rpartition("/")[0] + "/obs/sync", query="").geturl()
    try:
        answer = httpx.post(address, headers={"Authorization": f"token {token[0]}"}, timeout=_SECONDS, trust_env=False)
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise Transient(f"the notebook {notebook.name} does not answer: {error}", hint="try again") from error
    if answer.status_code != httpx.codes.OK:
        raise Refused(f"{notebook.name}: {body.get('message', answer.reason_phrase)}", hint=body.get("hint", ""))
    return Synced(*(tuple(body[name]) for name in ("fetched", "repaired", "kept")))
