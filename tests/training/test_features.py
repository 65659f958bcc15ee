"""The network input."""

from __future__ import annotations

import numpy as np
import torch

from tests.bodies import random_people
from vipe_core.geometry import mirror_points, normalize_2d
from vipe_core.skeletons import BODY13
from vipe_training.evaluate.protocol import chest4, render
from vipe_training.features import encode_input, mirror_features

SEEN = torch.ones(40, 13)


def views() -> torch.Tensor:
    return torch.from_numpy(render(random_people(40), chest4()[:1])[0]).float()


def test_complete_bodies_are_normalised_as_the_core_does_it():
    points = views()
    features = encode_input(points, SEEN)
    expected = normalize_2d(points.numpy(), "body13").reshape(40, -1)
    np.testing.assert_allclose(features[:, :26].numpy(), expected, atol=1e-5)
    assert (features[:, 26:] == 1).all()


def test_hidden_points_do_not_matter_whatever_they_say():
    points, visibility = views(), SEEN.clone()
    hidden = BODY13.indices("left_wrist", "right_knee")
    visibility[:, hidden] = 0.1
    before = encode_input(points, visibility)
    points[:, hidden] = 1e6
    torch.testing.assert_close(encode_input(points, visibility), before)
    points[:, hidden] = torch.nan
    torch.testing.assert_close(encode_input(points, visibility), before)
    assert (before.reshape(40, -1)[:, 26:][:, hidden] == 0).all()


def test_position_and_scale_of_the_image_do_not_matter():
    points = views()
    torch.testing.assert_close(
        encode_input(points * 3 + 500, SEEN), encode_input(points, SEEN), atol=1e-4, rtol=0
    )


def test_missing_torso_points_still_give_a_body():
    points = views()
    for missing in (["left_hip"], ["left_hip", "right_hip"], list(BODY13.joints[1:3])):
        holes = points.clone()
        holes[:, BODY13.indices(*missing)] = torch.nan
        features = encode_input(holes, SEEN)
        assert torch.isfinite(features).all()
        assert features[:, :26].abs().amax(1).min() > 0.3


def test_nothing_at_all_is_zero_and_finite():
    nothing = torch.full((2, 13, 2), torch.nan)
    assert (encode_input(nothing, torch.ones(2, 13)) == 0).all()
    one_place = torch.full((2, 13, 2), 7.0)
    assert torch.isfinite(encode_input(one_place, torch.ones(2, 13))).all()


def test_mirrored_features_are_the_features_of_the_mirrored_person():
    points, visibility = views(), SEEN.clone()
    visibility[:, BODY13.index("left_wrist")] = 0
    flipped = torch.from_numpy(mirror_points(points.numpy(), "body13", width=1000))
    torch.testing.assert_close(
        mirror_features(encode_input(points, visibility)),
        encode_input(flipped, visibility[:, list(BODY13.mirror)]),
        atol=1e-4,
        rtol=0,
    )
