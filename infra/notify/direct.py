"""Notify people of what this process notices itself, without an event of the Prefect server."""

from collections.abc import Callable
from pathlib import Path

from infra.notify.channels import senders
from infra.notify.message import Message
from infra.notify.outbox import Outbox
from infra.settings import NotifySettings, RetrySettings


def tell(
    message: Message, settings: NotifySettings, retry: RetrySettings, home: Path, say: Callable[[str], None]
) -> None:
    """Deliver a notification by every channel that is set, when its kind is wanted; a failure is only said.

    Args:
        message: the notification.
        settings: channels and kinds.
        retry: of each channel.
        home: the folder of this installation, which keeps what could not be delivered.
        say: receives a line for each attempt.
    """
    if message.kind not in settings.kinds or not settings.ways():
        return
    outbox = Outbox(home)
    outbox.put(message, settings.ways())
    outbox.deliver(senders(settings), retry, say)
