"""A training script of a xihe repository: it starts from a checkpoint where one is given."""

import argparse
import os

import mindspore.common.dtype as mstype
import mindspore.dataset as ds
import mindspore.dataset.transforms.c_transforms as C2
import mindspore.dataset.vision.c_transforms as C
from mindspore import Model, load_checkpoint, load_param_into_net, nn
from mindspore.nn.metrics import Accuracy
from mindspore.train.callback import CheckpointConfig, LossMonitor, ModelCheckpoint


def parse_args():
    parser = argparse.ArgumentParser(description="train LeNet5")
    parser.add_argument("--pretrain_url", default="", help="checkpoint to start from")
    parser.add_argument("--data_url", default="datasets/me/cifar10/", help="the training data")
    parser.add_argument("--output_url", default="train/output/", help="folder for checkpoints")
    parser.add_argument("--aim_repo", default="./db", help="folder for metrics")
    parser.add_argument("--epochs", default=10, type=int)
    parser.add_argument("--lr", default=0.01, type=float)
    parser.add_argument("--batch_nums", default=1562, type=int, help="batches of 32 pictures in an epoch, at most")
    return parser.parse_args()


def create_dataset(folder, training, batches):
    """Read batches of 32 pictures."""
    data = ds.Cifar10Dataset(folder, num_parallel_workers=8, shuffle=training).take(32 * batches)
    operations = [C.RandomCrop((32, 32), (4, 4, 4, 4)), C.RandomHorizontalFlip(prob=0.5)] if training else []
    operations += [
        C.Rescale(1.0 / 255.0, 0.0),
        C.Normalize([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
        C.HWC2CHW(),
    ]
    data = data.map(input_columns="label", operations=C2.TypeCast(mstype.int32))
    data = data.map(input_columns="image", operations=operations)
    return data.batch(32, drop_remainder=True)


class LeNet5(nn.Cell):
    """The tuning tutorial's network."""

    def __init__(self):
        super(LeNet5, self).__init__()
        self.conv1 = nn.Conv2d(3, 6, 5, pad_mode="valid")
        self.conv2 = nn.Conv2d(6, 16, 5, pad_mode="valid")
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2, 2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Dense(400, 120)
        self.fc2 = nn.Dense(120, 84)
        self.fc3 = nn.Dense(84, 10)

    def construct(self, x):
        x = self.pool(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        return self.fc3(self.fc2(self.fc1(self.flatten(x))))


def train(options, callbacks=lambda model, data: []):
    """Train, and save the last checkpoint as best.ckpt."""
    network = LeNet5()
    if options.pretrain_url:
        load_param_into_net(network, load_checkpoint(options.pretrain_url))
    loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
    optimizer = nn.Momentum(network.trainable_params(), options.lr, 0.9)
    model = Model(network, loss, optimizer, metrics={"accuracy": Accuracy()})
    data = create_dataset(os.path.join(options.data_url, "train"), True, options.batch_nums)
    test = create_dataset(os.path.join(options.data_url, "eval"), False, options.batch_nums)
    steps = data.get_dataset_size()
    kept = ModelCheckpoint("lenet", options.output_url, CheckpointConfig(save_checkpoint_steps=steps))
    print("===Start training===")
    model.train(options.epochs, data, callbacks=[LossMonitor(steps), kept, *callbacks(model, test)])
    os.link(kept.latest_ckpt_file_name, os.path.join(options.output_url, "best.ckpt"))
    print("===Finish training===", model.eval(test))


if __name__ == "__main__":
    train(parse_args())
