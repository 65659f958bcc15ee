"""Distances between poses: MPJPE, NP-MPJPE, and NP-MPJPE of all pairs in closed form."""

from __future__ import annotations

import numpy as np

from vipe_core.geometry.normalize import as_float
from vipe_core.geometry.procrustes import procrustes

_EPSILON = 1e-12
_NEWTON_STEPS = 30
_BLOCK_PAIRS = 1 << 16


def mpjpe(a: np.ndarray, b: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean per joint position error (...,), in the unit of the input.

    Args:
        a, b: (..., J, D).
        weights: (..., J) non-negative; joints with weight 0 do not count. All-zero
            weights give NaN: an average over nothing is not zero.
    """
    error = np.linalg.norm(as_float(a) - as_float(b), axis=-1)
    if weights is None:
        return error.mean(axis=-1)
    weights = np.broadcast_to(np.asarray(weights, error.dtype), error.shape)
    total = weights.sum(axis=-1)
    mean = (np.where(weights > 0, error, 0) * weights).sum(axis=-1) / np.where(total > 0, total, 1)
    return np.where(total > 0, mean, np.nan).astype(error.dtype)


def np_mpjpe(
    target: np.ndarray, source: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Normalised Procrustes-aligned MPJPE (...,): Pr-VIPE's distance between two poses.

    Args:
        target: (..., J, 3) already normalised (:func:`normalize_3d`).
        source: (..., J, 3) already normalised; it is scaled and rotated to the target,
            so the distance is not symmetric.
        weights: (..., J): 1 for joints visible in both, 0 elsewhere.

    Source: Pr-VIPE, section 4.1 (NP-MPJPE). The unit is the trunk length.
    """
    rotation, scale, translation = procrustes(target, source, weights)
    return mpjpe(target, scale * as_float(source) @ rotation + translation, weights)


def pairwise_np_mpjpe(targets: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """NP-MPJPE of every target with every source, without a loop over pairs.

    The rotation comes from Horn's 4 x 4 matrix: its largest eigenvalue by Newton's
    method on the characteristic polynomial, the quaternion from the adjugate. No SVD.

    Args:
        targets: (N, J, 3) already normalised.
        sources: (M, J, 3) already normalised.

    Returns:
        (N, M), float64 accuracy about 1e-6 of the SVD form, in the input's type.

    Source: Horn 1987; Theobald 2005 (quaternion characteristic polynomial).
    """
    targets, sources = as_float(targets), as_float(sources)
    out = np.empty((len(targets), len(sources)), targets.dtype)
    rows = max(1, _BLOCK_PAIRS // max(1, len(sources)))
    b = sources.astype(np.float64)
    b = b - b.mean(axis=1, keepdims=True)
    for start in range(0, len(targets), rows):
        a = targets[start : start + rows].astype(np.float64)
        out[start : start + rows] = _block(a - a.mean(axis=1, keepdims=True), b)
    return out


def _block(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """NP-MPJPE (N, M) of centred targets (N, J, 3) and centred sources (M, J, 3)."""
    covariance = np.einsum("mjx,njy->nmxy", b, a, optimize=True)
    trace, rotation = horn_rotation(covariance)
    scale = trace / np.maximum((b * b).sum(axis=(1, 2)), _EPSILON)
    aligned = np.einsum("mjx,nmxy->nmjy", b, rotation * scale[..., None, None], optimize=True)
    return np.sqrt(((aligned - a[:, None]) ** 2).sum(axis=-1)).mean(axis=-1)


def horn_rotation(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best proper rotation for covariances ``source.T @ target``.

    Args:
        s: (..., 3, 3).

    Returns:
        trace (...,) of the aligned covariance and rotation (..., 3, 3) for rows of points
        (``source @ rotation``). Degenerate bodies get the identity.
    """
    k = _horn_matrix(s)
    eigenvalue = _largest_eigenvalue(s, k)
    q = _null_vector(k - eigenvalue[..., None, None] * np.eye(4))
    w, x, y, z = np.moveaxis(q, -1, 0)
    rows = (
        (w * w + x * x - y * y - z * z, 2 * (x * y + w * z), 2 * (x * z - w * y)),
        (2 * (x * y - w * z), w * w - x * x + y * y - z * z, 2 * (y * z + w * x)),
        (2 * (x * z + w * y), 2 * (y * z - w * x), w * w - x * x - y * y + z * z),
    )
    return eigenvalue, np.stack([np.stack(row, -1) for row in rows], -2)


def _horn_matrix(s: np.ndarray) -> np.ndarray:
    """Horn's symmetric, traceless 4 x 4 matrix; its top eigenvector is the quaternion."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = np.moveaxis(s, (-2, -1), (0, 1))
    rows = (
        (xx + yy + zz, yz - zy, zx - xz, xy - yx),
        (yz - zy, xx - yy - zz, xy + yx, zx + xz),
        (zx - xz, xy + yx, yy - xx - zz, yz + zy),
        (xy - yx, zx + xz, yz + zy, zz - xx - yy),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _largest_eigenvalue(s: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Newton from above on x^4 + c2 x^2 + c1 x + c0; monotone, so it cannot overshoot."""
    norm = (s * s).sum(axis=(-2, -1))
    c2 = -2 * norm
    c1 = -8 * np.linalg.det(s)
    c0 = np.linalg.det(k)
    x = np.sqrt(3 * norm)  # the nuclear norm is at most sqrt(3) times the Frobenius norm
    for _ in range(_NEWTON_STEPS):
        slope = 4 * x**3 + 2 * c2 * x + c1
        value = ((x * x + c2) * x + c1) * x + c0
        step = np.where(slope > _EPSILON, value / np.maximum(slope, _EPSILON), 0)
        x = x - step
        if np.all(np.abs(step) <= 1e-12 * (np.abs(x) + _EPSILON)):
            break
    return x


def _null_vector(m: np.ndarray) -> np.ndarray:
    """Unit vector (..., 4) in the kernel of singular symmetric matrices (..., 4, 4).

    Every column of the adjugate spans the kernel; the longest is the best conditioned.
    """
    cofactors = np.empty_like(m)
    for i in range(4):
        for j in range(4):
            rows = [r for r in range(4) if r != i]
            cols = [c for c in range(4) if c != j]
            minor = m[..., rows, :][..., cols]
            cofactors[..., j, i] = (-1) ** (i + j) * _det3(minor)
    norms = (cofactors * cofactors).sum(axis=-2)
    best = norms.argmax(axis=-1)
    q = np.take_along_axis(cofactors, best[..., None, None], axis=-1)[..., 0]
    length = np.sqrt((q * q).sum(axis=-1, keepdims=True))
    identity = np.array([1.0, 0, 0, 0])
    return np.where(length > 1e-30, q / np.maximum(length, 1e-30), identity)


def _det3(m: np.ndarray) -> np.ndarray:
    return (
        m[..., 0, 0] * (m[..., 1, 1] * m[..., 2, 2] - m[..., 1, 2] * m[..., 2, 1])
        - m[..., 0, 1] * (m[..., 1, 0] * m[..., 2, 2] - m[..., 1, 2] * m[..., 2, 0])
        + m[..., 0, 2] * (m[..., 1, 0] * m[..., 2, 1] - m[..., 1, 1] * m[..., 2, 0])
    )
