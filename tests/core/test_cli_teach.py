"""vipe teach as a user calls it, on real files and a real (untrained) model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli import error_line, vipe
from tests.model_factory import make_model
from vipe_core import cli, keypoint_file, recordings, runtime
from vipe_core.actions import Examples, examples_file
from vipe_core.keypoint_file import KeypointFile


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "model.onnx", mirror=True)


@pytest.fixture(scope="module")
def other_model(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("other") / "other.onnx", version="2")


@pytest.fixture(autouse=True)
def default_model(model, monkeypatch, tmp_path):
    monkeypatch.setenv("VIPE_MODEL", str(model))
    monkeypatch.chdir(tmp_path)


def clip(
    path: str, label: str | None = "wave", lead: tuple[int, ...] = (31,), seed: int = 0, **more
) -> Path:
    """A keypoint file of 31 frames, a second, unless ``lead``, (T,) or (T, P), says otherwise."""
    first, last = np.random.default_rng(seed).uniform(100, 400, (2, *lead[1:], 13, 2))
    share = np.linspace(0, 1, lead[0]).reshape(-1, *[1] * len(lead[1:]), 1, 1)
    points = first + (last - first) * share
    points[more.pop("without", slice(0))] = np.nan
    fields = {"fps": 30.0, **more}
    keypoint_file.write(
        path, KeypointFile(points, np.ones(points.shape[:-1]), "body13", label=label, **fields)
    )
    return Path(path)


def teach(capsys, *words: object) -> str:
    """stdout of a call that must succeed and say nothing else."""
    status = cli.main(["teach", *map(str, words)])
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    return said.out


def refused(capsys, *words: object) -> str:
    """The one line of a call that must fail, without the "vipe teach: " before it."""
    status = cli.main(["teach", *map(str, words)])
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert line.startswith("vipe teach: ")
    return line.removeprefix("vipe teach: ")


# ---- adding


def test_a_file_is_made_and_grows(capsys):
    said = teach(capsys, "taught.npz", clip("a.npz", "wave"))
    assert said == "wave: 1.00 s, 31 frames of a.npz\ntaught.npz: 1 example of 1 action: wave (1)\n"
    said = teach(capsys, "taught.npz", clip("b.npz", "bow", (46,), seed=1))
    assert said.endswith("taught.npz: 2 examples of 2 actions: wave (1), bow (1)\n")
    found = examples_file.read("taught.npz")
    assert found.labels == ("wave", "bow")
    assert found.model == "test-model 1.2.3"
    assert [len(one.track) for one in found.examples] == [31, 46]
    assert examples_file.read("taught.npz.before").labels == ("wave",)


def test_the_same_as_a_folder_of_examples(capsys, model):
    clip("clips/a.npz", "wave")
    clip("clips/b.npz", "wave", seed=1)
    clip("clips/c.npz", "bow", seed=2, without=slice(4, 9))
    teach(capsys, "taught.npz", "clips")
    found = examples_file.read("taught.npz")
    expected = Examples.from_folder("clips", runtime.load(model))
    assert [e.label for e in found.examples] == ["wave", "wave", "bow"]
    assert (found.fingerprint, found.sigmoid_a) == (expected.fingerprint, expected.sigmoid_a)
    for one, other in zip(found.examples, expected.examples, strict=True):
        np.testing.assert_array_equal(one.track.mean, other.track.mean)
        np.testing.assert_array_equal(one.keypoints.points, other.keypoints.points)


def test_another_label_a_part_and_a_person(capsys):
    clip("a.npz", "wave", (91, 2))
    words = ("--label", "sit", "--start", "1", "--end", "2.5", "--person", "1")
    said = teach(capsys, "taught.npz", "a.npz", *words)
    assert said.startswith("sit: 1.50 s, 46 frames of a.npz from 1 s to 2.5 s\n")
    (one,) = examples_file.read("taught.npz").examples
    assert (one.label, one.source) == ("sit", "a.npz from 1 s to 2.5 s")
    assert (one.track.stamp[0], one.track.stamp[-1]) == (1.0, 2.5)
    points = keypoint_file.read("a.npz").points[30:76, 1]
    np.testing.assert_array_equal(one.keypoints.points, points)


def test_options_may_come_before_the_files(capsys):
    teach(capsys, "--label", "sit", "taught.npz", "--end", "0.5", clip("a.npz"))
    assert examples_file.read("taught.npz").labels == ("sit",)


def test_a_known_label_must_be_meant(capsys):
    teach(capsys, "taught.npz", clip("a.npz", "wave"))
    clip("b.npz", "wave", seed=1)
    line = refused(capsys, "taught.npz", "b.npz")
    assert line.startswith("label 'wave' is taught already (1 example): add one more with")
    assert len(examples_file.read("taught.npz")) == 1
    teach(capsys, "taught.npz", "b.npz", "--another")
    assert len(examples_file.read("taught.npz")) == 2


def test_one_bad_file_and_nothing_is_taught(capsys):
    line = refused(capsys, "taught.npz", clip("a.npz", "wave"), clip("b.npz", "bow", (5,)))
    assert line == "b.npz: 0.13 s long, at least 0.3 s needed"
    assert not examples_file.exists("taught.npz")


def test_spaces_around_a_label_do_not_count(capsys):
    clip("b.npz", " wave\t", seed=1)
    teach(capsys, "taught.npz", clip("a.npz"), "--label", " wave ")
    for words in (("b.npz",), ("b.npz", "--label", "wave "), ("b.npz", "--label", " wave")):
        assert "is taught already (1 example)" in refused(capsys, "taught.npz", *words)
    teach(capsys, "taught.npz", "b.npz", "--another")
    assert [one.label for one in examples_file.read("taught.npz").examples] == ["wave", "wave"]
    said = teach(capsys, "taught.npz", "--forget", "wave ")
    assert said == "taught.npz: nothing is taught\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--start", "2", "--end", "1"), "b.npz: the end is not after the start"),
        (("--label", "wave"), "label 'wave' is taught already (1 example)"),
    ],
)
def test_what_is_refused_before_a_recording_is_opened(capsys, monkeypatch, words, line):
    teach(capsys, "taught.npz", clip("a.npz", "wave"))
    clip("b.npz", "bow")

    def opened(*_, **__):
        raise AssertionError("a recording was opened")

    monkeypatch.setattr(recordings, "open_source", opened)
    assert refused(capsys, "taught.npz", "b.npz", *words).startswith(line)


def test_a_removed_file_begins_anew(capsys):
    teach(capsys, "taught.npz", clip("a.npz", "wave"))
    teach(capsys, "taught.npz", clip("b.npz", "bow", seed=1))
    Path("taught.npz").unlink()
    line = refused(capsys, "taught.npz", "--list")
    assert line.endswith("vipe teach taught.npz FILES; what it once held is in taught.npz.before")
    assert cli.main(["teach", "taught.npz", "b.npz"]) == 0
    said = capsys.readouterr()
    assert said.out.endswith("taught.npz: 1 example of 1 action: bow (1)\n")
    assert said.err == (
        "vipe teach: examples file taught.npz: was removed, begun anew; what it once held is in "
        "taught.npz.before until the next change\n"
    )
    teach(capsys, "taught.npz", clip("c.npz", "sit", seed=2))  # as ever
    assert examples_file.read("taught.npz.before").labels == ("bow",)


def test_an_examples_file_is_no_recording(capsys):
    teach(capsys, "taught.npz", clip("a.npz", "wave"))
    line = refused(capsys, "other.npz", "taught.npz")
    assert line == "recording taught.npz: it is an examples file (vipe teach), not a recording"


@pytest.mark.parametrize(
    ("make", "words", "line"),
    [
        ({"label": None}, (), "a.npz: label: missing, an example needs one (--label)"),
        ({"label": "unknown"}, (), "a.npz: label 'unknown' cannot be taught"),
        ({"label": "unknown "}, (), "a.npz: label 'unknown' cannot be taught"),
        ({}, ("--label", ""), "a.npz: label '' cannot be taught"),
        ({"fps": None}, (), "keypoint file a.npz: neither stamp nor fps says when"),
        ({"without": slice(0, 31)}, (), "a.npz: nobody in view from 0.00 to 1.00 s"),
        ({"lead": (91,), "without": slice(30, 61)}, (), "a.npz: person 0 was out of view from"),
        (
            {"lead": (31, 2)},
            (),
            "a.npz: 2 people in view, say who (track_id, --person): 0 1.0 s, 1 1.0 s",
        ),
        ({"lead": (31, 2)}, ("--person", "7"), "a.npz: '7' was not in view; in view: 0, 1"),
        ({}, ("--start", "0.9"), "a.npz from 0.9 s: 0.10 s long, at least 0.3 s needed"),
        ({}, ("--start", "5"), "a.npz from 5 s: no image came in the time asked for"),
        ({}, ("--end", "5"), "a.npz from 0 s to 5 s: no image from 1.00 to 5.00 s"),
        ({}, ("--start", "2", "--end", "1"), "a.npz: the end is not after the start"),
        ({}, ("--start", "-1"), "argument --start: seconds, 0 or more, not '-1'"),
        ({}, ("--end", "nan"), "argument --end: seconds, 0 or more, not 'nan'"),
        ({}, ("--model", "none.onnx"), "model none.onnx does not exist"),
        ({}, ("b.npz",), "recording b.npz does not exist"),
        ({}, ("--list",), "one thing at a time: FILES, --list, --forget or --embed-again"),
        ({}, ("--example", "0"), "--example goes with --forget"),
        ({}, ("taught.npz",), "cannot write taught.npz: it is the input"),
    ],
)
def test_what_cannot_be_taught(capsys, make, words, line):
    clip("a.npz", **make)
    assert refused(capsys, "taught.npz", "a.npz", *words).startswith(line)
    assert not examples_file.exists("taught.npz")


def test_parts_are_of_one_recording(capsys):
    files = clip("a.npz", "wave"), clip("b.npz", "bow")
    line = refused(capsys, "taught.npz", *files, "--start", "0.5")
    assert line == "--start is for one recording, here are 2"


def test_an_input_is_not_taken_for_the_examples_file(capsys):
    before = clip("a.npz", "wave").read_bytes()
    line = refused(capsys, "a.npz", clip("b.npz", "bow"))
    assert line.startswith("examples file a.npz: no examples file")
    assert Path("a.npz").read_bytes() == before


def test_examples_of_another_model(capsys, other_model):
    teach(capsys, "taught.npz", clip("a.npz", "wave"))
    line = refused(capsys, "taught.npz", clip("b.npz", "bow"), "--model", other_model)
    assert "vipe teach taught.npz --embed-again --model MODEL.onnx" in line


# ---- listing, forgetting, embedding again


@pytest.fixture
def taught(capsys) -> str:
    files = (
        clip("a.npz", "wave"),
        clip("b.npz", "wave", (61,), seed=1),
        clip("c.npz", "bow", seed=2),
    )
    teach(capsys, "taught.npz", *files)
    return "taught.npz"


def test_list(capsys, taught, model):
    lines = teach(capsys, taught, "--list").splitlines()
    assert [line.split() for line in lines[:-1]] == [
        ["label", "example", "seconds", "frames", "keypoints", "source"],
        ["wave", "0", "1.00", "31", "body13", "a.npz"],
        ["wave", "1", "2.00", "61", "body13", "b.npz"],
        ["bow", "0", "1.00", "31", "body13", "c.npz"],
    ]
    fingerprint = runtime.load(model).fingerprint
    said = f"3 examples of 2 actions: wave (2), bow (1), of model test-model 1.2.3 ({fingerprint})"
    assert lines[-1] == said


def test_list_of_names_that_cannot_be_printed(capsys):
    teach(capsys, "taught.npz", clip("a\udce9\x1b[31m.npz"))
    assert "a??[31m.npz" in teach(capsys, "taught.npz", "--list")


def test_forget_an_example_then_a_label(capsys, taught):
    said = teach(capsys, taught, "--forget", "wave", "--example", 0)
    assert said == "taught.npz: 2 examples of 2 actions: wave (1), bow (1)\n"
    assert examples_file.read(taught).examples[0].source == "b.npz"
    teach(capsys, taught, "--forget", "wave")
    said = teach(capsys, taught, "--forget", "bow")
    assert said == "taught.npz: nothing is taught\n"
    assert teach(capsys, taught, "--list").startswith("nothing is taught, of model test-model")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--forget", "sit"), "'sit' was never taught; taught: wave, bow"),
        (("--forget", "wave", "--example", "2"), "'wave' has 2 examples, counted from 0"),
        (("--forget", "wave", "--example", "-1"), "--example: counted from 0, not -1"),
        (("--forget", "wave", "--label", "x"), "--label goes with FILES, not with --forget"),
        (("--list", "--start", "0"), "--start goes with FILES, not with --list"),
        (("--list", "--forget", "wave"), "one thing at a time"),
        ((), "one thing at a time"),
    ],
)
def test_what_cannot_be_asked(capsys, taught, words, line):
    before = Path(taught).read_bytes()
    assert refused(capsys, taught, *words).startswith(line)
    assert Path(taught).read_bytes() == before


@pytest.mark.parametrize("job", [("--list",), ("--forget", "wave"), ("--embed-again",)])
def test_no_examples_file(capsys, job):
    line = refused(capsys, "none.npz", *job)
    assert line == "examples file none.npz does not exist; make it: vipe teach none.npz FILES"


def test_embed_again(capsys, taught, model, other_model):
    said = teach(capsys, taught, "--embed-again", "--model", other_model)
    other = runtime.load(other_model)
    assert said.endswith(f"now of model test-model 2 ({other.fingerprint})\n")
    found = examples_file.read(taught, other.fingerprint)
    first = other(keypoint_file.read("a.npz").points)
    np.testing.assert_allclose(found.examples[0].track.mean, first.mean, atol=1e-6)
    assert examples_file.read("taught.npz.before").fingerprint == runtime.load(model).fingerprint


def test_embed_again_without_keypoints(capsys, taught, other_model):
    vipe_embedded = ("embed", "a.npz", "e.npz")
    assert cli.main([*vipe_embedded]) == 0
    teach(capsys, taught, "e.npz", "--label", "sit")
    line = refused(capsys, taught, "--embed-again", "--model", other_model)
    assert line == "no keypoints were kept of 'sit' (e.npz): forget and teach it again"


def test_a_damaged_file_is_said_and_its_former_state_goes_on(capsys, taught):
    teach(capsys, taught, clip("d.npz", "sit"))
    Path(taught).write_bytes(Path(taught).read_bytes()[:1000])
    status = cli.main(["teach", taught, str(clip("e.npz", "nod"))])
    said = capsys.readouterr()
    assert status == 0
    assert "taking what it held before its last change" in said.err
    assert examples_file.read(taught).labels == ("wave", "bow", "nod")  # sit was the last change


# ---- the command itself


def test_the_real_command(taught):
    done = vipe("teach", Path(taught).absolute(), "--list")
    assert done.returncode == 0
    assert "wave (2), bow (1)" in done.stdout
    shutil.rmtree("clips", ignore_errors=True)
    line = error_line("teach", Path(taught).absolute(), "nowhere.mp4")
    assert line == "vipe teach: recording nowhere.mp4 does not exist"


def test_help_tells_about_labels_and_has_an_example():
    said = vipe("teach", "--help").stdout
    assert 'wave_2.mp4 shows "wave"' in said
    assert "example: vipe teach" in said
