"""The demo's steps, one after the other; see the package's docstring."""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demo.record import Recording
    from vipe_core.runtime import Model

ROOT = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> int:
    """0 when every promise was kept, 1 with one line per broken one, 2 when it could not run."""
    options = _parser().parse_args(argv)
    _prepare_dds()
    from vipe_core.errors import VipeError

    try:
        return _demo(options)
    except (VipeError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Run VIPE on a video.")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo", help="result folder")
    parser.add_argument("--frames", type=_count, default=0, help="only the first frames; 0: all")
    parser.add_argument("--model", type=Path, help="model file; default: the one that ships")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number from 0, not {text!r}")
    return int(text)


def _prepare_dds() -> None:
    """Settings that Fast DDS reads when the first node of a process starts.

    The profile carries large images between processes without loss. A domain of its own keeps
    other ROS programs of the machine out of the demo.
    """
    # Kilted (rclpy 9) warns of the old name, Jazzy (rclpy 7) does not know the new one.
    old = int(version("rclpy").partition(".")[0]) < 8
    name = "FASTRTPS_DEFAULT_PROFILES_FILE" if old else "FASTDDS_DEFAULT_PROFILES_FILE"
    os.environ.setdefault(name, str(ROOT / "config" / "fastdds.xml"))
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))


def _demo(options: argparse.Namespace) -> int:
    from demo import report, show
    from demo.record import write_bag
    from demo.teach import SPANS, first_frames, frame_count, teach, video_rate
    from vipe_core import assets

    assets.fetch(notify=print)
    model = _model(options.model)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    video = assets.path("demo.mp4")
    if options.frames:
        video = first_frames(video, options.frames, out / "video.avi")

    print(f"teaching {', '.join(span.label for span in SPANS)} from the start of {video}")
    teach(video, out / "examples")
    print(f"playing the video through the nodes, with the model {model.path}")
    frames = frame_count(video)
    recording = _play(video, frames, model.path, out / "examples")

    write_bag(recording, out / "bag")
    info = {"name": model.metadata.name, "version": model.metadata.version}
    summary = {"model": info, **report.summarise(recording, video_rate(video))}
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    show.pictures(recording, video, SPANS, out)
    print(f"\n{report.table(summary)}\n\n{out}: summary.json, bag/, skeletons.png, actions.png")
    broken = report.failures(summary, frames)
    for line in broken:
        print(f"demo: {line}", file=sys.stderr)
    return 1 if broken else 0


def _model(path: Path | None) -> Model:
    """The model, loaded once here: what is wrong with it is said before anything starts."""
    from vipe_core import model_file, runtime
    from vipe_core.errors import VipeError

    model = runtime.load(path.resolve() if path else model_file.default_path())
    if not (model.metadata.has_embedding and model.metadata.has_pose):
        raise VipeError(f"model {model.path} cannot both embed and lift; the demo shows both")
    return model


def _play(video: Path, frames: int, model: Path, examples: Path) -> Recording:
    """Run the nodes over the video and record them."""
    from demo.run import WATCHED, record_launch
    from demo.teach import WIDTH

    arguments = {
        "video": video,
        "width": WIDTH,
        "model": model,
        "examples_dir": examples,
        "examples_file": examples.parent / "taught.npz",  # nobody's own
        # The video starts when every node and the recorder are connected.
        "wait_for_topics": f"[{', '.join(WATCHED)}]",
    }
    return record_launch(ROOT / "launch" / "demo.launch.py", arguments, frames)


if __name__ == "__main__":
    sys.exit(main())
