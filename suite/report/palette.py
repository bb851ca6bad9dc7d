"""One colour and one marker per source or objective in figures and on the page, by its name alone."""

from __future__ import annotations

import colorsys
import zlib

# The names the suite was founded on (after Okabe and Ito: told apart by the colour-blind).
SOURCES = {
    "audiopg": ("#0072B2", "o"),
    "recordings": ("#D55E00", "s"),
    "dead_leaves": ("#009E73", "D"),
    "fractals": ("#CC79A7", "^"),
    "statistical": ("#B58900", "v"),
    "stylegan": ("#3A9BD9", "P"),
    "shaders": ("#8C564B", "X"),
    "visual_atoms": ("#6A3D9A", "*"),
    "feature_visualisation": ("#B2182B", "<"),
    "mixture": ("#7A7A2A", ">"),
}
OBJECTIVES = {
    "mae": ("#0072B2", "o"),
    "m2d": ("#009E73", "D"),
    "eat": ("#D55E00", "s"),
    "cat": ("#6A3D9A", "^"),
}
CONTROLS = {
    "untrained": ("#555555", "p"),
    "noise": ("#777777", "h"),
    "mel_statistics": ("#222222", "d"),
}
# For names in neither list: stars, as (points, 1, degrees turned).
OTHER_MARKERS = ((4, 1, 0), (6, 1, 0), (3, 1, 0), (8, 1, 0), (4, 1, 45), (3, 1, 180))


def colour(source: str) -> str:
    """The colour of a source or objective as ``#rrggbb``; an unknown name's hue is of its spelling.

    A label such as ``dead_leaves shape=mixed`` has its source's colour and a marker of its own.
    """
    known = SOURCES | OBJECTIVES | CONTROLS
    family = source.split(" ")[0]
    if source in known or family in SOURCES:
        return known[source if source in known else family][0]
    number = zlib.crc32(source.encode())
    red, green, blue = colorsys.hls_to_rgb(number % 360 / 360, 0.36 + number // 360 % 3 * 0.06, 0.6)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def marker(source: str) -> str | tuple[int, int, int]:
    """The marker of a source or objective, as matplotlib writes it."""
    known = SOURCES | OBJECTIVES | CONTROLS
    if source in known:
        return known[source][1]
    return OTHER_MARKERS[(zlib.crc32(source.encode()) >> 8) % len(OTHER_MARKERS)]
