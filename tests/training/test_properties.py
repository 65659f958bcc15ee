"""Properties of embeddings against loops, hand-made cases, an oracle and chance."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.bodies import random_people
from vipe_core.errors import VipeError
from vipe_core.geometry import normalize_2d, normalize_3d
from vipe_core.geometry.procrustes import procrustes
from vipe_training.evaluate import protocol
from vipe_training.evaluate.coders import EmbeddingCoder, LiftingCoder
from vipe_training.evaluate.metrics import properties
from vipe_training.evaluate.samples.source import Source
from vipe_training.evaluate.suites import properties as suite
from vipe_training.evaluate.task import Contestant, Task

RNG = np.random.default_rng


def test_principal_axes_agree_with_the_singular_values():
    x = RNG(0).normal(size=(50, 4)) * [1, 5, 2, 3] + 7
    mean, axes, share = properties.principal_axes(x)
    _, s, rows = np.linalg.svd(x - x.mean(0))
    np.testing.assert_allclose(mean, x.mean(0))
    np.testing.assert_allclose(share, s**2 / (s**2).sum())
    np.testing.assert_allclose(np.abs((axes * rows).sum(1)), 1)
    one = properties.principal_axes(x[:, :1])
    np.testing.assert_allclose(one[2], 1)


def test_leading_dimensions_of_a_gaussian():
    rng = RNG(0)
    mean, variance = rng.normal(size=(3, 4)), rng.uniform(0.1, 1, (3, 4))
    axes = np.linalg.qr(rng.normal(size=(4, 4)))[0][:2]
    m, v = properties.leading(mean, variance, axes)
    for i in range(3):
        np.testing.assert_allclose(m[i], axes @ mean[i])
        np.testing.assert_allclose(v[i], np.diag(axes @ np.diag(variance[i]) @ axes.T))


def test_camera_share_of_the_extremes():
    poses, cameras = RNG(0).normal(size=(1, 9, 3)), RNG(1).normal(size=(4, 1, 3))
    assert properties.camera_share(np.repeat(poses, 4, axis=0)) == 0
    assert properties.camera_share(np.repeat(cameras, 9, axis=1)) == pytest.approx(1)


def test_discarding_by_hand():
    right = np.array([True, False, True, True])
    uncertainty = np.array([0.1, 0.9, 0.2, 0.5])
    assert properties.hit_of_kept(right, uncertainty, [0, 25, 100]) == [0.75, 1, 1]


def test_2d_distance_against_a_loop():
    points = protocol.render(random_people(5), protocol.chest4()[:2]).reshape(-1, 13, 2)
    normal = normalize_2d(points, "body13")
    found = properties.pairwise_2d(points[:3], points)
    for i in range(3):
        for j in range(len(points)):
            rotation, scale, shift = procrustes(normal[i], normal[j])
            aligned = scale * normal[j] @ rotation + shift
            expected = np.linalg.norm(normal[i] - aligned, axis=-1).mean()
            assert found[i, j] == pytest.approx(expected, abs=1e-6)


def test_2d_distance_knows_similarities_from_mirrors():
    points = protocol.render(random_people(2), protocol.chest4()[:1])[0]
    turn = np.array([[0.0, -1], [1, 0]])
    found = properties.pairwise_2d(points, 3 * points @ turn + [100, -50])
    np.testing.assert_allclose(np.diag(found), 0, atol=1e-6)
    assert (np.diag(properties.pairwise_2d(points, points * [-1, 1])) > 0.01).all()


def test_look_alikes_by_hand():
    distance = np.array([[0.0, 0.1, 0.3, 0.2], [1, 2, 3, 4], [1, 1, 1, 1]])
    other = np.array([[False, True, True, True], [False, True, False, False], [False] * 4])
    found = properties.look_alikes(distance, other, count=2)
    np.testing.assert_allclose(found, [0.15, 2, np.nan])


def test_rank_correlation():
    a, b = RNG(0).normal(size=(2, 30)).round(1)
    assert properties.rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert properties.rank_correlation(np.arange(5), -np.arange(5)) == pytest.approx(-1)
    assert properties.rank_correlation(np.arange(5), np.ones(5)) is None


def test_reliability_by_hand():
    rows = properties.reliability(
        np.array([0.05, 0.15, 0.95, 0.95, 1.0]), np.array([0, 1, 1, 1, 0]), bins=2
    )
    assert rows == [(2, pytest.approx(0.1), 0.5), (3, pytest.approx(2.9 / 3), pytest.approx(2 / 3))]
    expected = (2 * 0.4 + 3 * 0.3) / 5
    assert properties.calibration_error(rows) == pytest.approx(expected)
    with pytest.raises(VipeError, match="no pair"):
        properties.reliability(np.empty(0), np.empty(0))


def test_a_probability_that_is_true_is_reliable():
    p = RNG(0).uniform(size=40000)
    rows = properties.reliability(p, RNG(1).uniform(size=len(p)) < p)
    assert properties.calibration_error(rows) < 0.02
    assert sum(row[0] for row in rows) == len(p)


def task(*contestants: Contestant, poses: int = 30) -> Task:
    options = argparse.Namespace(dimensions=[1, 2, 99], map_poses=10, clusters=3)
    return Task(list(contestants), Source(), poses=poses, options=options)


def chosen(poses: int = 30) -> np.ndarray:
    return protocol.choose(Source().load(), poses)


def contestant(name: str, coder) -> Contestant:
    return Contestant(name, name, coder)


def test_the_suite_on_an_oracle_and_on_chance(data):
    truth = normalize_3d(chosen(), "joints17").reshape(30, -1).astype(np.float64)
    rng = RNG(0)

    def oracle(points, visibility):
        return truth, np.full(truth.shape, 1e-6)

    def chance(points, visibility):
        return rng.normal(size=(30, 3)), rng.uniform(0.1, 1, (30, 3))

    found = suite.run(
        task(
            contestant("oracle", EmbeddingCoder(oracle, (60.0, 6.0))),
            contestant("chance", EmbeddingCoder(chance)),
        )
    )
    tables = {table.title: table for table in found.tables}
    discarded = next(t for title, t in tables.items() if "without the most" in title).rows
    assert "oracle" not in discarded  # all equally sure: nothing to discard
    assert discarded["chance"][0] < 15
    (dimensions,) = (t for title, t in tables.items() if "leading" in title)
    assert dimensions.columns == ["1 dim", "2 dim", "3 dim", "51 dim"]
    assert dimensions.rows["oracle"] == [100, 100, None, 100]  # equal in every dimension
    assert dimensions.rows["chance"][2] < 15
    assert dimensions.rows["chance"][3] is None
    variance = next(t for title, t in tables.items() if title.startswith("Where the variance"))
    assert variance.rows["oracle"][1] == pytest.approx(0, abs=1e-9)
    assert variance.rows["chance"][1] == pytest.approx(100, abs=20)
    errors = next(t for title, t in tables.items() if title.startswith("Expected")).rows
    assert errors["oracle"][0] < 10
    assert "chance: no confidence, it gives no match probability" in found.skipped
    assert any(line.startswith("oracle: no discarding") for line in found.skipped)


def test_who_does_not_embed_is_measured_where_it_can_be(data):
    lifted = chosen()

    def lift(points, visibility):
        return lifted, RNG(0).uniform(0.1, 1, (30, 17))

    found = suite.run(task(contestant("lifter", LiftingCoder(lift)), Contestant("mute", "mute")))
    assert {plot.title.split(",")[0] for plot in found.plots} == {
        "Hit@1 without the most uncertain queries",
        "Total variance against the ambiguity of the view",
    }
    assert "lifter: no map, it gives no embedding" in found.skipped
    assert "mute: it codes nothing that could be ranked" in found.skipped
    with pytest.raises(VipeError, match="none of the models"):
        suite.run(task(Contestant("mute", "mute")))
