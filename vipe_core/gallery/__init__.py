"""Poses seen, and how to find them again."""

from vipe_core.gallery.exact import nearest

__all__ = ["nearest"]
