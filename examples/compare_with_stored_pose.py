"""Store a pose once, then tell how alike everybody's pose is to it, from any side.

    python examples/compare_with_stored_pose.py --store tree.npz --countdown 3
    python examples/compare_with_stored_pose.py --with tree.npz warrior.npz

The best match of anybody with any stored pose goes out on `similarity` (std_msgs/Float32, 0.05 to
0.95, NaN while nobody is there), that of people's mirror images on `similarity_mirrored`. What
`vipe embed` wrote may be given as well.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from std_msgs.msg import Float32
from vipe_msgs.msg import Embeddings

from vipe_core import embedding_file, files, skeletons
from vipe_core.embedding import likelihood_match_probability
from vipe_core.embedding_file import EmbeddingFile
from vipe_core.errors import VipeError

SEEN = 0.5  # visibility from which on a joint is certain


class Store(Node):
    """Waits for one person of whom all is seen, and writes the file."""

    def __init__(self, path: Path, countdown: float) -> None:
        super().__init__("store_pose")
        files.check_writable(path)
        self.path, self.countdown, self.since = path, countdown, None
        self.said, self.done = "", False
        self.create_subscription(Embeddings, "embeddings", self.on_embeddings, 1)
        self.get_logger().info(f"waiting for people on {self.resolve_topic_name('embeddings')}")

    def on_embeddings(self, message: Embeddings) -> None:
        self.since = self.since or time.monotonic()
        left = self.since + self.countdown - time.monotonic()
        doubt = f"{math.ceil(left)} s left" if left > 0 else what_hinders(message)
        if doubt and doubt != self.said:
            self.get_logger().info(doubt)
        self.said = doubt
        if not doubt:
            embedding_file.write(self.path, pose_file(message))
            self.get_logger().info(f"stored {self.path}")
            self.done = True


class Compare(Node):
    """Publishes how alike the people in view are to the stored poses."""

    done = False

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__("compare_with_stored_pose")
        self.poses = {str(path): embedding_file.read(path) for path in paths}
        topics = ("similarity", "similarity_mirrored")
        self.outputs = [self.create_publisher(Float32, topic, 5) for topic in topics]
        self.create_subscription(Embeddings, "embeddings", self.on_embeddings, 1)
        self.get_logger().info(f"comparing with {', '.join(self.poses)}")

    def on_embeddings(self, message: Embeddings) -> None:
        best, said = np.full(2, np.nan), []
        for name, pose in self.poses.items():
            check_same_model(name, pose, message)
            for person in message.bodies:
                as_is = alike(pose, person.mean, person.variance)
                mirrored = alike(pose, person.mirror_mean, person.mirror_variance)
                best = np.fmax(best, (as_is, mirrored))  # over NaN
                who = f"person {person.track_id} as in {name}"
                said.append(f"{who}: {as_is:.2f}, mirrored {mirrored:.2f}")
        for publisher, value in zip(self.outputs, best, strict=True):
            publisher.publish(Float32(data=float(value)))
        self.get_logger().info("; ".join(said) or "nobody in view", throttle_duration_sec=0.5)


def what_hinders(message: Embeddings) -> str:
    """Why this is no pose to store; empty when it is one."""
    bodies = list(message.bodies)
    if len(bodies) != 1:
        return f"{len(bodies)} people in view: one is needed"
    names, seen = skeletons.get("body13").joints, np.array(bodies[0].visibility)
    hidden = [names[joint] for joint in np.flatnonzero(seen < SEEN)]
    return f"not seen well: {', '.join(hidden)}" if hidden else ""


def pose_file(message: Embeddings) -> EmbeddingFile:
    return EmbeddingFile(
        mean=np.array([person.mean for person in message.bodies]),
        variance=np.array([person.variance for person in message.bodies]),
        skeleton="body13",  # of Embedding.visibility
        model=f"{message.model} {message.model_version}",
        fingerprint=message.fingerprint,
        sigmoid_a=message.sigmoid_a,
        sigmoid_b=message.sigmoid_b,
    )


def check_same_model(name: str, pose: EmbeddingFile, message: Embeddings) -> None:
    if pose.fingerprint != message.fingerprint:
        raise VipeError(
            f"{name} is of model {pose.model} ({pose.fingerprint}), vipe_node runs {message.model} "
            f"{message.model_version} ({message.fingerprint}), and two models' embeddings cannot "
            "be compared: store the pose again, or give vipe_node that model"
        )


def alike(pose: EmbeddingFile, mean: Sequence[float], variance: Sequence[float]) -> float:
    """Match probability with the best row of a file; NaN where a model has no mirror output."""
    if not len(mean):
        return np.nan
    own = np.array(mean), np.array(variance)
    rows, odds = pose.rows(), (pose.sigmoid_a, pose.sigmoid_b)
    return float(np.nanmax(likelihood_match_probability(*own, *rows, *odds)))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--store", type=Path, metavar="POSE.npz", help="file to write")
    what.add_argument("--with", type=Path, nargs="+", dest="poses", metavar="POSE.npz")
    parser.add_argument("--countdown", type=float, default=3.0, help="seconds before it stores")
    args = parser.parse_args(remove_ros_args(sys.argv)[1:])
    signals: list[int] = []  # a flag, no exception: that might come in the middle of a message
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda number, _: signals.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = Store(args.store, args.countdown) if args.store else Compare(args.poses)
        while not (signals or node.done):
            rclpy.spin_once(node, timeout_sec=0.1)
    except VipeError as error:
        print(f"compare_with_stored_pose: {error}", file=sys.stderr)
        return 2
    finally:
        rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
