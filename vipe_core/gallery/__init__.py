"""Poses seen, and how to find them again."""

from vipe_core.gallery.appender import Appender
from vipe_core.gallery.exact import nearest
from vipe_core.gallery.rows import Filter, Found, Origin, Rows
from vipe_core.gallery.table import Gallery

__all__ = ["Appender", "Filter", "Found", "Gallery", "Origin", "Rows", "nearest"]
