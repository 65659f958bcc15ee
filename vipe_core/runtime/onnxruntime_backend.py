"""onnxruntime on the CPU: the backend that runs anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vipe_core import model_file


class OnnxRuntimeBackend:
    """One CPU session. ``run`` may be called from several threads at once."""

    name = "onnxruntime-cpu"

    def __init__(self, path: Path, data: bytes, threads: int) -> None:
        """
        Args:
            path: where ``data`` is from, for messages.
            data: content of the model file.
            threads: of the session's own pool; 1 computes in the caller's thread.

        Raises:
            VipeError: onnxruntime is missing, or see :func:`model_file.open_session`.
        """
        options = model_file.import_onnxruntime().SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A pool that spins takes the core from the detector beside it and, when all cores
        # are busy, waits for threads that are not running.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session, self.metadata = model_file.open_session(path, data, options)
        self._outputs = [output.name for output in self.session.get_outputs()]

    def run(self, points: np.ndarray, visibility: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for (N, J, 2) and (N, J), C-contiguous float32."""
        feed = {"keypoints": points, "visibility": visibility}
        values: Any = self.session.run(self._outputs, feed)
        return dict(zip(self._outputs, values, strict=True))
