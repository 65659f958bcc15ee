"""View-invariant human pose on arrays: numpy in, numpy out.

The bottom floor of VIPE. It needs numpy and scipy; a model runtime is imported
when a model is loaded. It never imports torch or rclpy.
"""

__version__ = "0.1.0"
