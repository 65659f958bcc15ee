"""The stand-in for TensorRT is as strict as the real bindings, and gives onnxruntime's numbers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.model_factory import make_model
from tests.trt import bindings, cuda_stand_in
from tests.trt.bindings import CUDA_VERSIONS, TENSORRT_VERSIONS
from tests.trt.install import installed, records
from tests.trt.machine import Machine, assert_equal, expected, poses

OLD, NEW = "8.6.1", "11.4.0.106"
CUDA_OF = dict(zip(TENSORRT_VERSIONS, (*CUDA_VERSIONS, *CUDA_VERSIONS, "13.2.0"), strict=True))

every_version = pytest.mark.parametrize("version", TENSORRT_VERSIONS)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx", mirror=True)


@every_version
def test_a_whole_life_gives_the_numbers_of_onnxruntime(path, tmp_path, version):
    feed = poses(5)
    wanted = expected(path, feed)
    with installed(tmp_path, version=version, cuda=CUDA_OF[version]) as env:
        machine = Machine()
        assert machine.trt.__version__ == bindings.tensorrt_api(version).version
        plan = machine.plan(path.read_bytes())
        made = machine.ready(machine.engine(bytes(plan)), feed)
        assert made.context.execute_async_v3(int(made.stream)), machine.errors()
        assert_equal(machine.outputs(made, wanted), wanted)
        machine.close(made)
        made.context = None
        state = cuda_stand_in.state()
        assert (state["device"], state["streams"], state["contexts"]) == (0, 0, 0)
        assert state["mistakes"] == []
        assert machine.log.lines == []
        assert "IExecutionContext.execute_async_v3" in {line["name"] for line in records(env)}


# Name: the versions that have it.
NAMES = {
    "BuilderFlag.FP16": TENSORRT_VERSIONS[:-1],
    "BuilderFlag.TF32": TENSORRT_VERSIONS,
    "BuilderFlag.STRICT_TYPES": (OLD,),
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": TENSORRT_VERSIONS[1:],
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": TENSORRT_VERSIONS[:-1],
    "PreviewFeature.PROFILE_SHARING_0806": TENSORRT_VERSIONS[:-1],
    "DataType.INT64": TENSORRT_VERSIONS[1:],
    "Builder.build_engine": (OLD,),
    "Builder.platform_has_fast_fp16": TENSORRT_VERSIONS[:-1],
    "ICudaEngine.num_bindings": (OLD,),
    "ICudaEngine.device_memory_size": TENSORRT_VERSIONS[:-1],
    "ILayer.set_output_type": TENSORRT_VERSIONS[:-1],
    "IExecutionContext.execute_async_v2": (OLD,),
    "IExecutionContext.execute_async_v3": TENSORRT_VERSIONS,
    "IBuilderConfig.progress_monitor": TENSORRT_VERSIONS[1:],
    "IHostMemory.decode": (),
    "foo": (),
}


@every_version
def test_a_name_exists_in_exactly_its_versions(tmp_path, version):
    with installed(tmp_path, version=version):
        import tensorrt as trt

        found = {name for name in NAMES if has(trt, name)}
    assert found == {name for name, versions in NAMES.items() if version in versions}


def has(value, name: str) -> bool:
    for part in name.split("."):
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True


def test_a_missing_name_says_which_version_lacks_it(path, tmp_path):
    with installed(tmp_path, version=NEW) as env:
        machine = Machine()
        with pytest.raises(AttributeError, match=rf"{NEW} has no BuilderFlag\.FP16"):
            _ = machine.trt.BuilderFlag.FP16
        context = machine.engine(machine.plan(path.read_bytes())).create_execution_context()
        with pytest.raises(AttributeError, match=r"has no IExecutionContext\.execute_async_v2"):
            context.execute_async_v2([], 0)
        missing = [line["name"] for line in records(env) if line["kind"] == "missing"]
    assert "BuilderFlag.FP16" in missing


CALLS = [
    "builder.create_network(flag=1)",
    "builder.create_network(1, 2)",
    "builder.create_network(1.0)",
    "builder.create_network('1')",
    "builder.create_network(-1)",
    "config.set_flag(3)",
    "config.set_flag(trt.DataType.FLOAT)",
    "config.set_timing_cache(config.create_timing_cache(b''))",
    "config.create_timing_cache('text')",
    "profile.set_shape('keypoints', (1,), (1,))",
    "profile.set_shape('keypoints', (1.5,), (1,), (1,))",
    "profile.set_shape('keypoints', 1, 1, 1)",
    "trt.Dims((1,)) == trt.Dims((1,))",
    "trt.Logger(2)",
    "trt.Logger(severity=trt.Logger.INFO)",
    "trt.Builder(None)",
    "trt.IBuilderConfig()",
    "trt.Runtime()",
    "1 << trt.TensorIOMode.INPUT",
    "setattr(config, 'builder_optimization_level', 'high')",
]


@every_version
def test_calls_that_the_real_ones_refuse(tmp_path, version):
    with installed(tmp_path, version=version):
        machine = Machine()
        config = machine.builder.create_builder_config()
        profile = machine.builder.create_optimization_profile()
        scope = {"trt": machine.trt, "builder": machine.builder, "config": config}
        for call in CALLS:
            with pytest.raises(TypeError):
                eval(call, scope | {"profile": profile})
        with pytest.raises(AttributeError, match="has no IBuilderConfig"):
            config.max_batch = 1


@every_version
def test_the_real_bindings_agree(tmp_path, version):
    code = (
        "import tensorrt_bindings as trt\n"
        "for call in CALLS:\n"
        "    try:\n"
        "        eval(call)\n"
        "    except TypeError:\n"
        "        continue\n"
        "    raise SystemExit(call)\n"
    )
    calls = [call for call in CALLS if call.startswith(("trt.", "1 <<"))]
    try:
        bindings.api_file("tensorrt", version)
    except bindings.NotInstalled as error:
        pytest.skip(str(error))
    bindings.build_stubs(tmp_path, version.partition(".")[0])
    child = bindings.environment(bindings.INSTALLED / "tensorrt" / version, tmp_path)
    command = [sys.executable, "-W", "ignore", "-c", f"CALLS = {calls!r}\n{code}"]
    done = subprocess.run(command, env=child, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("version", "bit"), [(OLD, 2), ("10.3.0", 2), (NEW, 3)])
def test_a_network_flag_that_the_version_lacks(tmp_path, version, bit):
    with installed(tmp_path, version=version):
        machine = Machine()
        assert machine.builder.create_network(1 << bit) is None
        assert "unknown flags" in machine.errors()


def test_without_a_batch_axis_the_old_parser_refuses(path, tmp_path):
    with installed(tmp_path, version=OLD):
        machine = Machine()
        parser = machine.trt.OnnxParser(machine.builder.create_network(0), machine.log)
        assert not parser.parse(path.read_bytes())
        assert parser.num_errors == 1
        assert "explicit batch" in parser.get_error(0).desc()


def half_model() -> bytes:
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["half"], ["y"], to=TensorProto.FLOAT),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in "xy")
    graph = helper.make_graph(nodes, "half", [x], [y])
    opset = helper.make_opsetid("", 17)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return model.SerializeToString()


@every_version
def test_half_precision_needs_the_flag_or_strong_types(tmp_path, version):
    with installed(tmp_path, version=version):
        machine = Machine()
        flags = machine.trt.BuilderFlag
        network = machine.network(half_model())
        config = machine.config(network)
        assert (machine.builder.build_serialized_network(network, config) is None) == (
            version != NEW
        )
        if version != NEW:
            assert "fp16 is not configured" in machine.errors()
            config.set_flag(flags.FP16)
            assert machine.builder.build_serialized_network(network, config) is not None
        if version != OLD:
            strong = machine.network(half_model(), strong=True)
            config = machine.config(strong)
            assert machine.builder.build_serialized_network(strong, config) is not None


def test_a_build_without_a_profile(path, tmp_path):
    with installed(tmp_path):
        machine = Machine()
        network = machine.network(path.read_bytes())
        config = machine.builder.create_builder_config()
        assert machine.builder.build_serialized_network(network, config) is None
        profile = machine.builder.create_optimization_profile()
        profile.set_shape("keypoints", (4, 13, 2), (2, 13, 2), (8, 13, 2))
        assert config.add_optimization_profile(profile) == -1


def test_a_plan_of_another_version_or_gpu_or_a_damaged_one(path, tmp_path):
    with installed(tmp_path):
        machine = Machine()
        plan = bytes(machine.plan(path.read_bytes()))
        assert machine.engine(plan) is not None
        for damaged in (plan[:-1], plan[:40], b"", plan[:-1] + b"\0", b"x" * len(plan)):
            assert machine.engine(damaged) is None
    for other in ({"version": NEW}, {"gpu": "Xavier", "capability": (7, 2)}):
        with installed(tmp_path, **other):
            machine = Machine()
            assert machine.engine(plan) is None
            assert "deserializeCudaEngine" in machine.errors()


def test_faults(path, tmp_path):
    model, feed = path.read_bytes(), poses(2)
    with installed(tmp_path, faults=("build",)):
        assert Machine().plan(model) is None
    with installed(tmp_path, faults=("parse",)):
        machine = Machine()
        network = machine.builder.create_network(1)
        assert not machine.trt.OnnxParser(network, machine.log).parse(model)
    with installed(tmp_path, faults=("deserialize",)):
        machine = Machine()
        assert machine.engine(machine.plan(model)) is None
    with installed(tmp_path, faults=("no memory",)):
        error, address = Machine().cuda.cudaMalloc(64)
        assert (error.name, address) == ("cudaErrorMemoryAllocation", None)
    with installed(tmp_path, faults=("wrong",)):
        machine = Machine()
        made = machine.ready(machine.engine(machine.plan(model)), feed)
        made.context.execute_async_v3(int(made.stream))
        mean = machine.outputs(made, ["mean"])["mean"]
        np.testing.assert_allclose(mean, expected(path, feed)["mean"] + 0.1, atol=1e-6)


def test_in_another_process(tmp_path):
    code = (
        "import tensorrt as trt\n"
        "from cuda.bindings import runtime\n"
        "_, device = runtime.cudaGetDeviceProperties(0)\n"
        "print(trt.__version__, device.name, device.major, device.minor)\n"
        "trt.Builder(trt.Logger())\n"
    )
    command = [sys.executable, "-c", code]
    with installed(tmp_path, version=OLD, gpu="Xavier", capability=(7, 2)) as env:
        done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True)
        assert (done.stdout, done.stderr, done.returncode) == ("8.6.1 b'Xavier' 7 2\n", "", 0)
        assert {"kind": "get", "name": "Logger"} in records(env)
    with installed(tmp_path, faults=("crash",)) as env:
        assert subprocess.run(command, env=os.environ | env, capture_output=True).returncode == -11
    assert "tensorrt" not in sys.modules


def test_a_build_that_is_held(path, tmp_path):
    hold, holding = tmp_path / "hold", tmp_path / "holding"
    hold.touch()
    with installed(tmp_path, hold=str(hold), holding=str(holding)):
        machine, plans = Machine(), []
        thread = threading.Thread(target=lambda: plans.append(machine.plan(path.read_bytes())))
        thread.start()
        while not holding.exists():
            thread.join(0.01)
            assert thread.is_alive()
        assert plans == []
        hold.unlink()
        thread.join()
        assert plans[0].nbytes > 1000


def test_a_timing_cache_of_another_gpu(path, tmp_path):
    with installed(tmp_path):
        machine = Machine()
        network = machine.network(path.read_bytes())
        config = machine.config(network)
        empty = config.create_timing_cache(b"")
        assert config.set_timing_cache(empty, ignore_mismatch=False)
        before = bytes(config.get_timing_cache().serialize())
        assert machine.builder.build_serialized_network(network, config) is not None
        data = bytes(config.get_timing_cache().serialize())
        assert len(data) > len(before)
    with installed(tmp_path, gpu="Xavier"):
        config = Machine().builder.create_builder_config()
        cache = config.create_timing_cache(data)
        assert not config.set_timing_cache(cache, False)
        assert config.set_timing_cache(cache, True)
