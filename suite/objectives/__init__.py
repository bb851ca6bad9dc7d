"""Objectives: what the encoder must predict; one file an entry."""
