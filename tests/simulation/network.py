"""The network between simulated machines and services: it delays, loses and repeats messages, and may be cut."""

from collections.abc import Callable
from typing import TypeVar

from tests.simulation.kernel import Kernel, Machine

T = TypeVar("T")
TIMEOUT = 30.0


class Lost(Exception):
    """There was no answer; whether the request arrived is unknown."""


class Network:
    """The network of one schedule; it is calm from `calm_at` on, so that everything can end.

    Attributes:
        troubled: True once an answer was lost or a machine was cut off.
    """

    def __init__(self, kernel: Kernel, calm_at: float = 900.0) -> None:
        self._kernel = kernel
        self._calm_at = calm_at
        self._loss = kernel.dice.choice((0.0, 0.0, 0.02, 0.08))
        self._repeats = kernel.dice.choice((0.0, 0.0, 0.05))
        self._cuts = [
            (kernel.dice.uniform(0, calm_at / 2), kernel.dice.choice((5.0, 60.0, 150.0)), kernel.dice.random())
            for _ in range(kernel.dice.choice((0, 0, 1, 2)))
        ]
        self.troubled = False

    def call(self, service: str, serve: Callable[[], T], *, repeatable: bool = True) -> T:
        """Let a service serve a request of the present process.

        Raises:
            Lost: the request or its answer was lost.
        """
        kernel, dice = self._kernel, self._kernel.dice
        kernel.point(f"→ {service}")
        kernel.sleep(dice.choice((0.005, 0.05, 0.5)))
        assert kernel.current is not None
        if self._is_cut(kernel.current.machine) or self._happens(self._loss):
            self._lose(service)
        answer = serve()
        if repeatable and self._happens(self._repeats):
            serve()
        kernel.sleep(dice.choice((0.005, 0.05)))
        if self._happens(self._loss):
            self._lose(service)
        return answer

    def _happens(self, probability: float) -> bool:
        return self._kernel.dice.random() < probability and self._kernel.now < self._calm_at

    def _is_cut(self, machine: Machine) -> bool:
        place = list(self._kernel.machines.values()).index(machine) / max(len(self._kernel.machines), 1)
        now = self._kernel.now
        return any(begin <= now < begin + length and place <= whose for begin, length, whose in self._cuts)

    def _lose(self, service: str) -> None:
        self.troubled = True
        self._kernel.note(f"*** no answer from {service}")
        self._kernel.sleep(TIMEOUT)
        raise Lost(service)
