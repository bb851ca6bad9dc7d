"""Masks: which patches the encoder sees; one file an entry."""
