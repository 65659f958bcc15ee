"""Protocols against hand-computed cases; the oracle finds everything, chance finds chance."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bodies import random_people
from vipe_core.errors import VipeError
from vipe_core.geometry import normalize_3d, np_mpjpe, stature, to_body_frame
from vipe_core.skeletons import BODY13, JOINTS17
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import EmbeddingCoder, LiftingCoder
from vipe_training.evaluate.lifting import evaluate_lifting
from vipe_training.evaluate.retrieval import (
    TARGETED,
    aligned_keypoints,
    evaluate_retrieval,
    hit_after_discarding,
    hit_at_k,
)

CODER = EmbeddingCoder(lambda points, visibility: (points, visibility))


def test_selected_poses_are_apart_and_reproducible():
    people = np.concatenate([random_people(30), random_people(30)])  # every pose twice
    chosen = protocol.select_poses(people, 100)
    assert len(chosen) == 30
    normal = normalize_3d(people[chosen], "joints17")[:, protocol.VOTING]
    for i in range(30):
        assert all(np_mpjpe(normal[i], normal[j]) >= 0.02 for j in range(30) if i != j)
    np.testing.assert_array_equal(chosen, protocol.select_poses(people, 100))
    assert len(protocol.select_poses(people, 7)) == 7
    with pytest.raises(VipeError, match="no pose"):
        protocol.select_poses(people[:0], 5)


def test_views_are_where_they_say():
    for view in protocol.novel8(3):
        assert abs(view.elevation) <= 30
        assert abs(view.roll) <= 15
        camera = view.camera()
        position = -camera.rotation.T @ camera.translation
        assert np.linalg.norm(position) == pytest.approx(4)
        assert np.degrees(np.arcsin(position[1] / 4)) == pytest.approx(view.elevation)
        azimuth = np.degrees(np.arctan2(position[0], position[2]))
        assert azimuth == pytest.approx(view.azimuth, abs=1e-6)


def test_noise_is_a_share_of_the_longest_torso_distance():
    people = random_people(300)
    clean = protocol.render(people, protocol.chest4())
    noisy = protocol.render(people, protocol.chest4(), noise=0.02)
    torso = clean[
        ..., BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip"), :
    ]
    longest = np.linalg.norm(torso[..., :, None, :] - torso[..., None, :, :], axis=-1).max((-2, -1))
    error = (noisy - clean) / longest[..., None, None]
    assert error.std() == pytest.approx(0.02, rel=0.02)


def test_the_head_top_does_not_vote():
    people = random_people(2)
    people[1] = people[0]
    people[1, JOINTS17.index("head")] += 0.5
    assert protocol.match_matrix(people).all()


def test_hit_at_k_on_a_hand_made_case():
    zero = np.zeros((3, 1))
    queries = [(np.array([[0.0], [10], [20]]), zero)] * 2
    index = [(np.array([[1.0], [2], [19]]), zero)] * 2
    # Pose 1 (at 10) ranks: 1 (8 away), 2 (9), 0 (9, later by its row): found first.
    curve = hit_at_k(CODER, queries, index, np.eye(3, dtype=bool))
    np.testing.assert_allclose(curve, [100, 100, 100])
    # Pose 0 is now nearest to index row 1: found second.
    index = [(np.array([[2.0], [1], [19]]), zero)] * 2
    curve = hit_at_k(CODER, queries, index, np.eye(3, dtype=bool))
    np.testing.assert_allclose(curve, [100 / 3, 100, 100], atol=1e-9)


def test_oracle_finds_everything_and_chance_finds_chance():
    people = random_people(60)
    matches = protocol.match_matrix(people)
    truth = normalize_3d(people, "joints17").reshape(60, -1)
    rng = np.random.default_rng(0)
    zero = np.zeros_like(truth)
    assert (hit_at_k(CODER, [(truth, zero)] * 3, [(truth, zero)] * 3, matches) == 100).all()
    noise = [(rng.normal(size=truth.shape), zero) for _ in range(12)]
    curve = hit_at_k(CODER, noise, noise, matches)
    assert curve[0] == pytest.approx(100 * matches.mean(), abs=1.5)
    assert (np.diff(curve) >= 0).all()


PROTOCOLS = {"chest4", "chest4+n", "novel8", "novel8+n", "partial", "partial novel8"}


def test_suite_of_an_embedding_that_sees_the_truth():
    people = random_people(40)
    truth = normalize_3d(people, "joints17").reshape(40, -1)

    def embed(points, visibility):
        assert points.shape == (40, 13, 2)
        return truth, np.zeros_like(truth)

    results, discarded = evaluate_retrieval(EmbeddingCoder(embed), people)
    assert set(results) == PROTOCOLS
    assert all(value == 100 for values in results.values() for value in values)
    assert discarded == {"0 %": 100, "10 %": 100, "25 %": 100, "50 %": 100}


def test_suite_of_a_lifter_that_sees_the_truth():
    people = random_people(25)
    turned = people[..., [2, 0, 1]]  # another frame: each pair is aligned
    coder = LiftingCoder(lambda points, visibility: (turned, np.ones((25, 17))))
    results, _ = evaluate_retrieval(coder, people)
    assert set(results) == PROTOCOLS
    assert all(value == 100 for values in results.values() for value in values)


def test_discarding_the_uncertain_helps_who_knows_what_is_uncertain():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(40, 5))
    lost = np.arange(40) < 10  # a quarter of the queries is noise, and says so
    codes = []
    for _ in range(2):
        mean = np.where(lost[:, None], rng.normal(size=truth.shape), truth)
        codes.append((mean, np.where(lost[:, None], 2.0, 0.01) * np.ones_like(truth)))
    kept = hit_after_discarding(CODER, codes, np.eye(40, dtype=bool))
    assert kept["0 %"] < kept["10 %"] < kept["25 %"] == kept["50 %"] == 100


def test_windows_match_when_every_frame_does():
    one, other = random_people(2)
    windows = np.array([[one, one], [one, other], [other, other]])
    expected = [[True, False, False], [False, True, False], [False, False, True]]
    np.testing.assert_array_equal(protocol.match_matrix(windows), expected)


def test_targeted_occlusions_are_ten_and_leave_the_torso():
    assert len(TARGETED) == 10
    torso = set(BODY13.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip", "nose"))
    for hidden in TARGETED.values():
        assert len(hidden) in (2, 4)
        assert not torso & set(hidden)


def test_aligned_keypoints_find_the_same_view():
    results = aligned_keypoints(random_people(25))
    assert set(results) == {"chest4", "novel8+n"}
    assert 0 < results["chest4"][0] <= results["chest4"][3] <= 100


class TestLifting:
    def test_perfect_lifting(self):
        people = random_people(20)
        truth = to_body_frame(people, "joints17") / stature(people)[:, None, None]
        scores = evaluate_lifting(lambda p, v: (truth, np.full((20, 17), 0.1)), people)
        assert scores["mpjpe"] == pytest.approx(0, abs=1e-6)
        assert scores["coverage50"] == 100
        assert scores["mean_pose"] > 50

    def test_known_error_and_calibrated_spread(self):
        people = random_people(200)
        tall = stature(people)[:, None, None]
        truth = to_body_frame(people, "joints17") / tall
        rng = np.random.default_rng(0)

        def lift(points, visibility):
            return truth + rng.normal(0, 0.05, truth.shape), np.full(truth.shape[:2], 0.05)

        scores = evaluate_lifting(lift, people)
        # The mean length of a 3D Gaussian is sigma * sqrt(8 / pi).
        expected = 1000 * 0.05 * np.sqrt(8 / np.pi) * tall.mean()
        assert scores["mpjpe"] == pytest.approx(expected, rel=0.02)
        assert scores["coverage50"] == pytest.approx(50, abs=1)
        assert scores["coverage90"] == pytest.approx(90, abs=1)

    def test_wrong_height_costs_what_it_should(self):
        people = random_people(30)
        tall = stature(people)
        truth = to_body_frame(people, "joints17") / tall[:, None, None]
        scores = evaluate_lifting(lambda p, v: (truth, np.ones((30, 17))), people, height=1.7)
        radius = np.linalg.norm(truth, axis=-1).mean(1)
        assert scores["mpjpe"] == pytest.approx(
            1000 * np.mean(np.abs(1.7 - tall) * radius), rel=1e-3
        )
