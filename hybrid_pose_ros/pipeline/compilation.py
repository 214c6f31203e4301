# SPDX-License-Identifier: Apache-2.0
"""Compiles what Numba compiles, so that no first start waits for it.

Numba keeps the result beside the installed modules. CMakeLists.txt and the Makefile run this
module after they have installed the package.
"""

import numpy as np

from hybrid_pose_ros.events.binning import Step
from hybrid_pose_ros.networks.checkpoint import load_checkpoint
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.simulation.source import SimulatorSource


def compile_kernels() -> None:
    """Run one step of the engine and one batch of the simulator (about 10 s of CPU time)."""
    checkpoint = load_checkpoint()
    view = checkpoint.config.view
    silence = np.zeros((2, view.grid_height, view.grid_width), np.uint16)
    snn = SnnEstimator(checkpoint, view.fit(view.view_width, view.view_height))
    snn.step(Step(index=0, counts=silence, events=0))
    SimulatorSource("walking", 0.01, 0).read()


if __name__ == "__main__":
    compile_kernels()
