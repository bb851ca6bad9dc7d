"""Plain values, as YAML and JSON hold them, as settings of the right types."""

from __future__ import annotations

import typing
from typing import Any

from generators.drawer import UsageError, conforms, spelt


def tupled(value: Any) -> Any:
    """YAML's lists as tuples, so that equal settings compare and hash equal."""
    if isinstance(value, dict):
        return {key: tupled(item) for key, item in value.items()}
    return tuple(tupled(item) for item in value) if isinstance(value, (list, tuple)) else value


def typed(settings: type[Any], values: dict[str, Any], where: str) -> Any:
    """``settings(**values)``, with a UsageError for a value of the wrong type."""
    hints = typing.get_type_hints(settings)
    values = {key: tupled(value) for key, value in values.items()}
    for key, value in values.items():
        if not conforms(value, hints[key]):
            raise UsageError(f"{where}.{key}={value!r}: expected {spelt(hints[key])}.")
        if hints[key] in (float, float | None) and value is not None:
            values[key] = float(value)  # 1 and 1.0 are one experiment
    return settings(**values)
