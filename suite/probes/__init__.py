"""Probes: classifiers on frozen embeddings; one file an entry."""
