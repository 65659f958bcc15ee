"""The model file: what is written is read, and every fault has its own line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.model_factory import (
    FLOAT,
    check_vectors,
    make_graph,
    make_metadata,
    make_model,
    short_mean,
    unrunnable,
)
from tests.model_factory import write_unchecked as write_raw
from vipe_core import model_file
from vipe_core.errors import VipeError
from vipe_core.model_file import reading
from vipe_core.model_file.metadata import TASKS


def fields(**overrides: object) -> dict[str, object]:
    return json.loads(make_metadata().to_json()) | overrides


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("skeleton", ["body13", "coco17", "blazepose33"])
def test_what_is_written_is_read(path, task, skeleton):
    make_model(path, task, skeleton, embedding_size=8, mirror=task != "pose")
    assert model_file.read_metadata(path) == make_metadata(task, skeleton, 8)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_pose_model_may_have_a_latent_too(path):
    model_file.write(path, make_graph("embedding+pose"), make_metadata("pose"))
    assert model_file.read_metadata(path).task == "pose"


def test_bytes_and_proto_give_the_same_file(path, tmp_path):
    graph = make_graph()
    model_file.write(path, graph, make_metadata())
    model_file.write(tmp_path / "other.onnx", graph.SerializeToString(), make_metadata())
    assert path.read_bytes() == (tmp_path / "other.onnx").read_bytes()
    assert not graph.metadata_props  # the caller's model is left alone


def test_writing_again_replaces_the_metadata_and_keeps_other_keys(path):
    graph = make_graph()
    graph.metadata_props.add(key="author", value="somebody")
    model_file.write(path, graph, make_metadata(version="1"))
    model_file.write(path, path.read_bytes(), make_metadata(version="2"))
    props = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert set(props) == {"author", "vipe", "vipe_check", "vipe_sha256"}
    assert model_file.read_metadata(path).version == "2"


def test_reading_does_not_need_the_onnx_package(path):
    make_model(path)
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from vipe_core import model_file\n"
        f"print(model_file.read_metadata({str(path)!r}).name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "test-model"


def test_unknown_keys_are_ignored(path):
    write_raw(path, make_graph(), fields(later_addition=1), check_vectors().encode())
    assert model_file.read_metadata(path) == make_metadata()


def test_fingerprint_is_of_the_content(path, tmp_path):
    make_model(path)
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(path.read_bytes())
    assert model_file.fingerprint(path) == model_file.fingerprint(copy)
    assert len(model_file.fingerprint(path)) == 12
    make_model(copy, version="9")
    assert model_file.fingerprint(path) != model_file.fingerprint(copy)


def fault(path: Path, words: str) -> None:
    """Reading must fail with one line that names the file and has these words."""
    with pytest.raises(VipeError, match=words) as caught:
        model_file.read_metadata(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(path):
    fault(path, "does not exist")


def test_folder(tmp_path):
    fault(tmp_path, "is not a file")


def test_empty_file(path):
    path.touch()
    fault(path, "is empty")


def test_too_large_file(path):
    with path.open("wb") as file:
        file.truncate(model_file.MAX_BYTES + 1)  # sparse: takes no room
    fault(path, "over the limit of 500,000,000")


def test_unreadable_file(path, monkeypatch):
    make_model(path)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")  # chmod would not stop root

    monkeypatch.setattr(Path, "read_bytes", refuse)
    fault(path, "cannot be read: Permission denied")


@pytest.mark.parametrize("content", [b"hello\n" * 100, bytes(1000), b"\x80\x04\x95pickle"])
def test_something_that_is_not_onnx(path, content):
    path.write_bytes(content)
    fault(path, "is not an ONNX file, or it is truncated")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_file(path, share):
    make_model(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    fault(path, "truncated|cannot be loaded|no VIPE model")


def test_onnx_that_onnxruntime_cannot_run(path):
    graph = make_graph()
    graph.graph.node[0].op_type = "NoSuchOperator"
    write_raw(path, graph, fields())
    fault(path, "cannot be loaded by onnxruntime: .*NoSuchOperator")


def test_onnx_of_an_opset_from_the_future(path):
    graph = make_graph()
    graph.opset_import[0].version = 99
    write_raw(path, graph, fields())
    fault(path, "cannot be loaded by onnxruntime: .*[Oo]pset 99")


def test_onnx_without_metadata(path):
    path.write_bytes(make_graph().SerializeToString())
    fault(path, "is ONNX but no VIPE model")


@pytest.mark.parametrize("text", ["{", "[1, 2]", "null"])
def test_metadata_that_is_no_json_object(path, text):
    write_raw(path, make_graph(), text)
    fault(path, "is not (JSON|a JSON object)")


def test_newer_format(path):
    write_raw(path, make_graph(), {"format_version": 3})
    fault(path, "file format 3 is newer than this software reads .* update vipe")


def test_older_format(path):
    write_raw(path, make_graph(), fields(format_version=1))
    fault(path, r"file format 1 is older than this software reads \(2\); export the model anew")


@pytest.mark.parametrize("name", sorted(json.loads(make_metadata().to_json())))
def test_each_missing_field(path, name):
    values = fields()
    del values[name]
    write_raw(path, make_graph(), values)
    fault(path, f"lacks the field {name}$")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format_version", 0),
        ("format_version", "1"),
        ("name", ""),
        ("name", 3),
        ("version", None),
        ("task", "translation"),
        ("skeleton_2d", 13),
        ("skeleton_3d", "coco17"),
        ("precision", "fp8"),
        ("embedding_size", "16"),
        ("embedding_size", -1),
        ("embedding_size", True),
        ("sigmoid_a", 0),
        ("sigmoid_a", "1.5"),
        ("sigmoid_a", None),
        ("sigmoid_b", float("nan")),
        ("kappa", -0.1),
        ("training_data", None),
        ("licence", ["Apache-2.0"]),
        ("metrics", [1.0]),
        ("metrics", {"hit@1": "high"}),
        ("git_commit", 7),
        ("command", None),
        ("seed", 0.5),
    ],
)
def test_each_ill_typed_field(path, name, value):
    write_raw(path, make_graph(), fields(**{name: value}))
    fault(path, f"metadata field {name} must be .*, not")


def test_pose_without_skeleton(path):
    write_raw(path, make_graph(), fields(skeleton_3d=None))
    fault(path, r"metadata field skeleton_3d is null but the task is 'embedding\+pose'")


def test_embedding_without_size(path):
    write_raw(path, make_graph(), fields(embedding_size=0))
    fault(path, "embedding_size is 0 but the task")


def test_unknown_skeleton(path):
    write_raw(path, make_graph(), fields(skeleton_2d="octopus8"))
    fault(path, "unknown skeleton 'octopus8'; known: body13")


def test_input_of_another_skeleton(path):
    write_raw(path, make_graph(), fields(skeleton_2d="coco17"))
    fault(path, r"keypoints has shape \(N, 13, 2\), the metadata needs \(N, 17, 2\)")


def test_output_of_another_size(path):
    write_raw(path, make_graph(), fields(embedding_size=32))
    fault(path, r"mean has shape \(N, 16\), the metadata needs \(N, 32\)")


def test_output_that_the_task_needs_is_missing(path):
    write_raw(path, make_graph("embedding"), fields())
    fault(path, "lacks the outputs joints, std; it has mean, variance")


def test_output_that_the_task_does_not_know(path):
    write_raw(path, make_graph(), fields(task="embedding", skeleton_3d=None))
    fault(path, "unknown outputs joints, std")


def test_mirror_without_its_variance(path):
    graph = make_graph(mirror=True)
    del graph.graph.output[3]
    write_raw(path, graph, fields())
    fault(path, "output mirror_mean stands alone")


def test_input_of_another_name(path):
    graph = make_graph()
    for node in graph.graph.node:
        node.input[:] = ["poses" if name == "keypoints" else name for name in node.input]
    graph.graph.input[0].name = "poses"
    write_raw(path, graph, fields())
    fault(path, "lacks the inputs keypoints; it has poses, visibility")


def test_input_that_nobody_feeds(path):
    graph = make_graph()
    graph.graph.input.append(helper.make_tensor_value_info("age", FLOAT, ["N"]))
    write_raw(path, graph, fields())
    fault(path, "unknown inputs age")


def test_fixed_batch(path):
    graph = make_graph()
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    write_raw(path, graph, fields())
    fault(path, r"keypoints has shape \(1, 13, 2\), the metadata needs \(N, 13, 2\)")


def test_output_of_another_type(path):
    graph = make_graph()
    for node in graph.graph.node:
        node.output[:] = ["mean_32" if name == "mean" else name for name in node.output]
    graph.graph.node.append(helper.make_node("Cast", ["mean_32"], ["mean"], to=TensorProto.DOUBLE))
    graph.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    write_raw(path, graph, fields())
    fault(path, r"mean is tensor\(double\), it must be tensor\(float\)")


def refused(path: Path, words: str, model: object, **overrides: object) -> None:
    """Writing must fail and leave nothing behind."""
    with pytest.raises(VipeError, match=words):
        model_file.write(path, model, make_metadata(**overrides))
    assert list(path.parent.glob("*model.onnx*")) == []


def test_writing_refuses_what_could_not_be_read(path):
    refused(path, "mean has shape", make_graph(), embedding_size=32)


def test_writing_refuses_sizes_that_only_a_run_tells(path):
    refused(path, r"mean has shape \(N, 15\), the metadata needs \(N, 16\)", short_mean())


def test_writing_refuses_a_graph_that_does_not_run(path):
    refused(path, "loads but does not run: .*[Rr]eshape", unrunnable())


def test_writing_refuses_bytes_that_are_no_model(path):
    refused(path, "not an ONNX model", b"\xff\xff\xff")


def test_writing_refuses_external_weights(path):
    graph = make_graph()
    onnx.external_data_helper.set_external_data(graph.graph.initializer[0], "weights.bin")
    refused(path, "keeps weights in other files", graph)


def test_writing_refuses_too_much(path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 1000)
    refused(path, "the limit is 1,000", make_graph())


def test_a_failed_write_leaves_the_old_file(path):
    make_model(path, version="old")
    with pytest.raises(VipeError):
        model_file.write(path, make_graph("pose"), make_metadata("embedding"))
    assert model_file.read_metadata(path).version == "old"


def test_writing_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(VipeError, match="cannot write"):
        make_model(tmp_path / "file" / "model.onnx")


def test_metadata_is_checked_when_it_is_made():
    with pytest.raises(VipeError, match="metadata field seed must be an integer, not 'x'"):
        make_metadata(seed="x")


def test_default_path_is_the_environment_variable(monkeypatch, path):
    monkeypatch.setenv("VIPE_MODEL", str(path))
    assert model_file.default_path() == path


@pytest.mark.parametrize("place", ["models", "share/vipe/models"])
def test_default_path_beside_the_package_and_in_the_prefix(tmp_path, monkeypatch, place):
    package = tmp_path / (
        "vipe_core" if place == "models" else "lib/python3/site-packages/vipe_core"
    )
    file = tmp_path / place / "vipe.onnx"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.delenv("VIPE_MODEL", raising=False)
    monkeypatch.setattr(reading, "__file__", str(package / "model_file" / "reading.py"))
    assert model_file.default_path() == file


def test_no_default_model(tmp_path, monkeypatch):
    monkeypatch.delenv("VIPE_MODEL", raising=False)
    monkeypatch.setattr(reading, "__file__", str(tmp_path / "vipe_core" / "model_file" / "x.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(VipeError, match="no model: VIPE_MODEL is not set"):
        model_file.default_path()


def test_factory_weights_are_inside(path):
    assert numpy_helper.to_array(onnx.load(make_model(path)).graph.initializer[0]).size
