"""vipe recognize as a user calls it: the same answer as a stream, on files, a bag and a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli import error_line, vipe
from tests.model_factory import make_model
from vipe_core import assets, cli, keypoint_file, model_file, runtime
from vipe_core.actions import UNKNOWN, Action, Examples, Recognizer, segments
from vipe_core.keypoint_file import KeypointFile

FPS = 30.0


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx", mirror=True)


@pytest.fixture(autouse=True)
def here(model, monkeypatch, tmp_path):
    monkeypatch.setenv("VIPE_MODEL", str(model))
    monkeypatch.chdir(tmp_path)


def way(seed: int, seconds: float, poses: int = 5) -> np.ndarray:
    """(T, 13, 2) pixels through random poses, others for another seed."""
    stops = np.random.default_rng(seed).uniform(100, 400, (poses, 26))
    at = np.linspace(0, poses - 1, round(seconds * FPS))
    columns = [np.interp(at, np.arange(poses), column) for column in stops.T]
    return np.stack(columns, axis=1).reshape(-1, 13, 2)


# Both begin at a step of the recogniser, and end there: this model changes fast.
WAVE, BOW = way(1, 31 / FPS), way(2, 45 / FPS)


def write(path: str, points: np.ndarray, label: str | None = None, **more) -> Path:
    seen = np.isfinite(points).all(-1).astype(np.float32)
    fields = {"fps": FPS, **more}
    keypoint_file.write(path, KeypointFile(points, seen, "body13", label=label, **fields))
    return Path(path)


def two_people() -> np.ndarray:
    """(T, 2, 13, 2): one waves, then bows; the other does something else and leaves, and is
    away for a while."""
    first = np.concatenate([way(7, 1.0), WAVE, way(8, 29 / FPS), BOW, way(9, 1.0)])
    second = way(10, len(first) / FPS, 20)
    second[40:70] = np.nan
    second[130:] = np.nan
    return np.stack([first, second], axis=1)


@pytest.fixture
def examples() -> str:
    write("examples/wave_1.npz", WAVE, "wave")
    write("examples/bow.npz", BOW, "bow")
    return "examples"


def recognize(capsys, *words: object) -> dict[str, Any]:
    """What is in out.json after a call that must succeed and say nothing on stderr."""
    status = cli.main(["recognize", *map(str, words), "out.json"])
    assert (status, capsys.readouterr().err) == (0, "")
    return json.loads(Path("out.json").read_text())


def refused(capsys, *words: object) -> str:
    """The one line of a call that must fail, without the "vipe recognize: " before it."""
    status = cli.main(["recognize", *map(str, words)])
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert not Path("out.json").exists()
    return line.removeprefix("vipe recognize: ")


def streamed(examples: Examples, points: np.ndarray, path: Path, start: float) -> dict[str, Any]:
    """Every action of every person, image by image through the model and the recogniser, as the
    nodes do it live."""
    loaded, recognizer = runtime.load(path), Recognizer(examples)
    said: dict[str, list[Action]] = {}
    for frame, people in enumerate(points.astype(np.float32)):
        there = np.flatnonzero(np.isfinite(people).all((-1, -2)))
        found = loaded(people[there])
        heads = (found.mean, found.variance, found.mirror_mean, found.mirror_variance)
        for row, person in enumerate(there):
            own = (head[row] for head in heads)
            action = recognizer.update(str(person), start + frame / FPS, *own)
            said.setdefault(str(person), []).append(action)
    return said


@pytest.mark.parametrize("start", [0.0, 1.7e9])  # a file's clock, a robot's
def test_the_same_answer_as_the_stream(capsys, examples, model, start):
    points = two_people()
    stamp = start + np.arange(len(points)) / FPS
    write("in.npz", points, stamp=stamp)
    found = recognize(capsys, examples, "in.npz")
    expected = streamed(Examples.from_folder(examples, runtime.load(model)), points, model, start)
    assert [person["body"] for person in found["people"]] == ["0", "1"] == list(expected)
    for person in found["people"]:
        actions = segments(expected[person["body"]])
        assert len(person["actions"]) == len(actions)
        for one, action in zip(person["actions"], actions, strict=True):
            assert (one["label"], one["start"], one["end"]) == (
                action.label,
                pytest.approx(action.start, abs=1e-6),
                pytest.approx(action.end, abs=1e-6),
            )
            assert one["probability"] == pytest.approx(action.probability, abs=1e-4)
            others = [list(other) for other in one["runner_ups"]]
            assert [label for label, _ in others] == list(action.labels[1:])
            assert [p for _, p in others] == pytest.approx(action.probabilities[1:], abs=1e-4)
    assert len(found["people"][0]["actions"]) == 2


def test_what_is_in_the_answer(capsys, examples, model):
    write("in.npz", two_people())
    found = recognize(capsys, examples, "in.npz")
    assert list(found) == ["model", "fingerprint", "source", "begin", "examples", "people"]
    assert found["model"] == "test-model 1.2.3"
    assert found["fingerprint"] == runtime.load(model).fingerprint
    assert (found["source"], found["begin"]) == ("in.npz", 0.0)
    assert found["examples"] == {"bow": 1, "wave": 1}
    first, second = found["people"]
    wave, bow = first["actions"]
    assert (wave["label"], bow["label"]) == ("wave", "bow")
    assert wave["start"] == pytest.approx(1.0, abs=0.15)
    assert wave["end"] == pytest.approx(2.0, abs=0.15)
    assert bow["start"] == pytest.approx(3.0, abs=0.15)
    assert bow["end"] == pytest.approx(4.5, abs=0.15)
    assert (first["first"], first["last"]) == (0.0, pytest.approx(164 / FPS))
    best = max((wave, bow), key=lambda action: action["probability"])
    for name in ("label", "probability", "start", "end"):
        assert first[name] == best[name]
    for action in (wave, bow):
        chances = [action["probability"], *(p for _, p in action["runner_ups"])]
        assert sum(chances) == pytest.approx(1)
        assert chances == sorted(chances, reverse=True)
    assert second["last"] == pytest.approx(129 / FPS)
    assert second["actions"] == []
    assert (second["label"], second["start"], second["end"]) == (UNKNOWN, None, None)
    assert 0.5 < second["probability"] <= 1


def test_the_summary_counts_from_the_beginning(capsys, examples):
    write("in.npz", two_people(), stamp=1.7e9 + np.arange(len(two_people())) / FPS)
    assert cli.main(["recognize", examples, "in.npz", "out.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("0: wave ")
    assert float(lines[0].split()[-4]) == pytest.approx(1.0, abs=0.15)
    assert lines[-1] == "1: unknown"


def test_an_examples_file_gives_the_same_as_the_folder(capsys, examples):
    write("in.npz", two_people())
    by_folder = recognize(capsys, examples, "in.npz")
    assert cli.main(["teach", "taught.npz", examples]) == 0
    capsys.readouterr()
    assert recognize(capsys, "taught.npz", "in.npz") == by_folder


def test_embedding_files_do_too(capsys, examples):
    write("in.npz", two_people())
    assert cli.main(["embed", "in.npz", "embedded.npz"]) == 0
    capsys.readouterr()
    found = recognize(capsys, examples, "embedded.npz")["people"][0]["actions"]
    assert [action["label"] for action in found] == ["wave", "bow"]


def test_threshold(capsys, examples):
    noise = np.random.default_rng(0).normal(0, 1, two_people().shape)
    write("in.npz", two_people() + noise)  # else the match costs nothing at all
    strict = recognize(capsys, examples, "in.npz", "--threshold", "1e-9")
    assert [person["label"] for person in strict["people"]] == [UNKNOWN, UNKNOWN]


def test_a_bag(capsys, examples, model):
    pytest.importorskip("rosbags")
    from tests.bags import bodies_message, write_bag
    from vipe_core.bodies import Bodies2D
    from vipe_core.recordings.messages import BODIES

    points, start = two_people()[:, 0], 1.7e9
    entries = []
    for frame, person in enumerate(points):
        stamp_s = start + frame / FPS
        people = Bodies2D.from_arrays(person[None], track_ids=["ann"], image_size=(640, 480))
        message = bodies_message(people, stamp_s)
        entries.append(("/bodies_2d", BODIES, stamp_s + 0.02, message))
    write_bag(Path("walk_3"), entries)
    found = recognize(capsys, examples, "walk_3")
    (person,) = found["people"]
    assert person["body"] == "ann"
    assert [action["label"] for action in person["actions"]] == ["wave", "bow"]
    assert person["actions"][0]["start"] - found["begin"] == pytest.approx(1.0, abs=0.15)
    assert cli.main(["teach", "taught.npz", "walk_3", "--start", "1", "--end", "1.97"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("walk: 0.97 s, 30 frames of walk_3 from 1 s to 1.97 s\n")


# ---- bad input


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("nowhere", "in.npz"), "examples file nowhere does not exist; make it: vipe teach"),
        (("empty", "in.npz"), "folder empty holds no recording"),
        (("in.npz", "in.npz"), "examples file in.npz: no examples file, or cut off"),
        (("nameless", "in.npz"), "nameless/a.npz: label: missing"),
        (("examples", "none.npz"), "recording none.npz does not exist"),
        (("examples", "nobody.npz"), "nobody.npz: nobody is seen in it"),
        (("examples", "in.npz", "--threshold", "-1"), "threshold is -1.0, a positive number"),
        (("examples", "in.npz", "--threshold", "x"), "argument --threshold: invalid float"),
        (("examples", "in.npz", "--model", "m.onnx"), "model m.onnx does not exist"),
        (("taught.npz", "in.npz", "--model", "other.onnx"), "examples file taught.npz: the exam"),
        (("taught.npz", "taught.npz"), "recording taught.npz: it is an examples file (vipe teach)"),
        (("forgotten.npz", "in.npz"), "examples file forgotten.npz: nothing is taught; vipe teach"),
    ],
)
def test_bad_input(capsys, examples, words, line):
    write("in.npz", two_people())
    write("nobody.npz", np.full((40, 13, 2), np.nan))
    write("nameless/a.npz", WAVE)
    Path("empty").mkdir()
    make_model("other.onnx", version="2")
    assert cli.main(["teach", "taught.npz", examples]) == 0
    assert cli.main(["teach", "forgotten.npz", "examples/bow.npz"]) == 0
    assert cli.main(["teach", "forgotten.npz", "--forget", "bow"]) == 0
    capsys.readouterr()
    said = refused(capsys, *words[:2], "out.json", *words[2:])
    assert said.startswith(line)
    if "other.onnx" in words:
        assert "vipe teach taught.npz --embed-again --model MODEL.onnx" in said


def test_an_output_that_cannot_be_written(capsys, examples):
    write("in.npz", two_people())
    line = refused(capsys, examples, "in.npz", "in.npz/out.json")
    assert line.endswith("in.npz is not a folder")
    assert refused(capsys, examples, "in.npz", "in.npz").endswith("name another file")
    assert refused(capsys, examples, "in.npz", examples).endswith("Is a directory")


def test_the_real_command(examples):
    line = error_line("recognize", Path(examples).absolute(), "nowhere.mp4", "out.json")
    assert line == "vipe recognize: recording nowhere.mp4 does not exist"


def test_help_tells_what_is_in_the_file():
    said = vipe("recognize", "--help").stdout
    for word in ("people", "actions", "runner_ups", "probability", "begin", "example: vipe"):
        assert word in said


# ---- real video, with the model that ships


def test_jumping_jacks_taught_by_files_named_after_them(capsys, monkeypatch):
    cv2 = pytest.importorskip("cv2")
    if not model_file.default_path().exists():
        pytest.skip("no model that ships")
    monkeypatch.delenv("VIPE_MODEL")
    assets.fetch()
    video = cv2.VideoCapture(str(assets.path("demo.mp4")))
    frames = [cv2.resize(video.read()[1], (442, 249)) for _ in range(82)]
    video.release()

    def cut(path: str, first: int, last: int) -> None:
        Path(path).parent.mkdir(exist_ok=True)
        out = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), FPS, (442, 249))
        for frame in frames[first : last + 1]:
            out.write(frame)
        out.release()

    cut("shown/jack_open_1.avi", 6, 24)
    cut("shown/jack_close_1.avi", 26, 41)
    cut("in.avi", 0, 81)
    assert cli.main(["recognize", "shown", "in.avi", "out.json"]) == 0
    (person,) = json.loads(Path("out.json").read_text())["people"]
    spans = [(one["label"], one["start"], one["end"]) for one in person["actions"]]
    assert [label for label, *_ in spans] == ["jack_open", "jack_close", "jack_open", "jack_close"]
    for (_, start, end), first, last in zip(spans, (6, 26, 45, 61), (24, 41, 60, 77), strict=True):
        assert start == pytest.approx(first / FPS, abs=0.2)
        assert end == pytest.approx(last / FPS, abs=0.2)
