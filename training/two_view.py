"""Geometry of two views whose relative pose is unknown: essential matrix, triangulation.

Points are in image units (focal length 1, principal point 0), x right, y down. N problems
are solved at once, P correspondences each. A camera sees ``X`` of the first camera's axes
at ``rotation @ X + translation``; the baseline has length 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_TINY = 1e-12
_STEP = 1e-6  # of the numerical derivatives; everything here runs in float64


class TwoViews(NamedTuple):
    """What two views say.

    Attributes:
        rotation, translation: (N, 3, 3) and (N, 3), first camera to second.
        points: (N, P, 3) in the axes of the first camera, baselines.
        in_front: (N,) share of the points that lie in front of both cameras.
        residual: (N,) root mean square distance of the points from their epipolar lines
            (Sampson), image units.
    """

    rotation: Tensor
    translation: Tensor
    points: Tensor
    in_front: Tensor
    residual: Tensor


def reconstruct(a: Tensor, b: Tensor, weight: Tensor, refinements: int = 8) -> TwoViews:
    """Relative pose and points from correspondences.

    Normalised eight-point algorithm, the decomposition that has the most points in front
    of both cameras, then Gauss-Newton steps on the Sampson distances.

    Args:
        a, b: (N, P, 2) points in the two views.
        weight: (N, P), 0 where a correspondence is missing; at least 8 should not be.
        refinements: steps.

    Source: Hartley and Zisserman, Multiple View Geometry, 9.6, 11.2, 11.4.3; Hartley 1997.
    """
    a, b, weight = a.double(), b.double(), weight.double()
    rotations, translations = decompose(essential_matrix(a, b, weight))  # (N, 4, ...)
    front = _in_front(a[:, None], b[:, None], rotations, translations, weight[:, None])
    best = front.argmax(1)
    rows = torch.arange(len(a), device=a.device)
    rotation, translation = rotations[rows, best], translations[rows, best]
    for _ in range(refinements):
        rotation, translation = _refine(a, b, weight, rotation, translation)
    depth, _ = depths(a, b, rotation, translation)
    front = _in_front(a, b, rotation, translation, weight)
    residual = sampson(a, b, cross_matrix(translation) @ rotation)
    total = weight.sum(1).clamp_min(_TINY)
    mean_square = (weight * residual**2).sum(1) / total
    points = depth[..., None] * homogeneous(a)
    return TwoViews(rotation, translation, points, front, mean_square.sqrt())


def essential_matrix(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """(N, 3, 3) with ``b^T E a = 0`` for correspondences a, b (N, P, 2): eight-point."""
    a, to_a = _conditioned(a, weight)
    b, to_b = _conditioned(b, weight)
    rows = (b[..., :, None] * a[..., None, :]).flatten(2) * weight.sqrt()[..., None]  # (N, P, 9)
    _, vectors = torch.linalg.eigh(rows.transpose(1, 2) @ rows)
    e = to_b.transpose(1, 2) @ vectors[:, :, 0].reshape(-1, 3, 3) @ to_a
    u, _, vt = torch.linalg.svd(e)
    return u @ torch.diag(e.new_tensor([1.0, 1.0, 0.0])) @ vt


def decompose(e: Tensor) -> tuple[Tensor, Tensor]:
    """The four rotations (N, 4, 3, 3) and unit translations (N, 4, 3) of essential matrices."""
    u, _, vt = torch.linalg.svd(e)
    u = u * torch.linalg.det(u).sign()[:, None, None]
    vt = vt * torch.linalg.det(vt).sign()[:, None, None]
    turn = e.new_tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    one, two, t = u @ turn @ vt, u @ turn.T @ vt, u[:, :, 2]
    return torch.stack([one, one, two, two], 1), torch.stack([t, -t, t, -t], 1)


def depths(a: Tensor, b: Tensor, rotation: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
    """Depths (..., P) along the rays of both cameras where these come closest.

    The least-squares solution of ``s R a + t = r b`` for the depths s and r; rays that are
    parallel give a point far away.
    """
    ray = homogeneous(a) @ rotation.transpose(-1, -2)  # (..., P, 3), second camera's axes
    other = homogeneous(b)
    t = translation[..., None, :]
    aa, bb, ab = (ray * ray).sum(-1), (other * other).sum(-1), (ray * other).sum(-1)
    at, bt = (ray * t).sum(-1), (other * t).sum(-1)
    determinant = (aa * bb - ab * ab).clamp_min(_TINY)
    return (ab * bt - bb * at) / determinant, (aa * bt - ab * at) / determinant


def sampson(a: Tensor, b: Tensor, e: Tensor) -> Tensor:
    """(..., P) signed first-order distance of correspondences from the constraint of E."""
    a, b = homogeneous(a), homogeneous(b)
    line_b, line_a = a @ e.transpose(-1, -2), b @ e
    slope = (line_b[..., :2] ** 2).sum(-1) + (line_a[..., :2] ** 2).sum(-1)
    return (b * line_b).sum(-1) / slope.clamp_min(_TINY).sqrt()


def homogeneous(points: Tensor) -> Tensor:
    """(..., 3) with a one behind the coordinates (..., 2)."""
    return torch.cat([points, torch.ones_like(points[..., :1])], -1)


def cross_matrix(v: Tensor) -> Tensor:
    """(..., 3, 3) with ``cross_matrix(v) @ x`` the cross product of v and x."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack(r, -1) for r in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    return torch.stack(rows, -2)


