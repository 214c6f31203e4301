# SPDX-License-Identifier: Apache-2.0
"""Event arrays <-> dv-processing's event stores.

dv-processing counts whole microseconds; this package counts ns. To a store time is floored.
"""

from collections import deque

import dv_processing as dv
import numpy as np

from hybrid_pose_ros.events.array import EVENT_DTYPE, EventArray

NS_PER_US = 1000


def from_store(store: dv.EventStore) -> EventArray:
    """Copy a store's events."""
    rows = store.numpy()
    events = np.empty(len(rows), EVENT_DTYPE)
    events["t"] = rows["timestamp"] * NS_PER_US
    events["x"], events["y"], events["polarity"] = rows["x"], rows["y"], rows["polarity"]
    return events


def to_store(events: EventArray) -> dv.EventStore:
    """Copy events into a store; the library's Python interface takes them one by one."""
    rows = events.copy()
    rows["t"] //= NS_PER_US
    store = dv.EventStore()
    deque(map(store.push_back, rows.tolist()), maxlen=0)
    return store
