"""Runs on the stand-in GPU: what a real one would not forgive is noticed."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tests.model_factory import make_model
from tests.trt import bindings, cuda_stand_in
from tests.trt.bindings import CUDA_VERSIONS
from tests.trt.gpu import raw
from tests.trt.install import installed
from tests.trt.machine import Machine, assert_equal, expected, poses

OLD = "8.6.1"

every_cuda = pytest.mark.parametrize("cuda", CUDA_VERSIONS)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx", mirror=True)


@every_cuda
def test_functions_give_as_many_results_as_the_real_ones(tmp_path, cuda):
    with installed(tmp_path, cuda=cuda):  # skips where the real ones are not installed
        api = bindings.cuda_api(cuda)
    for name, (_, results) in cuda_stand_in.FUNCTIONS.items():
        (overload,) = api.check_attribute(name)["overloads"]
        told = overload["returns"] or ["cudaError_t"]  # cudaMemcpy says nothing of it
        assert len(told) == 1 + results, name


def test_what_must_be_set_before_a_run(path, tmp_path):
    with installed(tmp_path):
        machine, feed = Machine(), poses(3)
        engine = machine.engine(machine.plan(path.read_bytes()))
        made = machine.ready(engine, feed)
        bare = engine.create_execution_context()
        assert not bare.execute_async_v3(int(made.stream))
        assert "no shape is set" in machine.errors()
        for name, value in feed.items():
            assert bare.set_input_shape(name, value.shape)
        assert not bare.execute_async_v3(int(made.stream))
        assert "no address is set" in machine.errors()
        assert not bare.set_input_shape("keypoints", (9, 13, 2))
        assert not bare.set_input_shape("mean", (3, 16))
        assert not bare.set_tensor_address("keypoints", made.buffers["keypoints"][0] + 4)
        assert "aligned" in machine.errors()
        assert not made.context.execute_async_v3(12345)
        assert not made.context.set_optimization_profile_async(1, int(made.stream))


def test_nothing_is_there_before_the_stream_is_synchronised(path, tmp_path):
    with installed(tmp_path):
        machine = Machine()
        made = machine.ready(machine.engine(machine.plan(path.read_bytes())), poses(3))
        address, host = made.buffers["mean"]
        pinned = machine.ok(machine.cuda.cudaMallocHost(host.nbytes))
        view = raw(pinned, host.nbytes).view(np.float32)
        assert made.context.execute_async_v3(int(made.stream))
        machine.copy(pinned, address, host.nbytes, "DeviceToHost", made.stream)
        assert np.isnan(view).all()
        machine.ok(machine.cuda.cudaStreamSynchronize(made.stream))
        assert np.isfinite(view).all()


@pytest.mark.parametrize("version", [OLD, "10.3.0"])
def test_two_contexts_on_one_profile(path, tmp_path, version):
    with installed(tmp_path, version=version):
        machine = Machine()
        network = machine.network(path.read_bytes())
        config = machine.config(network, sizes=((1, 1, 1), (1, 4, 8)))
        for share in (False, True):
            feature = machine.trt.PreviewFeature.PROFILE_SHARING_0806
            config.set_preview_feature(feature, share)
            engine = machine.engine(machine.builder.build_serialized_network(network, config))
            first, second = (engine.create_execution_context() for _ in range(2))
            assert first.set_optimization_profile_async(1, 0)
            shared = second.set_optimization_profile_async(1, 0)
            assert shared == (share or version != OLD)


@every_cuda
def test_a_captured_graph_runs_again(path, tmp_path, cuda):
    feed, other = poses(3), poses(4)
    with installed(tmp_path, cuda=cuda):
        machine = Machine()
        cudart, wanted = machine.cuda, expected(path, feed)
        made = machine.ready(machine.engine(machine.plan(path.read_bytes())), feed)
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        handle = int(made.stream)
        assert made.context.execute_async_v3(handle)  # the first run cannot be captured
        machine.ok(cudart.cudaStreamBeginCapture(made.stream, mode))
        assert made.context.execute_async_v3(handle)
        graph = machine.ok(cudart.cudaStreamEndCapture(made.stream))
        run = machine.ok(cudart.cudaGraphInstantiate(graph, 0))
        machine.ok(cudart.cudaGraphDestroy(graph))
        assert_equal(machine.outputs(made, wanted), wanted)
        for name, value in other.items():
            address, changed = made.buffers[name][0], value[:3].copy()
            machine.copy(address, changed.ctypes.data, changed.nbytes, "HostToDevice", made.stream)
        machine.ok(cudart.cudaGraphLaunch(run, made.stream))
        found = machine.outputs(made, wanted)
        assert_equal(found, expected(path, {name: value[:3] for name, value in other.items()}))
        machine.ok(cudart.cudaGraphExecDestroy(run))
        assert cudart.cudaGraphLaunch(run, made.stream)[0].name == "cudaErrorInvalidValue"
        assert "executable graph that is not there" in cuda_stand_in.state()["mistakes"][-1]


def test_the_first_run_after_a_new_shape_cannot_be_captured(path, tmp_path):
    with installed(tmp_path):
        machine = Machine()
        cudart = machine.cuda
        made = machine.ready(machine.engine(machine.plan(path.read_bytes())), poses(3))
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeGlobal
        machine.ok(cudart.cudaStreamBeginCapture(made.stream, mode))
        assert not made.context.execute_async_v3(int(made.stream))
        error, graph = cudart.cudaStreamEndCapture(made.stream)
        assert (error.name, graph) == ("cudaErrorStreamCaptureInvalidated", None)


@every_cuda
def test_wrong_uses_of_memory(tmp_path, cuda):
    with installed(tmp_path, cuda=cuda):
        from cuda.bindings import runtime as cudart

        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        data = np.zeros(64, np.uint8)
        _, stream = cudart.cudaStreamCreate()
        _, address = cudart.cudaMalloc(32)
        invalid = (cudart.cudaError_t.cudaErrorInvalidValue,)
        assert cudart.cudaMemcpyAsync(address, data.ctypes.data, 64, kind, stream) == invalid
        assert cudart.cudaMemcpyAsync(data.ctypes.data, address, 32, kind, stream) == invalid
        assert cudart.cudaFree(address) == (cudart.cudaError_t.cudaSuccess,)
        assert cudart.cudaFree(address) == invalid
        assert cudart.cudaMemcpyAsync(address, data.ctypes.data, 32, kind, stream) == invalid
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeGlobal
        cudart.cudaStreamBeginCapture(stream, mode)
        error, nothing = cudart.cudaMalloc(32)
        assert (error.name, nothing) == ("cudaErrorStreamCaptureUnsupported", None)
        assert len(cuda_stand_in.state()["mistakes"]) == 5
        for call in ("cudaMalloc()", "cudaMalloc('4')", "cudaMemcpyAsync(0, 0, 0, 1, 0)"):
            with pytest.raises(TypeError):
                eval("cudart." + call, {"cudart": cudart})
        with pytest.raises(AttributeError, match=f"{cuda} has no cudaMallocTwice"):
            cudart.cudaMallocTwice(1)


def test_one_context_in_two_threads(path, tmp_path):
    with installed(tmp_path, seconds=0.3):
        machine = Machine()
        made = machine.ready(machine.engine(machine.plan(path.read_bytes())), poses(3))
        first = threading.Thread(target=made.context.execute_async_v3, args=(int(made.stream),))
        first.start()
        while not made.context._busy.locked():
            assert first.is_alive()
        with pytest.raises(RuntimeError, match="two threads"):
            made.context.get_tensor_address("mean")
        first.join()
        assert "two threads in one context" in cuda_stand_in.state()["mistakes"]


@pytest.mark.parametrize(("devices", "name"), [(0, "NoDevice"), (-1, "InsufficientDriver")])
def test_without_a_device(tmp_path, devices, name):
    with installed(tmp_path, devices=devices):
        import tensorrt as trt
        from cuda.bindings import runtime as cudart

        error, count = cudart.cudaGetDeviceCount()
        assert (error.name, count) == ("cudaError" + name, None)
        assert cudart.cudaGetErrorName(error)[1] == b"cudaError" + name.encode()
        with pytest.raises(TypeError, match="factory function returned nullptr"):
            trt.Builder(trt.Logger())
