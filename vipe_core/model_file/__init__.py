"""The model file: one ONNX graph with what must be known about it inside.

Inputs ``keypoints`` (N, J, 2) float32 raw pixels (NaN, or beyond 1e8: missing) and ``visibility``
(N, J) float32 in 0..1, J joints of ``skeleton_2d``. Outputs by task, all float32:

========================  ==============================================================
``embedding``             ``mean``, ``variance`` (N, D)
``pose``                  ``joints`` (N, 17, 3), ``std`` (N, 17), body frame, in statures
``embedding+pose``        all four
optional with any         ``mirror_mean`` + ``mirror_variance`` (N, D); for ``pose`` also
                          ``mean`` + ``variance``
========================  ==============================================================

The file's ``metadata_props`` hold the JSON of :class:`vipe_core.model_file.metadata.ModelMetadata`
(key ``vipe``), check vectors (``vipe_check``, :mod:`vipe_core.model_file.check`) and, last of all,
the checksum of everything before it (:mod:`vipe_core.model_file.seal`). Reading needs onnxruntime
only; writing needs the onnx package, which the trainer has and a robot need not have.
"""

from vipe_core.model_file.check import CheckVectors
from vipe_core.model_file.metadata import ModelMetadata
from vipe_core.model_file.reading import (
    MAX_BYTES,
    Opened,
    default_path,
    fingerprint,
    fingerprint_of,
    import_onnxruntime,
    open_session,
    read,
    read_bytes,
    read_metadata,
)
from vipe_core.model_file.writing import write

__all__ = [
    "MAX_BYTES",
    "CheckVectors",
    "ModelMetadata",
    "Opened",
    "default_path",
    "fingerprint",
    "fingerprint_of",
    "import_onnxruntime",
    "open_session",
    "read",
    "read_bytes",
    "read_metadata",
    "write",
]