def _conditioned(points: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Homogeneous points (N, P, 3) about 0 with mean length sqrt 2, and the transform."""
    share = (weight / weight.sum(1, keepdim=True).clamp_min(_TINY))[..., None]
    centre = (share * points).sum(1)
    length = (share * (points - centre[:, None]).norm(dim=-1, keepdim=True)).sum(1)
    scale = 2**0.5 / length.clamp_min(_TINY)  # (N, 1)
    transform = torch.diag_embed(torch.cat([scale, scale, torch.ones_like(scale)], 1))
    transform[:, :2, 2] = -scale * centre
    return homogeneous(points) @ transform.transpose(1, 2), transform


def _in_front(
    a: Tensor, b: Tensor, rotation: Tensor, translation: Tensor, weight: Tensor
) -> Tensor:
    first, second = depths(a, b, rotation, translation)
    front = ((first > 0) & (second > 0)).to(weight.dtype)
    return (front * weight).sum(-1) / weight.sum(-1).clamp_min(_TINY)


def _refine(
    a: Tensor, b: Tensor, weight: Tensor, rotation: Tensor, translation: Tensor
) -> tuple[Tensor, Tensor]:
    """One damped Gauss-Newton step over the rotation and the direction of the baseline; a
    problem that it does not improve keeps its pose."""
    root = weight.sqrt()

    def error(rotation: Tensor, translation: Tensor) -> Tensor:
        return root * sampson(a, b, cross_matrix(translation) @ rotation)  # (N, P)

    now = error(rotation, translation)
    columns = []
    for k in range(6):
        step = torch.zeros(6, dtype=a.dtype, device=a.device)
        step[k] = _STEP
        moved = error(*_moved(rotation, translation, step.expand(len(a), 6)))
        columns.append((moved - now) / _STEP)
    jacobian = torch.stack(columns, -1)  # (N, P, 6); the length of the baseline moves nothing
    normal = jacobian.transpose(1, 2) @ jacobian
    damping = 1e-4 * normal.diagonal(dim1=1, dim2=2).mean(1) + _TINY
    normal = normal + damping[:, None, None] * torch.eye(6, dtype=a.dtype, device=a.device)
    gradient = (jacobian.transpose(1, 2) @ now[..., None])[..., 0]
    step = -torch.linalg.solve(normal, gradient).clamp(-0.5, 0.5)
    rotated, moved = _moved(rotation, translation, step)
    better = error(rotated, moved).square().sum(1) < now.square().sum(1)
    return (
        torch.where(better[:, None, None], rotated, rotation),
        torch.where(better[:, None], moved, translation),
    )


def _moved(rotation: Tensor, translation: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    turned = torch.linalg.matrix_exp(cross_matrix(step[:, :3])) @ rotation
    shifted = translation + step[:, 3:]
    return turned, shifted / shifted.norm(dim=-1, keepdim=True).clamp_min(_TINY)
