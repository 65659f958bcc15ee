"""Scripts of the repository: set-up, checks, and the launch runner."""
