"""Formulas of the experiments, as functions of arrays."""
