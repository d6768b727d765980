"""The same training, whose loss and accuracy an evaluation shows."""

from aim import Run
from mindspore.train.callback import Callback
from train import parse_args, train


class AimCallback(Callback):
    """Tracks the loss of each step, and the accuracy after each epoch."""

    def __init__(self, run, model, data):
        super(AimCallback, self).__init__()
        self.run, self.model, self.data = run, model, data

    def step_end(self, run_context):
        found = run_context.original_args()
        loss = float(found.net_outputs.asnumpy())
        self.run.track(loss, name="loss", step=found.cur_step_num, context={"subset": "train"})

    def epoch_end(self, run_context):
        found = run_context.original_args()
        accuracy = self.model.eval(self.data)["accuracy"]
        self.run.track(accuracy, name="accuracy", epoch=found.cur_epoch_num, context={"subset": "test"})


if __name__ == "__main__":
    options = parse_args()
    run = Run(repo=options.aim_repo, experiment="lenet")
    run["learning_rate"] = options.lr
    train(options, lambda model, data: [AimCallback(run, model, data)])
    run.close()
