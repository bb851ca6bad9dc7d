"""An axis of an ablation: choices with names, values of a key, or a range; and when it applies."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from generators.drawer import UsageError, neighbours

Value = str | int | float

KEYS = ("choices", "values", "word", "low", "high", "log", "default", "where", "grid")


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What is varied: each choice stands for words of the configuration.

    ``choices`` maps a name to the words that it types; it is empty for a range, where ``word`` holds
    ``{}`` for a number from ``low`` to ``high`` (whole, where both are). ``where`` names earlier axes
    and the choices of them under which this one applies: ``{strategy: [block]}``.
    """

    name: str
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    word: str = ""
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    default: Value
    where: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_range(self) -> bool:
        return not self.choices

    @property
    def whole(self) -> bool:
        """Whether a range is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def grid(self) -> tuple[Value, ...]:
        """The choices, the default first."""
        return (self.default, *(name for name in self.choices if name != self.default))

    def words(self, value: Value) -> list[str]:
        """What ``value`` types."""
        if self.is_range:
            return [spoken(self.word, value)]
        return list(self.choices[str(value)])

    def applies(self, params: Mapping[str, Value]) -> bool:
        """Whether the earlier axes have what this one asks for."""
        return all(params.get(name) in values for name, values in self.where.items())

    def plain(self) -> dict[str, Any]:
        """The axis as plain values, for a study's file."""
        values: dict[str, Any] = {"default": self.default}
        if self.is_range:
            values |= {"word": self.word, "low": self.low, "high": self.high, "log": self.log}
        else:
            values |= {"choices": {name: list(words) for name, words in self.choices.items()}}
        if self.where:
            values |= {"where": {name: list(found) for name, found in self.where.items()}}
        return values

    def check_design(self, design: str) -> None:
        """Raise :class:`UsageError` for a range in a grid, which has no cells there."""
        if design == "grid" and self.is_range:
            raise UsageError(
                f"axis {self.name!r} is a range, which a grid cannot fill. Type "
                f"ablation.axes.{self.name}.values=[...], or ablation.design=search."
            )

    def check_where(self, earlier: Sequence[Axis]) -> None:
        """Raise :class:`UsageError` where this axis waits for what no earlier one has."""
        known = {axis.name: axis for axis in earlier}
        for name, values in self.where.items():
            if name not in known:
                near = neighbours(name, list(known))
                raise UsageError(f"axis {self.name!r} waits for {name!r}, no axis before it.{near}")
            for value in values:
                if value not in known[name].choices:
                    near = neighbours(value, list(known[name].choices))
                    raise UsageError(f"axis {name!r} has no choice {value!r}.{near}")


def axis_of(name: str, values: Any) -> Axis:
    """An axis from its YAML; raises :class:`UsageError` naming what is malformed."""
    where = f"axis {name!r}"
    if not isinstance(values, dict):
        raise UsageError(f"{where}: expected keys, {', '.join(KEYS[:-1])}.")
    for key in values:
        if key not in KEYS:
            raise UsageError(f"{where} has no key {key!r}.{neighbours(key, list(KEYS))}")
    conditions = {
        str(axis): tuple(map(str, found if isinstance(found, (list, tuple)) else [found]))
        for axis, found in values.get("where", {}).items()
    }
    if "low" in values or "high" in values:
        return range_of(name, values, conditions)
    choices = choices_of(name, values)
    default = str(values.get("default", next(iter(choices))))
    if default not in choices:
        near = neighbours(default, list(choices))
        raise UsageError(f"{where}: its default {default!r} is none of its choices.{near}")
    return Axis(name=name, choices=choices, default=default, where=conditions)


def choices_of(name: str, values: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The choices of an axis by their names: spelt out, or ``values`` put into ``word``."""
    if "choices" in values:
        spelt = values["choices"]
        if not isinstance(spelt, dict) or not spelt:
            raise UsageError(f"axis {name!r}: expected choices such as {{no saw: source.saw=0}}.")
        return {str(label): tuple(shlex.split(str(line or ""))) for label, line in spelt.items()}
    listed = values.get("values")
    if not isinstance(listed, (list, tuple)) or not listed:
        raise UsageError(
            f"axis {name!r} has neither choices, nor values, nor low and high. Type for example "
            f"ablation.axes.{name}.values=[0.6,0.75]."
        )
    return {str(value): (spoken(word_of(name, values), value),) for value in listed}


def range_of(name: str, values: dict[str, Any], conditions: dict[str, tuple[str, ...]]) -> Axis:
    """An axis of numbers."""
    where, bounds = f"axis {name!r}", [values.get("low"), values.get("high")]
    if not all(isinstance(b, (int, float)) and not isinstance(b, bool) for b in bounds):
        raise UsageError(f"{where}: expected numbers for low and high, not {bounds}.")
    low, high = bounds
    assert low is not None
    assert high is not None
    if not low < high or (values.get("log") and low <= 0):
        raise UsageError(f"{where}: low={low} must be below high={high}, and above 0 where log=true.")
    if "default" not in values:
        raise UsageError(f"{where} is a range and needs a default, with which others are compared.")
    default = values["default"]
    if not isinstance(default, (int, float)) or not low <= default <= high:
        raise UsageError(f"{where}: its default {default!r} is not from {low} to {high}.")
    return Axis(
        name=name,
        word=word_of(name, values),
        low=low,
        high=high,
        log=bool(values.get("log", False)),
        default=default,
        where=conditions,
    )


def word_of(name: str, values: dict[str, Any]) -> str:
    """The word that a value is put into."""
    word = values.get("word")
    if not isinstance(word, str) or word.count("{}") != 1:
        raise UsageError(
            f"axis {name!r}: expected a word with {{}} where its value goes, such as "
            "'masking.ratio={}'."
        )
    return word


def spoken(word: str, value: Any) -> str:
    """``word`` with its ``{}`` replaced; other braces, as of a mixture, stay."""
    return word.replace("{}", format(value, ".6g") if isinstance(value, float) else str(value))
