"""Real nodes in processes of their own, against the least that ROS 2 in Python can do.

A message goes from this process to a node and its outputs come back: the round trip is what
is timed. The baseline is a node that only sends the same message back. Both wait in the same
run, and messages go to the one and the other in turn.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import robot
from benchmarks.backends import CPU
from benchmarks.timing import Row, clock
from vipe_core import model_file, runtime
from vipe_core.errors import VipeError

RATE_HZ = 30.0
MESSAGES = 450  # to each, at camera rate: fifteen seconds
FLAT_OUT = 1500
CROWD, CROWD_SECONDS = 10, 10.0
STARTS = 5
AIM_MEDIAN, AIM_P99, AIM_BODIES_PER_S = 1.7, 2.0, 1500.0
AIM_IMAGE, AIM_START_S = 1.15, 2.0
IMAGES = 150


def rows(path: Path) -> Iterator[Row | str]:
    """Every row of the nodes, or why there is none."""
    if why := robot.lacking():
        yield f"nodes: skipped, {why}"
        return
    yield from start_rows(path)
    yield from keypoint_rows(path)
    yield from image_rows(path)


@dataclass
class Loop:
    """A topic to a node, and how many messages must come back for each that goes there."""

    publish: Callable[[Any], None]
    answers: int
    came: list[float] = field(default_factory=list)

    def trip(self, talker: robot.Talker, message: Any) -> float:
        """Seconds from publishing to the last answer; NaN when it was lost."""
        self.came.clear()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        start = time.perf_counter()
        self.publish(message)
        while len(self.came) < self.answers:
            talker.spin(0.2)
            if time.perf_counter() - start > 1.0:
                return float("nan")
        return self.came[self.answers - 1] - start

    def arrive(self, _: Any) -> None:
        """An answer is here."""
        self.came.append(time.perf_counter())


def keypoint_rows(path: Path) -> Iterator[Row | str]:
    """Keypoints to embedding and 3D pose, for one person and for ten."""
    given = {"model": path.resolve(), "backend": CPU}
    with (
        robot.running("vipe_ros.vipe_node", given) as process,
        robot.running("benchmarks.echo_node") as bare,
        robot.Talker() as talker,
    ):
        one, crowd = people_message(path, 1), people_message(path, CROWD)
        ours, echo = vipe_loop(talker), echo_loop(talker)
        for loop, who in ((ours, process), (echo, bare)):
            talker.until(lambda loop=loop: loop.trip(talker, one) > 0, "answer", who)
        yield from _paced(talker, ours, echo, one, path)
        yield from _flat_out(talker, ours, echo, one, crowd)
        yield _crowd(talker, ours, crowd)
    given["threads"] = 2
    with robot.running("vipe_ros.vipe_node", given) as process, robot.Talker() as talker:
        loop = vipe_loop(talker)
        talker.until(lambda: loop.trip(talker, crowd) > 0, "answer", process)
        trips = [loop.trip(talker, crowd) for _ in range(FLAT_OUT // 3)]
        yield _rate(f"{CROWD} people a message, threads 2", CROWD, trips)


def _paced(talker: robot.Talker, ours: Loop, echo: Loop, message: Any, path: Path) -> Iterator[Row]:
    """At camera rate, each in turn a third of a period after the other; the third is the bare
    model in this process, whose weights have left the cache by then as they have in the node."""
    model, check = runtime.load(path, CPU), model_file.read(path).check.first(1)
    trips: list[list[float]] = [[], [], []]
    due = time.perf_counter()
    for number in range(3 * MESSAGES):
        due += 1 / 3 / RATE_HZ
        while (left := due - time.perf_counter()) > 0:
            talker.spin(left)
        which = number % 3
        if which < 2:
            trips[which].append((ours, echo)[which].trip(talker, message))
        else:
            trips[which].append(clock(lambda: model(check.points, check.visibility), 1))
    yield from _percentiles("one person, 30 Hz", trips[0], trips[1])
    name = "of it the model alone"
    yield from _percentiles(name, trips[2], trips[1], aims=(None, None))


def _flat_out(
    talker: robot.Talker, ours: Loop, echo: Loop, one: Any, crowd: Any
) -> Iterator[Row | str]:
    """The next message as soon as the answer is here."""
    for what, message, people in (("one person", one, 1), (f"{CROWD} people", crowd, CROWD)):
        trips: dict[int, list[float]] = {0: [], 1: []}
        for number in range(2 * FLAT_OUT):
            which = number // 50 % 2  # in turns of fifty
            trips[which].append((ours, echo)[which].trip(talker, message))
        yield from _percentiles(f"{what}, flat out", trips[0], trips[1])
        yield _rate(f"{what} a message", people, trips[0])


def _rate(what: str, people: int, trips: list[float]) -> Row:
    rate = people / float(np.nanmean(trips))
    name = f"bodies a second, {what}"
    return Row(name, "aim", rate, AIM_BODIES_PER_S, AIM_BODIES_PER_S / rate, 1.0, "/s")


def _crowd(talker: robot.Talker, ours: Loop, message: Any) -> str:
    """Ten people at camera rate: what is lost on the way."""
    lost, count, due = 0, int(CROWD_SECONDS * RATE_HZ), time.perf_counter()
    for _ in range(count):
        due += 1 / RATE_HZ
        lost += bool(np.isnan(ours.trip(talker, message)))
        while (left := due - time.perf_counter()) > 0:
            talker.spin(left)
    return f"{CROWD} people at {RATE_HZ:.0f} Hz for {CROWD_SECONDS:.0f} s: {lost} of {count} lost"


def _percentiles(
    what: str,
    ours: list[float],
    echo: list[float],
    aims: tuple[float | None, float | None] = (AIM_MEDIAN, AIM_P99),
) -> Iterator[Row]:
    for name, share, aim in zip(("median", "p99"), (50, 99), aims, strict=True):
        mine, bare = (1e3 * float(np.nanpercentile(t, share)) for t in (ours, echo))
        yield Row(f"{what}: {name}", "an echo of the message", mine, bare, mine / bare, aim)


def start_rows(path: Path) -> Iterator[Row | str]:
    """From the start of the process to its first output."""
    given = {"model": path.resolve(), "backend": CPU}
    ours = [_start(path, "vipe_ros.vipe_node", given, vipe_loop) for _ in range(STARTS)]
    bare = [_start(path, "benchmarks.echo_node", {}, echo_loop) for _ in range(STARTS)]
    mine, base = float(np.median(ours)), float(np.median(bare))
    yield Row("start to first output", "aim", mine, AIM_START_S, mine / AIM_START_S, 1.0, "s")
    yield Row("start to first output", "a bare rclpy node", mine, base, mine / base, None, "s")


def _start(
    path: Path, module: str, given: dict[str, object], connect: Callable[[robot.Talker], Loop]
) -> float:
    """Seconds to the first answer; a message goes out every few milliseconds."""
    message = people_message(path, 1)
    with robot.Talker() as talker:
        loop = connect(talker)
        start = time.perf_counter()
        with robot.running(module, given) as process:
            while len(loop.came) < loop.answers:
                if process.poll() is not None or time.perf_counter() - start > robot.LIMIT_S:
                    raise VipeError(f"bench: {module} does not run here; see its output above")
                loop.publish(message)
                talker.spin(0.01)
            return loop.came[0] - start


def image_rows(path: Path) -> Iterator[Row | str]:
    """Image to outputs through two nodes, against the detector alone in this process."""
    try:
        images = _images()
    except (VipeError, ModuleNotFoundError) as error:
        yield f"image to outputs: skipped, {error}"
        return
    from sensor_msgs.msg import Image

    from vipe_core.detectors import BlazePose
    from vipe_ros import image as images_of

    given = {"model": path.resolve(), "backend": CPU}
    reliable = {"input_reliability": "reliable", "input_depth": 5}
    with (
        robot.running("vipe_ros.keypoints_node", reliable, profile=True) as camera,
        robot.running("vipe_ros.vipe_node", given | reliable, profile=True),
        robot.Talker(profile=True) as talker,
    ):
        loop = vipe_loop(talker)
        loop.publish = talker.node.create_publisher(Image, "image", 5).publish
        messages = [images_of.from_bgr(pixels) for pixels in images]
        detector = BlazePose()

        first = messages[0]
        talker.until(lambda: loop.trip(talker, first) > 0, "answer to an image", camera)
        ours, alone = [], []
        for pixels, message in zip(images, messages, strict=True):
            ours.append(loop.trip(talker, message))
            alone.append(clock(lambda pixels=pixels: detector(pixels), 1))
        mine, base = (1e3 * float(np.nanmedian(times)) for times in (ours, alone))
        yield Row("image to outputs", "the detector alone", mine, base, mine / base, AIM_IMAGE)
        mine = 1e3 * _stream(talker, loop, messages)
        yield Row("an image of a stream", "the detector alone", mine, base, mine / base, AIM_IMAGE)


def _stream(talker: robot.Talker, loop: Loop, messages: list[Any]) -> float:
    """Seconds per image when the next one always waits: nodes work side by side."""
    loop.came.clear()
    sent, waiting = 0, 2
    start = time.perf_counter()
    while len(loop.came) < loop.answers * len(messages):
        done = len(loop.came) // loop.answers
        while sent < min(done + waiting, len(messages)):
            messages[sent].header.stamp.sec, messages[sent].header.stamp.nanosec = divmod(
                time.time_ns(), 10**9
            )
            loop.publish(messages[sent])
            sent += 1
        talker.spin(0.2)
        if time.perf_counter() - start > robot.LIMIT_S:
            raise VipeError("bench: images were lost on the way")
    return (time.perf_counter() - start) / len(messages)


def _images() -> list[np.ndarray]:
    """Frames of the demo's video, 640 pixels wide."""
    import cv2

    from vipe_core import assets

    capture = cv2.VideoCapture(str(assets.path("demo.mp4")))
    found = []
    while len(found) < IMAGES:
        success, pixels = capture.read()
        if not success:
            break
        height = round(pixels.shape[0] * 640 / pixels.shape[1])
        found.append(cv2.resize(pixels, (640, height), interpolation=cv2.INTER_AREA))
    if not found:
        raise VipeError("the demo's video cannot be read")
    return found


