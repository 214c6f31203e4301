# SPDX-License-Identifier: Apache-2.0
"""The whole graph as `hybrid-pose run` starts it: what an operator does to it, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import POSE, STATE_INIT
from hybrid_pose_ros.msg import PoseKeypoints, StateInit

MS = 1_000_000
LIMIT_S = 180.0
"""Four processes that compile, on a machine that does other things, too."""

NODES = ("snn", "ann", "visualizer", "event_driver")


@pytest.fixture
def run(tmp_path: Path, checkpoint: Path) -> Iterator[subprocess.Popen[str]]:
    """`hybrid-pose run` in namespace /lab on a simulation at a fifth of real time."""
    command = [
        sys.executable,
        "-P",
        "-c",
        "import sys; from hybrid_pose_ros.cli.main import main; ",
    ]
    command[-1] += "sys.exit(main(sys.argv[1:]))"
    command += ["run", "--namespace", "lab", "--rate", "0.2", "--model", str(checkpoint)]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT_S)
        print(errors)  # what pytest shows if the test has failed


class Operator:
    """Talks to the nodes of the graph."""

    def __init__(self, bench: Any, run: subprocess.Popen[str]) -> None:
        self.bench, self.run = bench, run
        self.poses: list[PoseKeypoints] = []
        bench.probe.create_subscription(
            PoseKeypoints, "/lab/pose", self.poses.append, profile(POSE.offered)
        )

    def call(self, name: str, kind: Any, request: Any) -> Any:
        client = self.bench.probe.create_client(kind, name)
        self.bench.until(client.service_is_ready, seconds=LIMIT_S)
        future = client.call_async(request)
        self.bench.until(future.done, seconds=LIMIT_S)
        return future.result()

    def set(self, node: str, **values: Any) -> None:
        parameters = [Parameter(name, value=value) for name, value in values.items()]
        request = SetParameters.Request(parameters=[p.to_parameter_msg() for p in parameters])
        for result in self.call(f"/lab/{node}/set_parameters", SetParameters, request).results:
            assert result.successful, result.reason

    def trigger(self, name: str) -> str:
        answer = self.call(f"/lab/{name}", Trigger, Trigger.Request())
        assert answer.success, answer.message
        return str(answer.message)

    def fresh(self, count: int, *, initialised: bool = True) -> list[PoseKeypoints]:
        """Return that many poses that come from now on, initialised ones if wanted."""
        self.poses.clear()

        def have_come() -> bool:
            assert self.run.poll() is None, "the graph has ended"
            return len(self._wanted(initialised)) >= count

        self.bench.until(have_come, seconds=LIMIT_S)
        return self._wanted(initialised)

    def _wanted(self, initialised: bool) -> list[PoseKeypoints]:
        return [pose for pose in self.poses if not initialised or pose.init_age >= 0]


def test_a_graph_is_operated_and_ended_by_ctrl_c(
    bench: Any, run: subprocess.Popen[str], checkpoint: Path
) -> None:
    operator = Operator(bench, run)
    assert operator.fresh(20)[-1].sensor_time > 0

    # twice as many steps, in both nodes
    for node in ("ann", "snn"):
        operator.set(node, step_ms=5.0)
        assert operator.trigger(f"{node}/reload").endswith("@5ms, steps of 5 ms")
    times = [pose.sensor_time for pose in operator.fresh(20)]
    # steps are merged where a core is busy
    assert not (np.diff(times) % (5 * MS)).any() and (np.diff(times) % (10 * MS)).any()

    inits = bench.collect(StateInit, "/lab/state_init", profile(STATE_INIT.offered))
    operator.set("ann", rate_hz=50.0)
    bench.until(lambda: any(init.sensor_time % (100 * MS) for init in inits), seconds=LIMIT_S)
    assert not any(init.sensor_time % (20 * MS) for init in inits)

    # a paused simulation: nothing comes; then it goes on where it was
    pause = SetBool.Request(data=True)
    assert operator.call("/lab/event_driver/pause", SetBool, pause).success

    def values() -> dict[str, str]:
        return dict(json.loads(operator.trigger("snn/statistics"))["values"])

    operator.bench.until(lambda: values()["step ms"] == "5", seconds=LIMIT_S)  # told once a second
    assert values()["model"].endswith("@5ms")
    assert operator.call("/lab/event_driver/pause", SetBool, SetBool.Request()).success
    operator.fresh(5)

    for number in (signal.SIGINT, signal.SIGTERM):  # at once: the same wish
        run.send_signal(number)
    _, errors = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 0
    assert "Traceback" not in errors
    assert not _running(os.environ["ROS_DOMAIN_ID"])


def _running(domain: str) -> list[str]:
    """Processes of nodes in a ROS domain."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes().split(b"\0")
            command = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile, or somebody else's
        if f"ROS_DOMAIN_ID={domain}".encode() in environment and any(
            word.endswith(tuple(f"/lib/hybrid_pose_ros/{node}".encode() for node in NODES))
            for word in command
        ):
            found.append(b" ".join(command).decode())
    return found
