"""Run a ROS 2 launch file, also where the ``launch`` package is absent.

    python -m tools.launch_runner launch/demo.launch.py video:=clip.mp4
    python -m tools.launch_runner launch/vipe.launch.py --show-args [--markdown]

Robots have the real ``launch`` and then it is used. ROS from PyPI comes without it; for that
case strict stand-ins of the classes that our launch files use follow below. They take the
arguments of the originals (https://docs.ros.org, launch and launch_ros) and nothing else, so
that a misspelt keyword is a TypeError here too; they check that parameter files and executables
exist; and they start the installed executables as processes. SIGINT and SIGTERM are passed on.

Exit status: 0; 1 when a process failed; 2 when the launch file or its arguments are wrong.
"""

from tools.launch_runner.context import LaunchError
from tools.launch_runner.files import load, real_launch

__all__ = ["LaunchError", "load", "real_launch"]
