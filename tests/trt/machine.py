"""The steps of TensorRT's life in short, for the tests of the stand-ins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime


class Machine:
    """TensorRT's steps in short, for one version."""

    def __init__(self) -> None:
        import tensorrt as trt
        from cuda.bindings import runtime as cuda

        class Log(trt.ILogger):
            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self.lines: list[tuple[str, str]] = []

            def log(self, severity, msg):
                self.lines.append((severity.name, msg))

        self.trt, self.cuda, self.log = trt, cuda, Log()
        self.builder = trt.Builder(self.log)

    def errors(self) -> str:
        return "\n".join(text for severity, text in self.log.lines if severity == "ERROR")

    def network(self, model: bytes, strong: bool = False):
        flags, names = 0, self.trt.NetworkDefinitionCreationFlag
        if hasattr(names, "EXPLICIT_BATCH"):
            flags |= 1 << int(names.EXPLICIT_BATCH)
        if strong:
            flags |= 1 << int(names.STRONGLY_TYPED)
        network = self.builder.create_network(flags)
        assert self.trt.OnnxParser(network, self.log).parse(model), self.errors()
        return network

    def config(self, network, sizes=((1, 4, 8),)):
        config = self.builder.create_builder_config()
        for counts in sizes:
            profile = self.builder.create_optimization_profile()
            for index in range(network.num_inputs):
                tensor = network.get_input(index)
                rest = tuple(tensor.shape)[1:]
                profile.set_shape(tensor.name, *((count, *rest) for count in counts))
            config.add_optimization_profile(profile)
        return config

    def plan(self, model: bytes, **options):
        network = self.network(model)
        return self.builder.build_serialized_network(network, self.config(network, **options))

    def engine(self, plan):
        return self.trt.Runtime(self.log).deserialize_cuda_engine(plan)

    def ok(self, answer) -> Any:
        """The results of a CUDA call that must succeed: none, one or a tuple."""
        error, *results = answer
        assert error == self.cuda.cudaError_t.cudaSuccess, error.name
        return results[0] if len(results) == 1 else tuple(results)

    def ready(self, engine, feed, profile=0):
        """A context with its stream, shapes and addresses, and the buffers."""
        stream = self.ok(self.cuda.cudaStreamCreateWithFlags(self.cuda.cudaStreamNonBlocking))
        context = engine.create_execution_context()
        assert context.set_optimization_profile_async(profile, int(stream))
        for name, value in feed.items():
            assert context.set_input_shape(name, value.shape), self.errors()
        buffers = {}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            host = np.zeros(tuple(context.get_tensor_shape(name)), np.float32)
            buffers[name] = (self.ok(self.cuda.cudaMalloc(host.nbytes)), host)
            assert context.set_tensor_address(name, buffers[name][0])
        for name, value in feed.items():
            self.copy(buffers[name][0], value.ctypes.data, value.nbytes, "HostToDevice", stream)
        return SimpleNamespace(context=context, stream=stream, buffers=buffers)

    def copy(self, to, source, size, kind, stream):
        kind = getattr(self.cuda.cudaMemcpyKind, "cudaMemcpy" + kind)
        self.ok(self.cuda.cudaMemcpyAsync(to, source, size, kind, stream))

    def outputs(self, made, names):
        for name in names:
            address, host = made.buffers[name]
            self.copy(host.ctypes.data, address, host.nbytes, "DeviceToHost", made.stream)
        self.ok(self.cuda.cudaStreamSynchronize(made.stream))
        return {name: made.buffers[name][1].copy() for name in names}

    def close(self, made):
        for address, _ in made.buffers.values():
            self.ok(self.cuda.cudaFree(address))
        self.ok(self.cuda.cudaStreamDestroy(made.stream))


def poses(count: int) -> dict[str, np.ndarray]:
    points = np.random.default_rng(count).normal(300, 80, (count, 13, 2)).astype(np.float32)
    return {"keypoints": points, "visibility": np.ones((count, 13), np.float32)}


def expected(path, feed) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)
