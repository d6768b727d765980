"""The training step: forward, backward and update as one graph."""

from __future__ import annotations

import mindspore
from mindspore import nn, ops

MEAN = "mean"  # prefix of the names of the running means
_follow = ops.MultitypeFuncGraph("follow")


@_follow.register("Number", "Tensor", "Tensor")  # type: ignore[untyped-decorator]  # MindSpore has no types
def _update_mean(decay: float, mean: mindspore.Tensor, value: mindspore.Tensor) -> mindspore.Tensor:
    return ops.assign(mean, mean * decay + value * (1.0 - decay))


_times = ops.MultitypeFuncGraph("times")


@_times.register("Number", "Tensor")  # type: ignore[untyped-decorator]  # MindSpore has no types
def _multiply(factor: float, value: mindspore.Tensor) -> mindspore.Tensor:
    return value * factor


class TrainStep(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Forward, backward and update as one graph.

    Args:
        network: maps images to logits.
        optimizer: optimizer of the network's parameters.
        soft: True if labels are probabilities.
        ranks: number of devices; gradients and loss are means over all of them.
        ema: decay of the running mean of the parameters; 0 switches it off.
        copied: keep `means`, copies of the parameters, without a decay of their own (`lookahead.py`).
        scale: loss scale, which keeps small gradients above zero in float16.
    """

    def __init__(
        self,
        network: nn.Cell,
        optimizer: nn.Optimizer,
        *,
        soft: bool = False,
        ranks: int = 1,
        ema: float = 0.0,
        copied: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.optimizer = optimizer
        # With `sparse=True, reduction="mean"`, MindSpore 2.10 takes the logarithm of a rounded softmax on a CPU:
        # infinite for an image whose logit is 104 below the largest. Without the reduction the result is correct.
        self.loss = nn.SoftmaxCrossEntropyWithLogits(sparse=not soft, reduction="none")
        self.average = ops.ReduceMean()
        self.gradients = ops.value_and_grad(self.forward, None, optimizer.parameters)
        self.ranks = ranks
        if ranks > 1:
            self.reduce = nn.DistributedGradReducer(optimizer.parameters, mean=True, degree=ranks)
            self.sum = ops.AllReduce(ops.ReduceOp.SUM)
        self.scale = scale
        self.over_all = ops.HyperMap()
        self.ema = ema
        if ema or copied:
            self.followed = mindspore.ParameterTuple(network.get_parameters())
            self.means = self.followed.clone(prefix=MEAN, init="same")

    def forward(self, image: mindspore.Tensor, label: mindspore.Tensor) -> mindspore.Tensor:
        """Return the mean cross entropy of a batch, times the scale."""
        loss = self.average(self.loss(self.network(image), label))
        return loss if self.scale == 1.0 else loss * self.scale

    def construct(self, image: mindspore.Tensor, label: mindspore.Tensor) -> mindspore.Tensor:
        """Update the parameters and return the loss before the update."""
        loss, gradients = self.gradients(image, label)
        if self.scale != 1.0:
            loss = loss / self.scale
            gradients = self.over_all(ops.partial(_times, 1.0 / self.scale), gradients)
        if self.ranks > 1:
            gradients = self.reduce(gradients)
            loss = self.sum(loss) / self.ranks
        loss = ops.depend(loss, self.optimizer(gradients))
        if self.ema:
            loss = ops.depend(loss, self.over_all(ops.partial(_follow, self.ema), self.means, self.followed))
        return loss
