"""``vipe embed``."""

from __future__ import annotations

from vipe_core import embedding_file
from vipe_core.cli.common import Parser, estimate_file, note_missing
from vipe_core.embedding_file import EmbeddingFile
from vipe_core.errors import VipeError


def run(argv: list[str]) -> int:
    """Embed the poses of a keypoint file, independent of the camera's view.

    OUT holds mean and variance (T, D), or (T, P, D) for a file with P people a frame;
    a row is NaN where the person is missing. It also holds skeleton, model, fingerprint,
    sigmoid_a and sigmoid_b, so that `vipe search` needs no model.
    """
    parser = Parser("embed", run.__doc__, "embed clip.npz clip.embedding.npz")
    parser.add_files("embedding file to write")
    args = parser.parse_args(argv)
    keypoints, model, found, missing = estimate_file(args)
    info = model.metadata
    if found.mean is None or found.variance is None:
        raise VipeError(f"model {model.path} gives no embedding, its task is {info.task!r}")
    content = EmbeddingFile(
        mean=found.mean,
        variance=found.variance,
        skeleton=keypoints.skeleton,
        model=f"{info.name} {info.version}",
        fingerprint=model.fingerprint,
        sigmoid_a=info.sigmoid_a,
        sigmoid_b=info.sigmoid_b,
        fps=keypoints.fps,
        stamp=keypoints.stamp,
        label=keypoints.label,
    )
    embedding_file.write(args.output, content)
    note_missing("embed", missing)
    return 0
