"""The table of visible keypoints."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.training import data_sets
from vipe_core.cli import main
from vipe_core.errors import VipeError
from vipe_core.skeletons import BODY13, COCO17
from vipe_training.datasets import visibility


def test_patterns_are_numbers_with_a_bit_per_keypoint():
    visible = np.random.default_rng(0).random((50, 13)) < 0.5
    naive = [sum(2**j for j in range(13) if row[j]) for row in visible]
    np.testing.assert_array_equal(visibility.pattern(visible), naive)
    np.testing.assert_array_equal(visibility.points_of(np.array(naive)), visible)


def test_the_verb_counts_a_coco_file_and_its_cache_alike(tmp_path, capsys):
    source = data_sets.coco(tmp_path) / "annotations" / "person_keypoints_val2017.json"
    cache, first, second = (str(tmp_path / name) for name in ("coco.vipe", "a.npz", "b.npz"))
    assert main(["data", "visibility", str(source), first]) == 0
    told = capsys.readouterr().out
    assert "2 people, 2 patterns, all 13 points visible in 50.0 %" in told
    assert main(["data", "prepare", "coco", str(source), cache]) == 0
    assert main(["data", "visibility", cache, second]) == 0
    counts = visibility.read_table(tmp_path / "a.npz")
    np.testing.assert_array_equal(counts, visibility.read_table(tmp_path / "b.npz"))
    without = 8191 - (1 << BODY13.index("nose")) - (1 << BODY13.index("left_wrist"))
    assert {int(i): int(counts[i]) for i in np.flatnonzero(counts)} == {8191: 1, without: 1}


def test_more_people_than_a_block(tmp_path):
    person = np.ones((17, 3), int)
    person[:, 2] = 2
    person[COCO17.index("left_ankle"), 2] = 0
    people = [{"iscrowd": 0, "keypoints": person.ravel().tolist()}] * 5000
    (tmp_path / "x.json").write_text(json.dumps({"annotations": people}))
    counts = visibility.count(tmp_path / "x.json")
    assert counts[8191 - (1 << BODY13.index("left_ankle"))] == counts.sum() == 5000


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"counts": np.ones(100, int)}, "no counts of 8192 patterns"),
        ({"counts": np.ones(8192)}, "no counts of 8192 patterns"),
        ({"counts": np.zeros(8192, int)}, "counts nobody"),
        ({"joints": np.array(COCO17.joints)}, "its joints are not those of body13"),
    ],
)
def test_a_table_that_is_none(changes, match, tmp_path):
    visibility.write_table(tmp_path / "t.npz", np.ones(8192, int), "test")
    with np.load(tmp_path / "t.npz") as file:
        fields = dict(file)
    np.savez(tmp_path / "t.npz", **{**fields, **changes})
    with pytest.raises(VipeError, match=match):
        visibility.read_table(tmp_path / "t.npz")


def test_nobody_to_count(tmp_path):
    (tmp_path / "x.json").write_text('{"annotations": []}')
    with pytest.raises(VipeError, match="nobody in it"):
        visibility.count(tmp_path / "x.json")
