"""The YAML of a detector: what it may say, and what is said when it may not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from vipe_core.detectors import configuration
from vipe_core.detectors.configuration import PRESETS
from vipe_core.errors import VipeError

EXAMPLES = Path(__file__).resolve().parents[2] / "config" / "detectors"
PERSON = {"model": "people.onnx", "layout": "rtmdet"}
SIMCC = {"model": "pose.onnx", "layout": "simcc", "skeleton": "coco17", "person": PERSON}
RTMO = {"model": "pose.onnx", "layout": "rtmo", "skeleton": "coco17"}


def write(folder: Path, content: Any) -> Path:
    path = folder / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_defaults_are_those_of_the_layout(tmp_path: Path) -> None:
    found = configuration.read(write(tmp_path, SIMCC))
    assert (found.name, found.model) == ("mine", tmp_path / "pose.onnx")
    assert found.input == PRESETS["simcc"]
    assert found.person is not None
    assert found.person.model == tmp_path / "people.onnx"
    assert found.person.input == PRESETS["rtmdet"]
    assert found.person.input.mean == (103.53, 116.28, 123.675)


def test_everything_can_be_said(tmp_path: Path) -> None:
    pixels = {
        "size": [192, 256], "channels": "bgr", "scale": 0.5, "mean": [1, 2, 3],
        "std": [4, 5, 6.5], "place": "centre", "fill": 7,
    }  # fmt: skip
    given = SIMCC | {"input": pixels, "min_score": 0.5, "max_people": 3, "padding": 1.1}
    given |= {"name": "my pose", "udp": True, "nms_overlap": 0.6, "model": "/elsewhere/pose.onnx"}
    given["person"] = PERSON | {"min_score": 0.2, "label": 4, "input": {"fill": 0}}
    found = configuration.read(write(tmp_path, given))
    assert (found.model, found.name) == (Path("/elsewhere/pose.onnx"), "my pose")
    assert (found.min_score, found.max_people, found.padding) == (0.5, 3, 1.1)
    assert (found.udp, found.nms_overlap) == (True, 0.6)
    assert found.input.size == (192, 256)
    assert (found.input.channels, found.input.mean) == ("bgr", (1.0, 2.0, 3.0))
    assert (found.input.std, found.input.scale) == ((4.0, 5.0, 6.5), 0.5)
    assert found.person is not None
    assert (found.person.min_score, found.person.label, found.person.input.fill) == (0.2, 4, 0)


def test_track_needs_no_second_model(tmp_path: Path) -> None:
    assert configuration.read(write(tmp_path, SIMCC | {"person": "track"})).person is None


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_can_be_read(path: Path) -> None:
    found = configuration.read(path)
    assert found.model.parent == EXAMPLES


def test_examples_say_the_defaults() -> None:
    """rtmpose.yaml spells them out: what it says must be what is so."""
    found = configuration.read(EXAMPLES / "rtmpose.yaml")
    assert found.input == PRESETS["simcc"]
    assert found.person is not None
    assert found.person.input == PRESETS["rtmdet"]
    plain = configuration.DetectorConfiguration(
        found.model, found.layout, found.skeleton, found.name, found.input, person=found.person
    )
    assert found == plain
    layouts = {configuration.read(path).layout for path in EXAMPLES.glob("*.yaml")}
    assert layouts == set(configuration.LAYOUTS)


def without(given: dict, key: str) -> dict:
    return {name: value for name, value in given.items() if name != key}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model: [", "not YAML"),
        ("just words", "keys and values needed, got 'just words'"),
        ("", "keys and values needed, got None"),
        (RTMO | {"skelton": 1}, "unknown key 'skelton'; known: model, layout, skeleton"),
        (without(RTMO, "model"), "model is missing"),
        (without(RTMO, "layout"), "layout is missing"),
        (without(RTMO, "skeleton"), "skeleton is missing"),
        (RTMO | {"layout": "simc"}, "layout: 'simc' is unknown; known: simcc, heatmap, rtmo"),
        (RTMO | {"skeleton": "coco18"}, "unknown skeleton 'coco18'; known: body13"),
        (RTMO | {"model": 7}, "model: text needed, got 7"),
        (RTMO | {"min_score": 2}, "min_score: a number from 0 to 1 needed, got 2"),
        (RTMO | {"min_score": "high"}, "min_score: a number from 0 to 1 needed, got 'high'"),
        (RTMO | {"min_score": float("nan")}, "min_score: a number"),
        (RTMO | {"max_people": 2.5}, "max_people: a whole number from 1 to 100 needed, got 2.5"),
        (RTMO | {"max_people": True}, "max_people: a whole number"),
        (RTMO | {"input": 640}, "input: keys and values needed"),
        (RTMO | {"input": {"sise": 1}}, "input: unknown key 'sise'; known: size, channels"),
        (RTMO | {"input": {"size": 640}}, "size: a list of 2 needed, got 640"),
        (RTMO | {"input": {"size": [640, 0]}}, "size: a whole number from 8"),
        (RTMO | {"input": {"channels": "gbr"}}, "channels: 'gbr' is unknown; known: rgb, bgr"),
        (RTMO | {"input": {"std": [1, 0, 1]}}, "std: a number from 1e-06"),
        (RTMO | {"person": PERSON}, "person is for the layouts simcc, heatmap, rtmo finds"),
        (RTMO | {"padding": 1.2}, "padding is for the layouts simcc, heatmap"),
        (SIMCC | {"udp": "yes"}, "udp: true or false needed, got 'yes'"),
        (SIMCC | {"padding": 0.5}, "padding: a number from 1 to 4"),
        (without(SIMCC, "person"), "simcc needs a person detector .* or the word track"),
        (SIMCC | {"person": "tracker"}, "needs a person detector .* got 'tracker'"),
        (SIMCC | {"person": without(PERSON, "layout")}, "person: layout is missing"),
        (SIMCC | {"person": PERSON | {"layout": "ssd"}}, "known: rtmdet, yolox, yolo"),
        (SIMCC | {"person": PERSON | {"padding": 1}}, "person: unknown key 'padding'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, content: Any, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(VipeError, match=message) as caught:
        configuration.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(VipeError, match=r"nowhere\.yaml cannot be read: No such file"):
        configuration.read(tmp_path / "nowhere.yaml")
    with pytest.raises(VipeError, match="cannot be read: Is a directory"):
        configuration.read(tmp_path)


def test_without_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "any.yaml"
    with pytest.raises(VipeError, match="PyYAML is needed: pip install PyYAML"):
        configuration.read(path)
