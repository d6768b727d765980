"""One step of a training: forward, backward and update as one graph."""

from __future__ import annotations

import mindspore
from mindspore import nn, ops

MEAN = "mean"  # prefix of the running means' names
_follow = ops.MultitypeFuncGraph("follow")


@_follow.register("Number", "Tensor", "Tensor")  # type: ignore[untyped-decorator]  # MindSpore has no types
def _follow_one(decay: float, mean: mindspore.Tensor, value: mindspore.Tensor) -> mindspore.Tensor:
    return ops.assign(mean, mean * decay + value * (1.0 - decay))


class TrainStep(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Forward, backward and update as one graph.

    Args:
        network: images to logits.
        optimizer: over the network's parameters.
        soft: labels are probabilities.
        ranks: number of devices; gradients and loss are means over all of them.
        ema: decay of the running mean; 0 for none.
    """

    def __init__(
        self, network: nn.Cell, optimizer: nn.Optimizer, *, soft: bool = False, ranks: int = 1, ema: float = 0.0
    ) -> None:
        super().__init__(auto_prefix=False)
        self.network = network
        self.optimizer = optimizer
        self.loss = nn.SoftmaxCrossEntropyWithLogits(sparse=not soft, reduction="mean")
        self.gradients = ops.value_and_grad(self.forward, None, optimizer.parameters)
        self.ranks = ranks
        if ranks > 1:
            self.reduce = nn.DistributedGradReducer(optimizer.parameters, mean=True, degree=ranks)
            self.sum = ops.AllReduce(ops.ReduceOp.SUM)
        self.ema = ema
        if ema:
            self.followed = mindspore.ParameterTuple(network.get_parameters())
            self.means = self.followed.clone(prefix=MEAN, init="same")
            self.follow_all = ops.HyperMap()

    def forward(self, image: mindspore.Tensor, label: mindspore.Tensor) -> mindspore.Tensor:
        """Mean cross entropy of a batch."""
        return self.loss(self.network(image), label)

    def construct(self, image: mindspore.Tensor, label: mindspore.Tensor) -> mindspore.Tensor:
        """Update the parameters; gives the loss before the update."""
        loss, gradients = self.gradients(image, label)
        if self.ranks > 1:
            gradients = self.reduce(gradients)
            loss = self.sum(loss) / self.ranks
        loss = ops.depend(loss, self.optimizer(gradients))
        if self.ema:
            loss = ops.depend(loss, self.follow_all(ops.partial(_follow, self.ema), self.means, self.followed))
        return loss
