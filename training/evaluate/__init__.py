"""Measuring models: cross-view retrieval and lifting on rendered motion capture."""
