"""Listen to embeddings: how many people, how alike they are, and a file of what was seen.

    python examples/subscribe_embeddings.py --ago 2 --save seen.emb.npz
    vipe search seen.emb.npz query.emb.npz found.npz

Once a second it says how probably any two people are in the same pose, and each person now and
some time ago. The file is written at the end (Ctrl-C), with a column for each person.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections import deque
from itertools import combinations
from pathlib import Path

import numpy as np
import rclpy
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from vipe_msgs.msg import Embedding, Embeddings

from vipe_core import embedding_file, files
from vipe_core.embedding import likelihood_match_probability
from vipe_core.embedding_file import EmbeddingFile
from vipe_core.errors import VipeError


class Listener(Node):
    def __init__(self, ago: float, every: float, keep: bool) -> None:
        super().__init__("subscribe_embeddings")
        self.ago, self.every, self.keep = ago, every, keep
        self.count = 0
        self.past: deque[Embeddings] = deque()  # what came in the last `ago` seconds
        self.kept: list[Embeddings] = []
        self.create_subscription(Embeddings, "embeddings", self.on_embeddings, 5)
        self.create_timer(every, self.report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_embeddings(self, message: Embeddings) -> None:
        self.count += 1
        if self.past and message.fingerprint != self.past[-1].fingerprint:
            # Embeddings of two models have nothing in common.
            told = f"{self.past[-1].fingerprint} -> {message.fingerprint}"
            self.get_logger().warning(f"another model ({told}): what came before is forgotten")
            self.past.clear()
        if self.past and seconds(message) < seconds(self.past[-1]):
            self.past.clear()  # a recording starts anew
        self.past.append(message)
        while len(self.past) > 1 and seconds(self.past[1]) <= seconds(message) - self.ago:
            self.past.popleft()
        if self.keep and message.fingerprint == (self.kept or [message])[0].fingerprint:
            self.kept.append(message)  # of the first model only

    def report(self) -> None:
        rate, self.count = self.count / self.every, 0
        if not rate:
            topic = self.resolve_topic_name("embeddings")
            print(f"nothing on {topic}: is vipe_node running and its input there?", flush=True)
            return
        now, then = self.past[-1], self.past[0]
        said = [f"{rate:.1f} Hz", f"{len(now.bodies)} people"]
        for a, b in combinations(now.bodies, 2):
            said.append(f"{a.track_id} and {b.track_id}: {alike(now, a, b):.2f}")
        if seconds(then) <= seconds(now) - self.ago:
            before = {body.track_id: body for body in then.bodies if body.track_id}
            for body in now.bodies:
                if body.track_id in before:
                    probability = alike(now, body, before[body.track_id])
                    said.append(f"{body.track_id} and {self.ago:g} s ago: {probability:.2f}")
        print(", ".join(said), flush=True)


def seconds(message: Embeddings) -> float:
    return message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec


def alike(model: Embeddings, a: Embedding, b: Embedding) -> float:
    """How probably two people are in the same pose, 0.05..0.95."""
    mean, variance = np.array([a.mean, b.mean]), np.array([a.variance, b.variance])
    return float(
        likelihood_match_probability(
            mean[0], variance[0], mean[1], variance[1], model.sigmoid_a, model.sigmoid_b
        )
    )


def to_file(messages: list[Embeddings]) -> tuple[EmbeddingFile, list[str]]:
    """An embedding file with an image a row and a person a column, and who has which column."""
    people = [{b.track_id or f"untracked {i}": b for i, b in enumerate(m.bodies)} for m in messages]
    names = list(dict.fromkeys(name for bodies in people for name in bodies))
    if not names:
        raise VipeError("nobody was seen, nothing is saved")
    size = len(next(body for bodies in people for body in bodies.values()).mean)
    mean = np.full((len(messages), len(names), size), np.nan, np.float32)
    variance = mean.copy()
    for row, bodies in enumerate(people):
        for name, body in bodies.items():
            mean[row, names.index(name)] = body.mean
            variance[row, names.index(name)] = body.variance
    said = messages[0]
    content = EmbeddingFile(
        mean=mean,
        variance=variance,
        skeleton="body13",  # of Embedding.visibility
        model=f"{said.model} {said.model_version}",
        fingerprint=said.fingerprint,
        sigmoid_a=said.sigmoid_a,
        sigmoid_b=said.sigmoid_b,
        stamp=np.array([seconds(message) for message in messages]),
    )
    return content, names


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ago", type=float, default=2.0, help="seconds; default %(default)s")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between reports")
    parser.add_argument("--save", type=Path, metavar="FILE.npz", help="embedding file to write")
    args = parser.parse_args(remove_ros_args(sys.argv)[1:])
    signals: list[int] = []  # a flag, no exception: that might come in the middle of a message
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda number, _: signals.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Listener(args.ago, args.every, bool(args.save))
    try:
        if args.save:
            files.check_writable(args.save)
        while not signals:
            rclpy.spin_once(node, timeout_sec=0.1)
        if args.save:
            content, names = to_file(node.kept)
            embedding_file.write(args.save, content)
            print(f"{args.save}: {len(content.mean)} images of {', '.join(names)}")
    except VipeError as error:
        print(f"subscribe_embeddings: {error}", file=sys.stderr)
        return 2
    finally:
        rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
