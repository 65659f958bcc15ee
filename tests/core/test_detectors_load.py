"""Pose models that do not fit what is said of them: one line each, when they are loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from tests import detector_factory as factory
from vipe_core import detectors
from vipe_core.errors import VipeError

pytest.importorskip("cv2")
RTMO = {"model": "rtmo.onnx", "layout": "rtmo", "skeleton": "coco17"}
SIMCC = {"model": "simcc.onnx", "layout": "simcc", "skeleton": "coco17", "person": "track"}
HEATMAP = SIMCC | {"model": "heatmap.onnx", "layout": "heatmap"}
YOLO = RTMO | {"model": "yolo_pose.onnx", "layout": "yolo_pose"}


def load(folder: Path, given: dict[str, Any]) -> detectors.Detector:
    path = folder / "detector.yaml"
    path.write_text(yaml.safe_dump(given))
    return detectors.load(path, threads=1)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good models and of files that are no such network, each in one way."""
    folder = tmp_path_factory.mktemp("models")
    factory.simcc(folder / "simcc.onnx")
    factory.simcc(folder / "free.onnx", free_size=True)
    factory.heatmap(folder / "heatmap.onnx")
    factory.one_stage(folder / "yolo_pose.onnx", "yolo_pose", repeat=10)
    for layout in ("rtmo", "rtmdet", "yolo"):
        factory.one_stage(folder / f"{layout}.onnx", layout)
    (folder / "text.onnx").write_text("no network at all")
    model = onnx.load(folder / "rtmo.onnx")
    model.graph.input.append(onnx.helper.make_tensor_value_info("more", 1, [1]))
    onnx.save(model, folder / "two_inputs.onnx")
    only = onnx.helper.make_node("Cast", ["input"], ["dets"], to=onnx.TensorProto.FLOAT)
    image = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.UINT8, [1, 3, 64, 64])
    dets = onnx.helper.make_tensor_value_info("dets", onnx.TensorProto.FLOAT, [1, 3, 64, 64])
    graph = onnx.helper.make_graph([only], "bytes", [image], [dets])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "bytes.onnx"
    )
    return folder


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (RTMO | {"model": "nowhere.onnx"}, "no model file .*nowhere.onnx; a path in a detector's"),
        (RTMO | {"model": "text.onnx"}, "text.onnx is not an ONNX file that onnxruntime can run"),
        (RTMO | {"model": "two_inputs.onnx"}, "one input .N, 3, H, W. of floats needed, it has"),
        (RTMO | {"model": "bytes.onnx"}, "one input .N, 3, H, W. of floats needed.*uint8"),
        (RTMO | {"model": "yolo_pose.onnx"}, "rtmo needs outputs dets .1, M, 5. and keypoints"),
        (RTMO | {"model": "rtmdet.onnx"}, "rtmo needs outputs .*gives dets .1, 7, 5., labels"),
        (RTMO | {"skeleton": "halpe26"},
         "17 keypoints but skeleton halpe26 has 26; skeletons of 17: .*coco17"),
        (RTMO | {"skeleton": "body13"}, "17 keypoints but skeleton body13 has 13"),
        (YOLO | {"model": "simcc.onnx"}, "17 keypoints .coco17. need an output .1, 56, A.*simcc_x"),
        (YOLO | {"model": "heatmap.onnx"}, "yolo_pose needs outputs .1, rows, columns."),
        (YOLO | {"skeleton": "halpe26"}, "26 keypoints .halpe26. need an output .1, 83, A., or"),
        (YOLO | {"skeleton": "body13"}, "17 keypoints but skeleton body13 has 13"),
        (SIMCC | {"model": "rtmo.onnx"}, "layout simcc needs outputs .N, K, 320 times"),
        (SIMCC | {"skeleton": "halpe26"}, "17 keypoints but skeleton halpe26 has 26"),
        (SIMCC | {"model": "free.onnx"}, "images of any size: give it one, input: {size: .W, H.}"),
        (SIMCC | {"input": {"size": [192, 256]}}, "takes images of 96 x 128, input size is .192,"),
        (SIMCC | {"model": "free.onnx", "input": {"size": [64, 64]}},
         "free.onnx fails on .1, 3, 64, 64.: "),
        (HEATMAP | {"model": "simcc.onnx"}, "layout heatmap needs outputs .N, K, H, W."),
        (HEATMAP | {"skeleton": "body13"}, "17 keypoints but skeleton body13 has 13"),
        (SIMCC | {"person": {"model": "heatmap.onnx", "layout": "rtmdet"}},
         "layout rtmdet needs outputs dets .1, M, 5. and labels .1, M."),
        (SIMCC | {"person": {"model": "yolo.onnx", "layout": "yolo", "label": 3}},
         "class 3 needs an output .1, 8 or more, A., or .1, M, 6."),
        (SIMCC | {"person": {"model": "gone.onnx", "layout": "yolo"}}, "no model file .*gone.onnx"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(models: Path, given: dict, message: str) -> None:
    with pytest.raises(VipeError, match=message) as caught:
        load(models, given)
    assert "\n" not in str(caught.value)


def test_free_size_that_is_given(models: Path) -> None:
    found = load(models, SIMCC | {"model": "free.onnx", "input": {"size": [96, 128]}})
    assert len(found(np.zeros((40, 40, 3), np.uint8))) == 0


def test_without_onnxruntime(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(VipeError, match="needs onnxruntime: pip install"):
        load(models, RTMO)


def test_empty_path_is_blazepose(tmp_path: Path) -> None:
    with pytest.raises(VipeError, match=r"no pose_detection\.tflite"):
        detectors.load("", assets_dir=tmp_path)
