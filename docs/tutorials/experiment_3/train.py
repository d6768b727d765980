"""A training script as a reader of the tutorials has one: MindSpore 1.x names, an Ascend device, MoXing."""

import argparse
import os
import time

import mindspore.common.dtype as mstype
import mindspore.dataset as ds
import mindspore.dataset.transforms.c_transforms as C2
import mindspore.dataset.vision.c_transforms as C
import moxing as mox
from mindspore import Model, context, nn
from mindspore.nn.metrics import Accuracy
from mindspore.ops import operations as P
from mindspore.train.callback import Callback, CheckpointConfig, LossMonitor, ModelCheckpoint

parser = argparse.ArgumentParser()
parser.add_argument("--data_url", required=True, help="location of the data")
parser.add_argument("--train_url", required=True, help="location of the output")
parser.add_argument("--num_epochs", type=int, default=90)
options, unknown = parser.parse_known_args()

context.set_context(mode=context.GRAPH_MODE, device_target="Ascend", device_id=int(os.getenv("DEVICE_ID", "0")))
mox.file.copy_parallel(src_url=options.data_url, dst_url="cifar10/")


def create_dataset(folder, training):
    """Read batches of 32 pictures."""
    data = ds.Cifar10Dataset(folder, num_parallel_workers=8, shuffle=training)
    operations = [C.RandomCrop((32, 32), (4, 4, 4, 4)), C.RandomHorizontalFlip(prob=0.5)] if training else []
    operations += [
        C.Resize((32, 32)),
        C.Rescale(1.0 / 255.0, 0.0),
        C.Normalize([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
        C.HWC2CHW(),
    ]
    data = data.map(input_columns="label", num_parallel_workers=8, operations=C2.TypeCast(mstype.int32))
    data = data.map(input_columns="image", num_parallel_workers=8, operations=operations)
    return data.batch(32, drop_remainder=True)


class LeNet5(nn.Cell):
    """The tuning tutorial's network."""

    def __init__(self):
        super(LeNet5, self).__init__()
        self.conv1 = nn.Conv2d(3, 6, 5, pad_mode="valid")
        self.conv2 = nn.Conv2d(6, 16, 5, pad_mode="valid")
        self.relu = P.ReLU()
        self.pool = nn.MaxPool2d(2, 2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Dense(400, 120)
        self.fc2 = nn.Dense(120, 84)
        self.fc3 = nn.Dense(84, 10)

    def construct(self, x):
        x = self.pool(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        return self.fc3(self.fc2(self.fc1(self.flatten(x))))


class EpochTime(Callback):
    """Prints time and throughput of each epoch."""

    def epoch_begin(self, run_context):
        self.start = time.time()

    def epoch_end(self, run_context):
        found = run_context.original_args()
        seconds, steps = time.time() - self.start, found.batch_num
        print(
            f"epoch {found.cur_epoch_num} cost time = {seconds:.1f}, train step num: {steps}, "
            f"one step time: {1000 * seconds / steps:.2f} ms, "
            f"train samples per second of cluster: {32 * steps / seconds:.1f}"
        )


train = create_dataset("cifar10/train", True)
steps = train.get_dataset_size()
network = LeNet5()
loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
model = Model(network, loss, nn.Momentum(network.trainable_params(), 0.01, 0.9), metrics={"acc": Accuracy()})
kept = ModelCheckpoint("lenet", "ckpt", CheckpointConfig(save_checkpoint_steps=steps, keep_checkpoint_max=5))
model.train(options.num_epochs, train, callbacks=[EpochTime(), LossMonitor(steps), kept], dataset_sink_mode=True)
print("Start run evaluation.")
print("Evaluation result:", model.eval(create_dataset("cifar10/eval", False)))
mox.file.copy_parallel("ckpt", os.path.join(options.train_url, "ckpt"))
