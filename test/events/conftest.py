# SPDX-License-Identifier: Apache-2.0
import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.binning import GridView


def histogram(view: GridView, events: EventArray) -> NDArray[np.uint16]:
    """Count events per polarity and cell, without a filter."""
    view.check(events)
    counts = np.zeros(view.shape, np.uint16)
    view.count_until(events, 0, np.iinfo(np.int64).max, counts, view.noise_memory(None))
    return counts
