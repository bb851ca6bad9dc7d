"""Real recordings as sources: lists of files, and the cache of their decoded sound."""
