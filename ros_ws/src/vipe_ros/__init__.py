"""ROS 2 nodes over vipe_core. Thin: messages in, one call into the core, messages out."""
