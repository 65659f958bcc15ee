"""A stand-in for TensorRT and the CUDA runtime, held to the real Python bindings.

    with installed(tmp_path, version="10.3.0") as env:
        import tensorrt                       # the stand-in, with the names of 10.3.0
        subprocess.run([...], env=os.environ | env)

``bindings`` has the real packages imported by a child process, which writes down what names,
signatures and enum values they have; ``strict`` makes a module of exactly those names;
``tensorrt_stand_in`` and ``cuda_stand_in`` say what the names do, with onnxruntime as the GPU.
"""
