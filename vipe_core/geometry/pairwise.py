"""NP-MPJPE of many pairs at once, in closed form and in tiles that stay in the cache.

The rotation comes from Horn's symmetric 4 x 4 matrix: its largest eigenvalue by Newton's method
on the characteristic polynomial, and the products of the quaternion's elements from the adjugate.
No SVD, except for the rare pair whose best rotation is not unique.

Sources: Horn 1987 (the matrix); Theobald 2005 (its characteristic polynomial); Pr-VIPE,
section 4.1 (the distance).
"""

from __future__ import annotations

import numpy as np

from vipe_core.geometry.normalize import as_float

_TILE = (64, 128)  # pairs; a plane of a tile is 64 kB in float64
_ROWS = 512  # queries of a block of ranked pairs
_NEWTON_STEPS = 30
_TINY = 1e-30
# Product of the eigenvalue's gaps, of bodies of length 1: below it rounding decides the rotation.
_UNIQUE = 1e-7


def pairwise_np_mpjpe(
    targets: np.ndarray,
    sources: np.ndarray,
    target_visible: np.ndarray | None = None,
    source_visible: np.ndarray | None = None,
) -> np.ndarray:
    """NP-MPJPE of every target with every source, without a loop over pairs.

    Args:
        targets: (N, J, 3) already normalised.
        sources: (M, J, 3) already normalised.
        target_visible, source_visible: (N, J) and (M, J); a pair is aligned and compared on
            the joints that both show. None: all.

    Returns:
        (N, M) in the input's type, within 1e-6 of the SVD form. NaN for a pair without a
        common joint.
    """
    targets, sources = as_float(targets), as_float(sources)
    shown = target_visible is not None or source_visible is not None
    first = _Bodies(targets, target_visible if shown else None, shown)
    second = _Bodies(sources, source_visible if shown else None, shown)
    out = np.empty((len(targets), len(sources)), np.result_type(targets, sources))
    for i in range(0, len(targets), _TILE[0]):
        rows = slice(i, i + _TILE[0])
        for j in range(0, len(sources), _TILE[1]):
            columns = slice(j, j + _TILE[1])
            out[rows, columns] = _tile(first, second, rows, columns)
    return out


