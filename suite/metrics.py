"""Metrics, computed in numpy from stored targets and scores, so that anyone can recompute a result."""
