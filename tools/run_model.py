"""Run a model file on a made-up clip through the verbs that it is for.

python tools/run_model.py MODEL.onnx OUT.npz
"""

from __future__ import annotations

import sys

import numpy as np

from vipe_core import keypoint_file, model_file
from vipe_core.cli import embed, lift
from vipe_core.keypoint_file import KeypointFile


def main(model: str, out: str) -> int:
    """Embed and lift twelve frames; the answers must be finite."""
    rng = np.random.default_rng(0)
    points = rng.normal(300, 80, (12, 13, 2))
    clip = f"{out.removesuffix('.npz')}.clip.npz"
    keypoint_file.write(clip, KeypointFile(points, np.ones((12, 13)), "body13", fps=25))
    info = model_file.read_metadata(model)
    said = []
    for verb, here, field in (
        (embed, info.has_embedding, "mean"),
        (lift, info.has_pose, "joints"),
    ):
        if here:
            verb.run([clip, out, "--model", model])
            value = np.load(out)[field]
            if not np.isfinite(value).all():
                raise SystemExit(f"{model}: {field} is not finite")
            said.append(f"{field} {value.shape}")
    print(f"{info.name}: {', '.join(said)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
