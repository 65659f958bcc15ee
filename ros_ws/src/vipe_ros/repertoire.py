"""What action_node knows and recognises, changed while the stream goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vipe_msgs.srv import ListExamples

from vipe_core.actions import Recognizer
from vipe_ros.background import Background
from vipe_ros.convert import floats

if TYPE_CHECKING:
    from vipe_ros.node import BaseNode
    from vipe_ros.taught import Taught


class Repertoire:
    """The examples and their recogniser.

    Learning takes its time and the disk too, so both are done beside the callbacks, one change
    after the other; what comes out takes the place of what was there between two images.

    Args:
        node: its report says what is known.
        taught: what to begin with.
        max_gap_s: see :class:`vipe_core.actions.Recognizer`.

    Attributes:
        taught: the examples.
        recognizer: of these.
    """

    def __init__(self, node: BaseNode, taught: Taught, max_gap_s: float) -> None:
        self._node, self._background = node, Background(node)
        self._latest = taught, Recognizer(taught.examples, max_gap_s=max_gap_s)
        self._take()

    async def change(self, work: Callable[[Taught], Taught]) -> Taught:
        """The examples after ``work``, once they are recognised; what it raises is raised."""
        taught = await self._background.run(self._change, work)
        self._take()
        return taught

    async def read_again(self) -> None:
        """Hear what others have done to the examples file; VipeError when it cannot be used."""
        await self.change(lambda now: now.read_again())

    def close(self) -> None:
        """Wait for what is being learned."""
        self._background.close()

    def listing(self) -> ListExamples.Response:
        """What is known."""
        examples = self.taught.examples
        return ListExamples.Response(
            success=True,
            labels=[example.label for example in examples.examples],
            sources=[example.source for example in examples.examples],
            durations=[example.track.duration for example in examples.examples],
            thresholds=floats(self.recognizer.thresholds),
            fingerprint=examples.fingerprint,
            file=str(self.taught.file),
        )

    def _change(self, work: Callable[[Taught], Taught]) -> Taught:
        """In the thread of the background."""
        taught, recognizer = self._latest
        changed = work(taught)
        if changed.learned is not taught.learned:
            recognizer = recognizer.with_examples(changed.examples)
        self._latest = changed, recognizer
        return changed

    def _take(self) -> None:
        """Use the latest, which may hold more than the change that is just told of."""
        self.taught, self.recognizer = self._latest
        examples, thresholds = self.taught.examples, self.recognizer.thresholds
        span = f"{min(thresholds):.2f} to {max(thresholds):.2f}" if len(examples) else "none"
        self._node.report.facts |= {
            "labels": ", ".join(examples.labels),
            "examples": str(len(examples)),
            "thresholds": span,
            "examples file": str(self.taught.file),
        }
