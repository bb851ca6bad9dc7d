"""Synthetic pictures: sources whose samples are seen as log-mel images without ever being heard."""
