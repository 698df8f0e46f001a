"""Where tracks are expected: a Kalman filter over all tracks at once, in seconds.

Constant velocity on ``cx, cy, w, h`` (Bewley et al. 2016, SORT; Zhang et al. 2022, ByteTrack), with three changes:

* Time is in seconds, because sampling is not regular: the driving noise is white acceleration, whose covariance
  for any step is known in closed form (Bar-Shalom et al., Estimation with Applications, 6.2.2).
* The four axes share one noise, proportional to the size of the box, so their 2 x 2 covariances are equal: three
  numbers for a track instead of an 8 x 8 matrix, and no matrix is inverted.
* The state is that of the last sighting and changes only at sightings; a prediction is a function of the time since
  then. A lost track therefore costs nothing and drifts only so far: its speed dies away.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Columns of the state: centre and size, their speeds, and the shared covariance of (value, speed).
PLACE: Final = slice(0, 4)
SPEED: Final = slice(4, 8)
VAR_PLACE: Final = 8
COVARIANCE: Final = 9
VAR_SPEED: Final = 10
COLUMNS: Final = 11

#: Error of a detector's box edges and centre, as a share of the box's size. ByteTrack's 1/20.
MEASUREMENT: Final = 0.05
#: Density of the acceleration noise, in sizes² per s³. ByteTrack's (size / 160 per picture at 30 pictures a second).
ACCELERATION: Final = 1.05
#: Speed a new track may have, sizes per second (standard deviation). ByteTrack's 10 / 160 per picture at 30 a second.
FIRST_SPEED: Final = 1.9
#: Time constant with which the speed of an unseen object dies away, seconds.
DECAY_S: Final = 0.7


def centres(boxes: Floats) -> Floats:
    """``cx, cy, w, h`` of boxes ``x1, y1, x2, y2``; float64 (n, 4) both."""
    out = np.empty_like(boxes)
    np.add(boxes[:, :2], boxes[:, 2:], out=out[:, :2])
    out[:, :2] *= 0.5
    np.subtract(boxes[:, 2:], boxes[:, :2], out=out[:, 2:])
    return out


def corners(places: Floats) -> Floats:
    """``x1, y1, x2, y2`` of ``cx, cy, w, h``; float64 (n, 4) both."""
    half = places[:, 2:] * 0.5
    out = np.empty_like(places)
    np.subtract(places[:, :2], half, out=out[:, :2])
    np.add(places[:, :2], half, out=out[:, 2:])
    return out


def begin(boxes: Floats) -> Floats:
    """State of objects seen for the first time: float64 (n, 11)."""
    places = centres(boxes)
    state = np.zeros((len(boxes), COLUMNS))
    state[:, PLACE] = places
    variance = (0.5 * (places[:, 2] + places[:, 3])) ** 2
    state[:, VAR_PLACE] = MEASUREMENT**2 * variance
    state[:, VAR_SPEED] = FIRST_SPEED**2 * variance
    return state


def rescale(state: Floats, across: float, down: float) -> None:
    """Give a state, float64 (n, 11), in other pixels, so many times as many across and down; in place."""
    axes = (across, down, across, down)
    state[:, PLACE] *= axes
    state[:, SPEED] *= axes
    state[:, VAR_PLACE:] *= (0.5 * (across + down)) ** 2


def predict(state: Floats, unseen_s: Floats, steady_s: float) -> Floats:
    """State of tracks some time after they were last seen.

    Args:
        state: float64 (n, 11), at the last sighting.
        unseen_s: float64 (n,), seconds since the last sighting, not negative.
        steady_s: for how long an unseen object is taken to keep its speed.

    Returns:
        float64 (n, 11), a new array.
    """
    late_s = np.maximum(unseen_s - steady_s, 0.0)
    decay = np.exp(late_s / -DECAY_S)
    travel_s = unseen_s - late_s + DECAY_S * (1.0 - decay)
    out = np.empty_like(state)
    out[:, PLACE] = state[:, PLACE] + state[:, SPEED] * travel_s[:, None]
    # The size of an unseen object is not extrapolated beyond the steady time, and never shrinks to nothing.
    size_travel_s = np.minimum(unseen_s, steady_s)[:, None]
    size = state[:, 2:4]
    out[:, 2:4] = np.clip(size + state[:, 6:8] * size_travel_s, 0.5 * size, 2.0 * size)
    out[:, SPEED] = state[:, SPEED] * decay[:, None]
    place, both, speed = state[:, VAR_PLACE], state[:, COVARIANCE], state[:, VAR_SPEED]
    noise = ACCELERATION * (0.5 * (size[:, 0] + size[:, 1])) ** 2
    out[:, VAR_PLACE] = place + travel_s * (2.0 * both + travel_s * speed) + noise * unseen_s**3 / 3.0
    out[:, COVARIANCE] = decay * (both + travel_s * speed) + noise * unseen_s**2 / 2.0
    out[:, VAR_SPEED] = decay**2 * speed + noise * unseen_s
    return out


def correct(predicted: Floats, boxes: Floats) -> Floats:
    """State after a sighting.

    Args:
        predicted: float64 (n, 11), from ``predict``.
        boxes: float64 (n, 4), where the objects were seen, ``x1, y1, x2, y2``.

    Returns:
        float64 (n, 11), a new array.
    """
    seen = centres(boxes)
    error = (MEASUREMENT * 0.5 * (seen[:, 2] + seen[:, 3])) ** 2
    place, both, speed = predicted[:, VAR_PLACE], predicted[:, COVARIANCE], predicted[:, VAR_SPEED]
    total = np.maximum(place + error, 1e-12)
    gain, speed_gain = place / total, both / total
    surprise = seen - predicted[:, PLACE]
    out = np.empty_like(predicted)
    out[:, PLACE] = predicted[:, PLACE] + gain[:, None] * surprise
    out[:, SPEED] = predicted[:, SPEED] + speed_gain[:, None] * surprise
    np.maximum(out[:, 2:4], 1e-3, out=out[:, 2:4])
    out[:, VAR_PLACE] = (1.0 - gain) * place
    out[:, COVARIANCE] = (1.0 - gain) * both
    out[:, VAR_SPEED] = np.maximum(speed - speed_gain * both, 0.0)
    return out
