"""embeddings -> actions, by comparison with labelled examples."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from vipe_msgs.msg import Actions, Embeddings

from vipe_core.actions import UNKNOWN, Action, Examples, Recognizer
from vipe_core.errors import VipeError
from vipe_ros import convert, models
from vipe_ros.errors import InputError
from vipe_ros.node import BaseNode
from vipe_ros.parameters import ActionParameters
from vipe_ros.process import run

RECOGNIZER = "dtw"


class ActionNode(BaseNode):
    """Recognises what people do."""

    parameters_type = ActionParameters
    settings: ActionParameters
    _model: Any = None
    _recognizer: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("action_node", **kwargs)

    def configure(self) -> None:
        given = self.settings
        if not given.examples_dir:
            raise VipeError("the parameter examples_dir is empty: give a folder of examples")
        self._model = models.load(given.model, given.backend, self.report)
        if not self._model.metadata.has_embedding:
            raise VipeError(f"model {self._model.path} makes no embeddings; give another one")
        examples = Examples.from_folder(given.examples_dir, self._model)
        self._recognizer = Recognizer(examples, max_gap_s=given.forget_after)
        self._actions = self.add_output(Actions, "actions")
        self.report.facts["labels"] = ", ".join(examples.labels)

    def activate(self) -> None:
        self.add_input(Embeddings, "embeddings", self._on_embeddings)

    def release(self) -> None:
        self._model = self._recognizer = None

    def _on_embeddings(self, message: Embeddings) -> None:
        if message.fingerprint != self._model.fingerprint:
            raise InputError(
                "fingerprint mismatch",
                f"embeddings are of model {message.model} {message.fingerprint}, the examples of "
                f"{self._model.fingerprint}; give both nodes the same model",
            )
        people = convert.embeddings(message, self._model.metadata.embedding_size)
        stamp_s = convert.seconds(message.header.stamp)
        with self.report.timed("recognize"):
            found = [(p.track_id, self._update(p, stamp_s)) for p in people if self._tracked(p)]
        self.report.counts["actions"] += sum(action.label != UNKNOWN for _, action in found)
        out = convert.actions_message(message.header, self._model, RECOGNIZER, found)
        self.publish(self._actions, out)

    def _tracked(self, person: convert.Embedded) -> bool:
        """An action takes time, so a person without an id has none."""
        if not person.track_id:
            self.reject("untracked body", "a body without track id cannot be recognised")
        return bool(person.track_id)

    def _update(self, person: convert.Embedded, stamp_s: float) -> Action:
        return self._recognizer.update(
            person.track_id,
            stamp_s,
            person.mean,
            person.variance,
            person.mirror_mean,
            person.mirror_variance,
        )


def main(args: Sequence[str] | None = None) -> int:
    """The executable."""
    return run(ActionNode, args=args)


if __name__ == "__main__":
    sys.exit(main())
