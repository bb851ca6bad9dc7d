"""Synthetic sounds: sources whose samples are waveforms, and the pieces they are made of."""
