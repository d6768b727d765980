"""A loaded model with its buffers, which are allocated once."""

import time
from typing import Any, Dict, List, Tuple

import numpy as np

from .device import NORMAL_ONLY, Device, Resources
from .failure import REFUSED, Failure

# AscendCL's numbers of data types and formats (docs/reference/pyacl.md §4.2).
TYPES: Dict[int, Any] = {0: np.float32, 1: np.float16, 4: np.uint8}
NHWC = 1
GEAR_INPUT = "ascend_mbatch_shape_data"


class Buffer:
    """Device memory and host `bytes` of the same size, both kept while the model is loaded."""

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.size = size
        self.host = bytes(size)


class Model(Resources):
    """An `.om` in the context of a device: `with Model(device, path) as model: model.infer(tensor)`.

    Attributes:
        dtype: of the input.
        dims: of the input; the first is the batch, -1 with dynamic batch.
        batches: the possible batch sizes, ascending.
        nhwc: True when the input is pixels (AIPP), False when it is normalised planes.
        laps: milliseconds of the last call of `infer`: upload, execution, download.
    """

    def __init__(self, device: Device, path: str) -> None:
        super().__init__(device.acl)
        self.device = device
        self.path = path
        self.outputs: List[Dict[str, Any]] = []
        self._inputs: List[Buffer] = []
        self._results: List[Buffer] = []
        self.laps = (0.0, 0.0, 0.0)

    def open(self) -> None:
        """Load the model, read its description, allocate its buffers."""
        mdl = self.acl.mdl
        self._model, code = mdl.load_from_file(self.path)
        self.check("mdl.load_from_file", code)
        self.later("mdl.unload", mdl.unload, self._model)
        self._desc = mdl.create_desc()
        self.later("mdl.destroy_desc", mdl.destroy_desc, self._desc)
        self.check("mdl.get_desc", mdl.get_desc(self._desc, self._model))
        self._describe()
        sizes = [mdl.get_input_size_by_index(self._desc, index) for index in range(mdl.get_num_inputs(self._desc))]
        self._input_set = self._dataset(sizes, self._inputs)
        sizes = [mdl.get_output_size_by_index(self._desc, index) for index in range(mdl.get_num_outputs(self._desc))]
        self._output_set = self._dataset(sizes, self._results)

    def infer(self, tensor: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Run the model on any number of images.

        Args:
            tensor: [n, …], of the input's dtype and dimensions.

        Returns:
            float32 [n, classes], the first output.
        """
        done = []
        start = 0
        self.laps = (0.0, 0.0, 0.0)
        while start < len(tensor):
            remaining = len(tensor) - start
            batch = next((size for size in self.batches if size >= remaining), self.batches[-1])
            part = tensor[start : start + batch]
            done.append(self._run(part, batch)[: len(part)])
            start += len(part)
        return np.concatenate(done)

    def _run(self, part: "np.ndarray[Any, Any]", batch: int) -> "np.ndarray[Any, Any]":
        """Run one batch; an incomplete one is padded with zeros."""
        whole = np.zeros((batch, *part.shape[1:]), self.dtype)
        whole[: len(part)] = part
        data = whole.tobytes()
        acl = self.acl
        pointer = acl.util.bytes_to_ptr(data) if hasattr(acl.util, "bytes_to_ptr") else acl.util.numpy_to_ptr(whole)
        target = self._inputs[0]
        # `data` and `whole` stay referenced until the copy is done (docs/reference/pitfalls.md §8.15).
        began = time.perf_counter()
        code = acl.rt.memcpy(target.address, target.size, pointer, len(data), self.device.upload)
        self.check("rt.memcpy", code)
        if self.gear_index is not None:
            code = acl.mdl.set_dynamic_batch_size(self._model, self._input_set, self.gear_index, batch)
            self.check("mdl.set_dynamic_batch_size", code)
        uploaded = time.perf_counter()
        self.check("mdl.execute", acl.mdl.execute(self._model, self._input_set, self._output_set))
        executed = time.perf_counter()
        dims, code = acl.mdl.get_cur_output_dims(self._desc, 0)
        self.check("mdl.get_cur_output_dims", code)
        values = self._fetch(self._results[0], tuple(dims["dims"]))
        ends = (uploaded - began, executed - uploaded, time.perf_counter() - executed)
        upload, execution, download = (before + 1000 * lap for before, lap in zip(self.laps, ends))  # noqa: B905
        self.laps = (upload, execution, download)
        return values

    def _fetch(self, source: Buffer, dims: Tuple[int, ...]) -> "np.ndarray[Any, Any]":
        """Copy the output to the host, directly into the memory of `source.host`."""
        acl = self.acl
        dtype = TYPES[self.output_type]
        if hasattr(acl.util, "bytes_to_ptr"):
            pointer, values = acl.util.bytes_to_ptr(source.host), np.frombuffer(source.host, dtype)
        else:
            values = np.empty(source.size // np.dtype(dtype).itemsize, dtype)
            pointer = acl.util.numpy_to_ptr(values)
        code = acl.rt.memcpy(pointer, source.size, source.address, source.size, self.device.download)
        self.check("rt.memcpy", code)
        count = int(np.prod(dims))
        return values[:count].reshape(dims[0], -1).astype(np.float32)

    def _describe(self) -> None:
        """Read the description of input and output, and refuse unsupported ones."""
        mdl = self.acl.mdl
        self.input_type = mdl.get_input_data_type(self._desc, 0)
        self.output_type = mdl.get_output_data_type(self._desc, 0)
        dims, code = mdl.get_input_dims(self._desc, 0)
        self.check("mdl.get_input_dims", code)
        self.dims = tuple(dims["dims"])
        self.nhwc = mdl.get_input_format(self._desc, 0) == NHWC
        if self.input_type not in TYPES or self.output_type not in (0, 1) or len(self.dims) != 4:
            raise Failure(
                REFUSED,
                f"the model's input (type {self.input_type}, {list(self.dims)}) or output (type {self.output_type}) "
                "is not a picture classifier's",
                "compile the model that AtlasFlow exported",
            )
        self.dtype = np.dtype(TYPES[self.input_type])
        index, code = mdl.get_input_index_by_name(self._desc, GEAR_INPUT)
        self.gear_index = index if code == 0 else None
        self.batches = [self.dims[0]]
        if self.gear_index is not None:
            gears, code = mdl.get_dynamic_batch(self._desc)
            self.check("mdl.get_dynamic_batch", code)
            self.batches = sorted(gears["batch"])

    def _dataset(self, sizes: List[int], buffers: List[Buffer]) -> int:
        """A dataset with device memory for each size."""
        acl = self.acl
        dataset = acl.mdl.create_dataset()
        self.later("mdl.destroy_dataset", acl.mdl.destroy_dataset, dataset)
        for size in sizes:
            address, code = acl.rt.malloc(size, NORMAL_ONLY)
            self.check("rt.malloc", code)
            self.later("rt.free", acl.rt.free, address)
            data = acl.create_data_buffer(address, size)
            self.later("destroy_data_buffer", acl.destroy_data_buffer, data)
            _, code = acl.mdl.add_dataset_buffer(dataset, data)
            self.check("mdl.add_dataset_buffer", code)
            buffers.append(Buffer(address, size))
        return int(dataset)
