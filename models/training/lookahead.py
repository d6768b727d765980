"""A slow copy of the parameters that they return to after every few steps.

M. R. Zhang et al. 2019, "Lookahead Optimizer", with the copy's share growing to the end as in K. Jordan 2024
(arXiv 2404.00498): after step i of T, copy = s · copy + (1 - s) · parameters with s = 0.95⁵ · (i / T)³, and the
parameters are set to the copy. Running statistics of normalisations are parameters in this sense, too.
"""

from __future__ import annotations

import mindspore
from mindspore import nn, ops

_KEPT = 0.95**5
_meet = ops.MultitypeFuncGraph("meet")


@_meet.register("Tensor", "Tensor", "Tensor")  # type: ignore[untyped-decorator]  # MindSpore has no types
def _move(kept: mindspore.Tensor, copy: mindspore.Tensor, value: mindspore.Tensor) -> mindspore.Tensor:
    moved = copy * kept + value * (1.0 - kept)
    return ops.depend(ops.assign(value, moved), ops.assign(copy, moved))


def kept_share(step: int, steps: int) -> float:
    """Return the share of the copy that stays after `step` of `steps`, counted from 1."""
    return _KEPT * float((step / steps) ** 3)


class Lookahead(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Move the slow copy towards the parameters, and set these to it.

    Args:
        followed: the parameters.
        copies: their slow copies, in the same order.
        every: steps from one call to the next.
        steps: of the whole training.
    """

    def __init__(
        self, followed: mindspore.ParameterTuple, copies: mindspore.ParameterTuple, every: int, steps: int
    ) -> None:
        super().__init__(auto_prefix=False)
        self.followed, self.copies = followed, copies
        self.over_all = ops.HyperMap()
        self.every, self.steps = every, steps

    def construct(self, kept: mindspore.Tensor) -> tuple[mindspore.Tensor, ...]:
        """Return the new values, with which both are set."""
        moved: tuple[mindspore.Tensor, ...] = self.over_all(ops.partial(_meet, kept), self.copies, self.followed)
        return moved

    def on_step(self, step: int) -> None:
        """Do it if it is due after `step`, counted from 1 over the whole training."""
        if step % self.every == 0:
            self(mindspore.Tensor(kept_share(step, self.steps), mindspore.float32))
