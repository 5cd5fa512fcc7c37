"""A run's course so far, short enough to be sent to a browser again and again."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Points of a curve at most; when there are more, every two become one.
POINTS = 400


class History:
    """Means of what a run reports, over ever longer stretches of steps. May be used from any thread.

    Args:
        names: of the values.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._lock = threading.Lock()
        self._points: list[Array] = []
        self._stretch = 1
        self._sums, self._counts = self._empty()

    def add(self, step: int, **values: float | None) -> None:
        """Notes a step's values; None where there is none."""
        row = np.array([step, *(np.nan if values[name] is None else values[name] for name in self._names)], np.float64)
        known = ~np.isnan(row)
        with self._lock:
            self._sums[known] += row[known]
            self._counts[known] += 1
            if self._counts[0] < self._stretch:
                return
            self._points.append(self._mean())
            self._sums, self._counts = self._empty()
            if len(self._points) > POINTS:
                self._halve()

    def curve(self, name: str) -> tuple[Array, Array]:
        """Steps and values, of equal length; without the stretches in which there was no value."""
        with self._lock:
            points = np.array(self._points).reshape(-1, 1 + len(self._names))
        values = points[:, 1 + self._names.index(name)]
        known = ~np.isnan(values)
        return points[known, 0], values[known]

    def _empty(self) -> tuple[Array, Array]:
        return np.zeros(1 + len(self._names)), np.zeros(1 + len(self._names))

    def _mean(self) -> Array:
        with np.errstate(invalid="ignore"):
            return self._sums / self._counts

    def _halve(self) -> None:
        even = len(self._points) // 2 * 2
        pairs = np.array(self._points[:even]).reshape(even // 2, 2, -1)
        known = ~np.isnan(pairs)
        with np.errstate(invalid="ignore"):
            means = np.where(known, pairs, 0).sum(axis=1) / known.sum(axis=1)
        self._points = [*means, *self._points[even:]]
        self._stretch *= 2
