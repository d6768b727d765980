"""Notifications: each one that was accepted is delivered, or kept as undeliverable, whatever happens in between."""

from collections import Counter
from functools import partial
from pathlib import Path

from infra.errors import Transient
from infra.notify.message import Message
from infra.notify.outbox import Outbox as RealOutbox
from infra.settings import RetrySettings
from infra.store.locks import hold
from tests.simulation.kernel import Machine, Violation
from tests.simulation.network import Lost, Network
from tests.simulation.scenario import Scenario

CHANNELS = ("mail", "webhook")


class Outbox(Scenario):
    """Producers put notifications, the relay delivers them."""

    horizon = 250

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.network = Network(self.kernel)
        self.office = self.kernel.machine("office")
        self.box = RealOutbox(self.office.folder)
        self.accepted: set[str] = set()
        self.delivered: Counter[tuple[str, str]] = Counter()
        self.deaf = self.dice.random() < 0.2

    def begin(self) -> None:
        for number in range(self.dice.randint(1, 5)):
            self.persist(self.office, f"puts {number}", partial(self._put, str(number)))
        self.persist(self.office, "delivers", self._deliver, 1.0)
        self.persist(self.office, "delivers again", self._deliver, 60.0)

    def _put(self, subject: str) -> None:
        self.box.put(Message("failure", subject, f"text of {subject}\n" * 20, ""), CHANNELS)
        self.accepted.add(subject)

    def _deliver(self) -> None:
        senders = {channel: partial(self._send, channel) for channel in CHANNELS}
        with hold(self.office.folder / "relay.lock"):
            self.box.deliver(senders, RetrySettings(attempts=2, seconds=1), lambda _text: None, self.kernel.sleep)

    def _send(self, channel: str, message: Message) -> None:
        if message.text != f"text of {message.subject}\n" * 20:
            raise Violation(f"a damaged notification is sent: {message}")

        def take() -> None:
            self.delivered[message.subject, channel] += 1

        try:
            if self.deaf and channel == "mail":
                raise Lost(channel)
            self.network.call(channel, take, repeatable=False)
        except Lost as error:
            raise Transient(f"{channel} does not answer") from error

    def check_machine(self, machine: Machine) -> None:
        self._check_kept(waiting=True)

    def check(self) -> None:
        for _ in range(10):
            self.kernel.spawn(self.office, "delivers at last", self._deliver, self.tolerated, 100.0)
            self.kernel.run(self.seconds * 2, self.steps)
        self._check_kept(waiting=False)

    def _check_kept(self, *, waiting: bool) -> None:
        kept = [path.read_text() for path in self.box.undelivered.glob("*.json")]
        kept += [path.read_text() for path in self.box.waiting.glob("*.json")] if waiting else []
        for subject in self.accepted:
            missed = [channel for channel in CHANNELS if not self.delivered[subject, channel]]
            if missed and not any(f'"subject": "{subject}"' in text for text in kept):
                raise Violation(f"notification {subject} is lost to {', '.join(missed)}")
