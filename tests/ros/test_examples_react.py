"""examples/react_to_action.py as a user runs it."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from std_msgs.msg import String
from std_srvs.srv import Trigger
from vipe_msgs.msg import Action, Actions

from tests.ros.examples import example
from tests.ros.harness import Peer, Process, header, standing
from vipe_core import runtime
from vipe_core.actions import Example, Examples, Recognizer
from vipe_core.track import Track
from vipe_ros import convert

LABELS = ("wave", "squat", "unknown")


def act(track_id: str, label: str, start: float, end: float, probability: float = 0.9) -> Action:
    known = label != "unknown"
    return Action(
        track_id=track_id,
        label=label,
        probability=probability,
        start=convert.time(start if known else None),
        end=convert.time(end if known else None),
        labels=LABELS,
        probabilities=array("f", [1 / 3] * 3),
    )


@dataclass
class Reactions:
    """A react_to_action for waves, what it published, and how often the service was called."""

    peer: Peer
    process: Process
    publish: Callable[[Actions], None]
    said: list[String]
    calls: list[Trigger.Request] = field(default_factory=list)
    count: int = 0

    def answer(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.calls.append(request)
        response.success, response.message = True, "hello"
        return response

    def of(self, *images: list[Action]) -> list[str]:
        """The reactions to these images; one to a last person in each tells that all came."""
        said, calls = len(self.said), len(self.calls)
        for number, actions in enumerate(images):
            self.count += 1
            last = String(data=f"wave by last{self.count}")
            everybody = [*actions, act(f"last{self.count}", "wave", 10, 11)]
            self.publish(Actions(header=header(number), actions=everybody))
            self.peer.until(lambda last=last: self.said[-1] == last, "reaction to the last")
        found = [message.data for message in self.said[said:]]
        self.peer.until(lambda: len(self.calls) >= calls + len(found), "calls")
        assert len(self.calls) == calls + len(found)
        return [text for text in found if "last" not in text]


@pytest.fixture(scope="module")
def reactions(peer: Peer) -> Reactions:
    said = peer.listen(String, "/react/reaction")
    process = example(
        peer, "react_to_action", space="react", label="wave", threshold=0.7, service="hello"
    )
    publish = peer.talk(Actions, "/react/actions")
    result = Reactions(peer, process, publish, said)
    peer.node.create_service(Trigger, "/react/hello", result.answer)
    while not result.calls:  # until the script has found the service
        count, person = process.said("no service"), f"w{len(said)}"
        publish(Actions(header=header(0), actions=[act(person, "wave", 10, 11)]))
        peer.until(lambda n=count: result.calls or process.said("no service") > n, "reaction")
    peer.until(lambda: len(said) == process.said("wave by person"), "first reactions")
    return result


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([[act("a1", "wave", 10, 11)]] * 5, 1),
        ([[act("a2", "wave", 10, 11 + i)] for i in range(9)], 1),  # a pose that is held
        ([[act("a3", "wave", 10 + i / 30, 11 + i / 30)] for i in range(9)], 1),
        ([[act("a4", "wave", 10, 11, 0.6)], [act("a4", "wave", 10, 11.1, 0.8)]], 1),
        ([[act("a5", "wave", 10, 11, 0.69)]] * 3, 0),
        ([[act("a6", "unknown", 0, 0, 0.99)], [act("a6", "squat", 10, 11, 0.99)]], 0),
        ([[act("a7", "wave", s, s + 1)] for s in (10, 10, 12, 12, 14)], 3),
        ([[act("a8", "wave", s, s + 1)] for s in (50, 10)], 2),  # a recording starts anew
        ([[act("a9", "wave", 10, 11), act("b9", "wave", 10, 11)]] * 2, 2),
    ],
)
def test_reacts_once_to_each_occurrence(
    reactions: Reactions, images: list[list[Action]], expected: int
) -> None:
    found = reactions.of(*images)
    people = {action.track_id for actions in images for action in actions}
    assert len(found) == expected
    assert not expected or set(found) == {f"wave by {person}" for person in people}


def test_many_people_and_says_who_and_when(reactions: Reactions) -> None:
    people = [f"p{i}" for i in range(120)]  # more than it remembers
    images = [[act(p, "wave", 20.5, 21.25) for p in people[i : i + 4]] for i in range(0, 120, 4)]
    images = [image for image in images for _ in range(2)]
    assert reactions.of(*images) == [f"wave by {person}" for person in people]
    assert reactions.process.said("wave by person p7 from 20.50 to 21.25 s, probability 0.90") == 1
    reactions.peer.until(lambda: reactions.process.said("the service says: done. hello"), "answer")


def test_label_and_service_that_nobody_knows(peer: Peer) -> None:
    process = example(peer, "react_to_action", space="lost", label="hop", service="/nobody")
    publish = peer.talk(Actions, "/lost/actions")
    for _ in range(3):
        publish(Actions(header=header(0), actions=[act("1", "hop", 10, 11)]))
    peer.until(lambda: process.said("no service /nobody: is its node running?"), "error")
    assert process.said("nobody taught 'hop' to action_node; it knows: wave, squat") == 1


def wave(count: int = 30) -> np.ndarray:
    """(T, 13, 2) pixels: the left arm goes up and down."""
    lift = np.sin(np.linspace(0, np.pi, count))[:, None]
    points = np.repeat(standing()[None], count, axis=0)
    points[:, 3] += lift * (15, -45)
    points[:, 5] += lift * (25, -110)
    return points


def test_reacts_once_to_each_of_three_waves(reactions: Reactions, model_path: Path) -> None:
    """As the recogniser tells of them: many times, from every image on which a match ends."""
    model, still = runtime.load(model_path), np.repeat(standing()[None], 15, axis=0)

    def track(points: np.ndarray) -> Track:
        return Track(np.arange(len(points)) / 30, *model(points).embedding())

    odds = model.metadata.sigmoid_a, model.metadata.sigmoid_b
    gallery = Examples.from_examples([Example("wave", track(wave()))], *odds)
    recognizer, images, told = Recognizer(gallery), [], 0
    stream = track(np.concatenate([still, wave(), still, wave(), wave(25), still]))
    for stamp, mean, variance in zip(stream.stamp, stream.mean, stream.variance, strict=True):
        action = recognizer.update("W", stamp, mean, variance)
        told += action.label == "wave"
        images.append(convert.actions_message(header(0), model, "dtw", [("W", action)]).actions)
    assert told > 3
    assert reactions.of(*images) == ["wave by W"] * 3
