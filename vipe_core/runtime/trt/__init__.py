"""TensorRT: engines built on the robot, kept in a cache, checked, and run.

Two libraries with one API: classic ``tensorrt`` (JetPack and servers, 8.6 to 11) and
``tensorrt_rtx`` (RTX boards; compiles without a GPU). What this package uses of them exists in
every version; the few differences are in :mod:`.network`. Nothing here is imported from NVIDIA
until an engine is asked for.

====================  ================================================================
:mod:`.host`          is TensorRT here, which version, which GPU
:mod:`.options`       what an engine is built with
:mod:`.network`       ONNX to plan (runs in :mod:`.worker`, a process of its own)
:mod:`.cache`         where plans lie, under which name, and what is known of them
:mod:`.build`         one engine built, checked and put into the cache
:mod:`.engine`        a plan at work: contexts, buffers, CUDA graphs (:mod:`.cuda`)
:mod:`.backend`       all of it behind :func:`vipe_core.runtime.load`
====================  ================================================================
"""