def vipe_loop(talker: robot.Talker) -> Loop:
    """Keypoints to vipe_node, embeddings and poses back."""
    from vipe_msgs.msg import Bodies2D, Bodies3D, Embeddings

    loop = Loop(talker.node.create_publisher(Bodies2D, "bodies_2d", 5).publish, answers=2)
    talker.node.create_subscription(Embeddings, "embeddings", loop.arrive, 5)
    talker.node.create_subscription(Bodies3D, "bodies_3d", loop.arrive, 5)
    return loop


def echo_loop(talker: robot.Talker) -> Loop:
    from vipe_msgs.msg import Bodies2D

    loop = Loop(talker.node.create_publisher(Bodies2D, "echo_in", 5).publish, answers=1)
    talker.node.create_subscription(Bodies2D, "echo_out", loop.arrive, 5)
    return loop


def people_message(path: Path, people: int) -> Any:
    """People side by side, in the poses that the model file brings along."""
    from vipe_msgs.msg import Bodies2D, Body2D

    model = model_file.read(path)
    shift = 300 * np.arange(people, dtype=np.float32)[:, None] * [1, 0]
    points = model.check.points[:people] + shift[:, None].astype(np.float32)
    bodies = [
        Body2D(
            track_id=f"p{number}",
            score=1.0,
            points=array("f", points[number].tobytes()),
            visibility=array("f", model.check.visibility[number].tobytes()),
        )
        for number in range(people)
    ]
    return Bodies2D(skeleton=model.metadata.skeleton_2d, bodies=bodies)