def ranked_np_mpjpe(targets: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """NP-MPJPE (Q, K) of each target (Q, J, 3) with sources (Q, K, J, 3) of its own.

    Both already normalised; the result is within 1e-6 of the SVD form.
    """
    targets, sources = as_float(targets), as_float(sources)
    out = np.empty(sources.shape[:2], np.result_type(targets, sources))
    for i in range(0, len(targets), _ROWS):
        rows = slice(i, i + _ROWS)
        a, b = targets[rows].astype(np.float64), sources[rows].astype(np.float64)
        a = a - a.mean(axis=-2, keepdims=True)
        b = b - b.mean(axis=-2, keepdims=True)
        s = np.matmul(np.swapaxes(b, -1, -2), a[:, None])  # (q, K, x, y)
        rotation, scale = _alignment(
            np.moveaxis(s, (-2, -1), (0, 1)),
            (a * a).sum(axis=(-2, -1))[:, None],
            (b * b).sum(axis=(-2, -1)),
        )
        plane_a = np.moveaxis(a, (-2, -1), (0, 1))[..., None].astype(np.float32)
        plane_b = np.ascontiguousarray(np.moveaxis(b, (-2, -1), (0, 1)), np.float32)
        out[rows] = _error(plane_a, plane_b, rotation, scale) / a.shape[-2]
    return out


class _Bodies:
    """Joints by plane: float64 (3, N, J) for the sums, float32 (J, 3, N) for the errors."""

    def __init__(self, joints: np.ndarray, visible: np.ndarray | None, masked: bool) -> None:
        joints = joints.astype(np.float64)
        self.weight: np.ndarray | None = None
        if masked:
            shown = np.ones(joints.shape[:2]) if visible is None else np.asarray(visible) > 0.5
            self.weight = shown.astype(np.float64)
            joints = np.where(shown[..., None], joints, 0)
        else:
            joints = joints - joints.mean(axis=1, keepdims=True)
        self.planes = np.ascontiguousarray(np.moveaxis(joints, -1, 0))
        self.squares = (joints * joints).sum(axis=-1)
        self.single = np.ascontiguousarray(np.moveaxis(joints, 0, -1), np.float32)


def _tile(first: _Bodies, second: _Bodies, rows: slice, columns: slice) -> np.ndarray:
    """NP-MPJPE (n, m) of some targets and some sources."""
    a, b = first.planes[:, rows], second.planes[:, columns]
    s = np.matmul(a[None], np.swapaxes(b, -1, -2)[:, None])  # (x, y, n, m)
    plane_a, plane_b = first.single[..., rows, None], second.single[..., None, columns]
    if first.weight is None or second.weight is None:
        spread_a = first.squares[rows].sum(axis=1)[:, None]
        spread_b = second.squares[columns].sum(axis=1)
        rotation, scale = _alignment(s, spread_a, spread_b)
        return _error(plane_a, plane_b, rotation, scale) / a.shape[-1]
    # The same sums over the joints that both show are products of matrices, too.
    w, v = first.weight[rows], second.weight[columns]
    count = w @ v.T
    most = np.maximum(count, 1)
    mean_a, mean_b = a @ v.T / most, w @ np.swapaxes(b, -1, -2) / most
    s -= most * mean_b[:, None] * mean_a[None]
    spread_a = first.squares[rows] @ v.T - most * (mean_a * mean_a).sum(axis=0)
    spread_b = w @ second.squares[columns].T - most * (mean_b * mean_b).sum(axis=0)
    rotation, scale = _alignment(s, np.maximum(spread_a, 0), np.maximum(spread_b, 0))
    shift = mean_a - scale * (rotation * mean_b[:, None]).sum(axis=0)
    weight = w.T[..., None] * v.T[:, None]
    total = _error(plane_a, plane_b, rotation, scale, shift, weight.astype(np.float32))
    return np.where(count > 0, total / most, np.nan)


def _error(
    a: np.ndarray,
    b: np.ndarray,
    rotation: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Sum over the joints of ``|scale * b @ rotation + shift - a|`` (n, m).

    Args:
        a, b: (J, 3, ...) float32 planes that broadcast to (n, m).
        rotation: (3, 3, n, m); ``scale`` (n, m); ``shift`` (3, n, m); ``weight`` (J, n, m).
    """
    turn = (rotation * scale).astype(np.float32)
    moved = None if shift is None else shift.astype(np.float32)
    total = np.zeros(turn.shape[2:], np.float32)
    gap, term, square = (np.empty_like(total) for _ in range(3))
    for j in range(len(a)):
        for y in range(3):
            np.multiply(turn[0, y], b[j, 0], out=gap)
            gap += np.multiply(turn[1, y], b[j, 1], out=term)
            gap += np.multiply(turn[2, y], b[j, 2], out=term)
            if moved is not None:
                gap += moved[y]
            gap -= a[j, y]
            np.multiply(gap, gap, out=square if y == 0 else term)
            if y:
                square += term
        np.sqrt(square, out=square)
        if weight is not None:
            square *= weight[j]
        total += square
    return total


def _alignment(
    s: np.ndarray, spread_a: np.ndarray, spread_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best proper rotation and scale of centred sources b onto centred targets a.

    Args:
        s: (3, 3, n, m) float64 sums over the joints of b_x a_y.
        spread_a, spread_b: sums of squares, broadcasting to (n, m).

    Returns:
        rotation (3, 3, n, m) for rows of points (``b @ rotation``) and scale (n, m).
    """
    # Of bodies of length 1 the top eigenvalue is at most 1, and one tolerance fits all.
    length = np.sqrt(spread_a * spread_b)
    length = np.where(length > _TINY, length, 1)
    s = s / length
    trace = _largest_eigenvalue(s)
    q, gaps = _quaternion_products(s, trace)
    rotation = _rotation(q)
    if (unclear := np.abs(gaps) < _UNIQUE).any():
        rotation[..., unclear] = _rotation_by_svd(s[..., unclear])
        trace[unclear] = (rotation[..., unclear] * s[..., unclear]).sum(axis=(0, 1))
    return rotation, trace * length / np.maximum(spread_b, _TINY)


def _rotation_by_svd(s: np.ndarray) -> np.ndarray:
    """(3, 3, k) one of the best proper rotations for (3, 3, k)."""
    u, _, vt = np.linalg.svd(np.moveaxis(s, -1, 0))
    u[..., -1] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return np.moveaxis(u @ vt, 0, -1)


def _largest_eigenvalue(s: np.ndarray) -> np.ndarray:
    """Top eigenvalue (n, m) of Horn's matrix: Newton from above on x^4 + c2 x^2 + c1 x + c0.

    From above it is monotone, so it cannot overshoot.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = s
    minors = (yy * zz - yz * zy, yz * zx - yx * zz, yx * zy - yy * zx)
    others = (
        *(xz * zy - xy * zz, xx * zz - xz * zx, xy * zx - xx * zy),
        *(xy * yz - xz * yy, xz * yx - xx * yz, xx * yy - xy * yx),
    )
    norm = (s * s).sum(axis=(0, 1))
    c2 = -2 * norm
    c1 = -8 * (xx * minors[0] + xy * minors[1] + xz * minors[2])
    c0 = norm * norm - 4 * sum(m * m for m in (*minors, *others))
    x = np.ones_like(norm)
    for _ in range(_NEWTON_STEPS):
        square = x * x
        slope = (4 * square + 2 * c2) * x + c1
        step = ((square + c2) * square + c1 * x + c0) / np.maximum(slope, _TINY)
        step[slope <= _TINY] = 0
        x -= step
        if np.abs(step).max(initial=0) < 1e-12:
            break
    return x


def _quaternion_products(s: np.ndarray, eigenvalue: np.ndarray) -> tuple[dict, np.ndarray]:
    """Products of two elements of the best unit quaternion, by their names, (n, m) each.

    The adjugate of Horn's matrix less its top eigenvalue is ``gaps * q q'``.

    Returns:
        the products, and ``gaps``: the product of the eigenvalue's distances to the others.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = s
    ww = xx + yy + zz - eigenvalue
    wx, wy, wz = yz - zy, zx - xz, xy - yx
    aa, bb, cc = (d - eigenvalue for d in (xx - yy - zz, yy - xx - zz, zz - xx - yy))
    ab, ac, bc = xy + yx, zx + xz, yz + zy
    # Minors of the upper two rows and of the lower two; the matrix is symmetric.
    u0, u1, u2 = ww * aa - wx * wx, ww * ab - wx * wy, ww * ac - wx * wz
    u3, u4, u5 = wx * ab - aa * wy, wx * ac - aa * wz, wy * ac - ab * wz
    l5, l4, l3 = bb * cc - bc * bc, ab * cc - ac * bc, ab * bc - ac * bb
    l2, l1 = wy * cc - wz * bc, wy * bc - wz * bb
    q = {
        "ww": aa * l5 - ab * l4 + ac * l3,
        "xx": ww * l5 - wy * l2 + wz * l1,
        "yy": wz * u4 - ac * u2 + cc * u0,
        "zz": wy * u3 - ab * u1 + bb * u0,
        "wx": -wx * l5 + wy * l4 - wz * l3,
        "wy": ac * u5 - bc * u4 + cc * u3,
        "wz": -ab * u5 + bb * u4 - bc * u3,
        "xy": -wz * u5 + bc * u2 - cc * u1,
        "xz": wy * u5 - bb * u2 + bc * u1,
        "yz": -wy * u4 + ab * u2 - bc * u0,
    }
    gaps = q["ww"] + q["xx"] + q["yy"] + q["zz"]
    part = 1 / np.where(np.abs(gaps) > _TINY, gaps, 1)
    return {name: value * part for name, value in q.items()}, gaps


def _rotation(q: dict) -> np.ndarray:
    """(3, 3, n, m) of the products of a quaternion's elements."""
    w, x, y, z = (q[name] for name in ("ww", "xx", "yy", "zz"))
    out = np.empty((3, 3, *w.shape))
    out[0, 0], out[1, 1], out[2, 2] = w + x - y - z, w - x + y - z, w - x - y + z
    out[0, 1], out[1, 0] = 2 * (q["xy"] + q["wz"]), 2 * (q["xy"] - q["wz"])
    out[0, 2], out[2, 0] = 2 * (q["xz"] - q["wy"]), 2 * (q["xz"] + q["wy"])
    out[1, 2], out[2, 1] = 2 * (q["yz"] + q["wx"]), 2 * (q["yz"] - q["wx"])
    return out
