"""Model files in fp16 and int8, out of a checkpoint and out of a file in fp32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.training.systems import NAMES, save, untrained
from vipe_core import model_file, runtime
from vipe_core.cli import main
from vipe_core.errors import VipeError
from vipe_core.model_file.check import LIMITS
from vipe_core.precision import whole_weights
from vipe_training.cli.export import MOST_LOST, _hold_hits
from vipe_training.export import write as module
from vipe_training.export.parity import of_file, parity
from vipe_training.export.precision import _worth_it, calibration_inputs, quantized
from vipe_training.export.write import convert, export

CPU = "onnxruntime-cpu"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(data_folder, tmp_path_factory):
    """A small ``vipe`` in fp32."""
    path = tmp_path_factory.mktemp("whole") / "m.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIPE_DATA", str(data_folder))
        export(untrained("vipe"), path, "1.0", {"x": 1.0})
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_system_in_half(name, data, tmp_path):
    path, half = tmp_path / "m.onnx", tmp_path / "half.onnx"
    export(untrained(name), path, "1.0", {})
    error = convert(path, half, "fp16", {"y": 2.0})
    assert 0 < error <= LIMITS["fp16"]
    model = runtime.load(half, CPU)
    assert model.precision == "fp16"
    assert model.metadata.metrics == {"y": 2.0}
    assert model.metadata.command.endswith("--precision fp16")
    assert half.stat().st_size < path.stat().st_size + 20_000  # casts, not weights
    # The check vectors are those of fp32: they say what is right.
    assert model_file.read(half).check.encode() == model_file.read(path).check.encode()
    assert parity(of_file(path), half, count=500) <= LIMITS["fp16"]


def test_int8_is_explicit_and_symmetric(data, whole, tmp_path):
    opened = model_file.read(whole)
    data8 = quantized(whole.read_bytes(), calibration_inputs(opened.metadata))
    graph = onnx.load_model_from_string(data8).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("QuantizeLinear") >= 2
    assert "DynamicQuantizeLinear" not in kinds
    points = [w for w in graph.initializer if w.name.endswith("_zero_point")]
    assert points
    assert all(not onnx.numpy_helper.to_array(point).any() for point in points)
    # Biases stay in float32: TensorRT reads no int32 ones.
    small = [w.data_type for w in graph.initializer if w.name.endswith("bias")]
    assert set(small) == {onnx.TensorProto.FLOAT}
    path = tmp_path / "int8.onnx"
    model_file.write(path, data8, replace(opened.metadata, precision="int8"))
    model = runtime.load(path, CPU)
    assert model.error < LIMITS["int8"]
    # It is another graph than the one in fp32, and not far from it.
    found = {name: getattr(model(*inputs_of(opened)), name) for name in opened.check.outputs}
    assert 0 < opened.check.worst(found) < 2


@pytest.mark.parametrize(
    ("name", "chosen", "left"),
    [
        ("vipe", "blocks.0.1", "blocks.0.3"),  # what a layer norm gives, not what a GELU gives
        ("vipe_temporal", "window_trunk/first", "trunk/first"),
        ("pr_vipe", "blocks.0.1.0", "trunk/first"),
        ("v_vipe", "trunk_2d/blocks.1", "decoder"),
    ],
)
def test_which_products_become_int8(name, chosen, left):
    whole = whole_weights((ROOT / "models" / f"{name}.onnx").read_bytes())
    names = _worth_it(onnx.load_model_from_string(whole).graph)
    assert any(chosen in name for name in names)
    assert not any(name.startswith(f"/{left}") or f"/{left}/" in name for name in names)


def inputs_of(opened):
    return opened.check.points, opened.check.visibility


def test_calibration_hides_some_points(data):
    fed = calibration_inputs(model_file_metadata())
    assert len(fed) == 8
    assert all(set(batch) == {"keypoints", "visibility"} for batch in fed)
    hidden = np.mean([1 - batch["visibility"].mean() for batch in fed])
    assert 0.05 < hidden < 0.15


def model_file_metadata():
    from tests.model_factory import make_metadata

    return make_metadata()


def test_the_command_out_of_a_model_file(data, whole, tmp_path, capsys):
    out = tmp_path / "half.onnx"
    words = ["export", str(whole), str(out), "--precision", "fp16", "--poses", "40"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "largest difference from the file in fp32 on 10,000 bodies: " in said
    assert f"wrote {out}" in said
    model = runtime.load(out, CPU)
    assert model.metadata.metrics["novel8+n hit@1"] > 0
    card = out.with_suffix(".md").read_text()
    assert "matrix products in fp16" in card
    assert "| novel8+n |" in card


def test_the_command_out_of_a_checkpoint(data, tmp_path, capsys):
    best = save(untrained("pr_vipe"), tmp_path / "best.safetensors")
    out = tmp_path / "half.onnx"
    words = ["export", str(best), str(out), "--precision", "fp16", "--poses", "0"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "largest difference from torch on 10,000 bodies: " in said
    assert runtime.load(out, CPU).precision == "fp16"
    assert not out.with_suffix(".md").exists()


@pytest.mark.parametrize(("most", "holds"), [(100.0, True), (-100.0, False)])
def test_int8_is_written_where_hits_hold(data, whole, tmp_path, monkeypatch, capsys, most, holds):
    """Whether this untrained network holds the real limit is chance; these decide it."""
    monkeypatch.setattr("vipe_training.cli.export.MOST_LOST", most)
    out = tmp_path / "int8.onnx"
    words = ["export", str(whole), str(out), "--precision", "int8", "--poses", "40"]
    assert main(words) == (0 if holds else 2)
    said = capsys.readouterr()
    assert "most is lost of Hit@1 on " in said.out
    if holds:
        info = runtime.load(out, CPU).metadata
        assert info.precision == "int8"
        assert info.metrics["novel8+n hit@1"] > 0
        assert "matrix products in int8" in out.with_suffix(".md").read_text()
    else:
        assert "less; not written" in said.err
        assert list(tmp_path.iterdir()) == []


def test_int8_that_loses_too_much(tmp_path):
    fp32 = {"chest4 hit@1": 90.0, "novel8 hit@1": 80.0, "novel8 hit@5": 95.0}
    _hold_hits(fp32 | {"novel8 hit@1": 80.0 - MOST_LOST, "novel8 hit@5": 1.0}, fp32, tmp_path)
    with pytest.raises(VipeError, match="only where Hit@1 holds, and there is none"):
        _hold_hits({"body frame mm": 50.0}, {"body frame mm": 50.0}, tmp_path)
    with pytest.raises(VipeError, match=r"Hit@1 on novel8: 80\.0 % in fp32, 79\.4 % in int8, more"):
        _hold_hits(fp32 | {"novel8 hit@1": 79.4}, fp32, tmp_path)


def test_a_wrong_graph_in_half_is_not_written(data, whole, tmp_path, monkeypatch):
    right = module.in_precision

    def wrong(source, precision, metadata):
        model = onnx.load_model_from_string(right(source, precision, metadata))
        bias = next(w for w in model.graph.initializer if "joints.bias" in w.name)
        value = onnx.numpy_helper.to_array(bias) + np.float16(10)
        bias.CopyFrom(onnx.numpy_helper.from_array(value, bias.name))
        return model.SerializeToString()

    monkeypatch.setattr(module, "in_precision", wrong)
    with pytest.raises(VipeError, match=r"does not give on onnxruntime-cpu|differs"):
        convert(whole, tmp_path / "half.onnx", "fp16", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--poses", "0"], "is a model file: it can be written in --precision fp16 or int8"),
        (["--precision", "fp16", "--half", "--poses", "0"], "is a model file: it can be"),
        (["--precision", "int8", "--poses", "0"], "int8 is written only where Hit@1 holds"),
        (
            ["--precision", "fp16", "--poses", "0", "--model-version", "9"],
            "its own weights and ver",
        ),
        (["--precision", "fp8"], "invalid choice: 'fp8'"),
    ],
)
def test_mistakes_are_one_line(data, whole, tmp_path, words, line, capsys):
    assert main(["export", str(whole), str(tmp_path / "m.onnx"), *words]) == 2
    assert line in capsys.readouterr().err


def test_a_file_in_half_is_no_source(data, whole, tmp_path):
    half = tmp_path / "half.onnx"
    convert(whole, half, "fp16", {})
    with pytest.raises(VipeError, match="computes in fp16: start from fp32"):
        convert(half, tmp_path / "again.onnx", "fp16", {})
