"""Follow a person at a distance: placed 3D poses in, speeds for the robot's base out.

    python examples/follow_person.py --ros-args -p distance:=1.5 -r cmd_vel:=/base/cmd_vel

Follows the nearest person, or the one with the id `track_id`, and keeps to that person until lost.
The camera looks level and ahead, and vipe_node knows its camera_info. Nothing here sees obstacles:
let the base, or a node between, stop for those, and for a `cmd_vel` that falls silent.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from collections.abc import Iterable

import numpy as np
import rclpy
from geometry_msgs.msg import Twist, Vector3
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from vipe_msgs.msg import Bodies3D, Body3D

LOST_S = 0.5  # out of sight for longer: stop, and look for somebody else
PARAMETERS = {  # default, lowest, highest, meaning; all may be changed while it runs
    "distance": (1.5, 0.3, 10.0, "metres to keep from the person"),
    "max_forward": (0.5, 0.0, 2.0, "m/s"),
    "max_backward": (0.0, 0.0, 2.0, "m/s; 0: never drive where the camera does not look"),
    "max_turn": (1.0, 0.0, 3.0, "rad/s"),
    "forward_gain": (0.8, 0.0, 5.0, "m/s per metre that the person is too far away"),
    "turn_gain": (1.5, 0.0, 5.0, "rad/s per radian that the person is off the middle"),
    "max_std": (1.0, 0.01, 10.0, "metres: speeds fall with the position's std, to 0 at this one"),
}


class FollowPerson(Node):
    def __init__(self) -> None:
        super().__init__("follow_person")
        for name, (default, low, high, meaning) in PARAMETERS.items():
            limits = [FloatingPointRange(from_value=low, to_value=high)]
            about = ParameterDescriptor(description=meaning, floating_point_range=limits)
            self.declare_parameter(name, default, about)
        # Dynamic, since `-p track_id:=7` gives a number.
        about = ParameterDescriptor(
            description="whom to follow; empty: nearest", dynamic_typing=True
        )
        self.declare_parameter("track_id", "", about)
        self.followed, self.seen = "", -math.inf
        self.cmd_vel = self.create_publisher(Twist, "cmd_vel", 1)
        self.create_subscription(Bodies3D, "bodies_3d", self.on_bodies, 1)
        # Steady: a watchdog must not stand still with a simulated clock.
        self.create_timer(0.1, self.watch, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_bodies(self, message: Bodies3D) -> None:
        person = self.choose(message.bodies)
        if person is None:
            return  # for a moment the last speeds hold, then the watchdog stops
        if not is_placed(person):
            self.cmd_vel.publish(Twist())
            return
        if person.track_id != self.followed:
            self.get_logger().info(f"following person {person.track_id}")
        self.followed, self.seen = person.track_id, time.monotonic()
        self.cmd_vel.publish(self.speeds(person))

    def watch(self) -> None:
        """Stop when nobody to follow was placed for too long, also when messages stop."""
        if time.monotonic() - self.seen > LOST_S:
            if self.followed:
                self.get_logger().info(f"lost person {self.followed}: standing still")
            self.followed = ""
            self.cmd_vel.publish(Twist())

    def choose(self, bodies: Iterable[Body3D]) -> Body3D | None:
        """The person asked for, else the one followed so far, else the nearest one placed."""
        wanted = str(self.get_parameter("track_id").value) or self.followed
        if wanted:
            return next((body for body in bodies if body.track_id == wanted), None)
        return min(filter(is_placed, bodies), key=distance_to, default=None)

    def speeds(self, person: Body3D) -> Twist:
        """Camera frame: x right, y down, z ahead. Twist: x ahead, turning left is positive."""
        given = {name: self.get_parameter(name).value for name in PARAMETERS}
        at, distance = person.pose.pose.position, distance_to(person)
        bearing = math.atan2(-at.x, at.z)
        axes = np.array([[at.x, 0, at.z], [at.z, 0, -at.x]]) / distance  # of sight, and across
        covariance = np.reshape(person.pose.covariance, (6, 6))[:3, :3]
        along, across = np.diag(axes @ covariance @ axes.T)
        forward = given["forward_gain"] * (distance - given["distance"]) * math.cos(bearing)
        forward = min(max(forward, -given["max_backward"]), given["max_forward"])
        turn = min(max(given["turn_gain"] * bearing, -given["max_turn"]), given["max_turn"])
        forward *= trust(along, given["max_std"])
        turn *= trust(across, given["max_std"])
        return Twist(linear=Vector3(x=forward), angular=Vector3(z=turn))

    def stop(self) -> None:
        """Stand still, and wait until the base has been told."""
        self.cmd_vel.publish(Twist())
        self.cmd_vel.wait_for_all_acked(Duration(seconds=1))


def is_placed(person: Body3D) -> bool:
    at, covariance = person.pose.pose.position, person.pose.covariance
    known = np.isfinite([at.x, at.y, at.z, *covariance]).all()
    return bool(person.placement and known and at.z > 0)


def distance_to(person: Body3D) -> float:
    """Metres along the floor."""
    return math.hypot(person.pose.pose.position.x, person.pose.pose.position.z)


def trust(variance: float, max_std: float) -> float:
    """1 for a position that is certain, 0 from ``max_std`` on."""
    return max(0.0, 1 - math.sqrt(variance) / max_std) if variance >= 0 else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(remove_ros_args(sys.argv)[1:])
    signals: list[int] = []  # rclpy's own handlers would leave no time to stop the robot
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda number, _: signals.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = FollowPerson()
    except ParameterException as error:
        print(f"follow_person: {error} (a number is written 2.0)", file=sys.stderr)
        return 2
    try:
        while not signals:
            rclpy.spin_once(node, timeout_sec=0.1)
    finally:
        node.stop()
        rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
