# SPDX-License-Identifier: Apache-2.0
"""The line of rates of a running graph."""

from hybrid_pose_ros.cli.run_status import status_line
from hybrid_pose_ros.interfaces.diagnostics import NodeReport

DRIVER = NodeReport(0, "ok", {"events per second": "312000"})
SNN = NodeReport(0, "ok", {"poses per second": "99.6", "latency ms, mean / max": "1.20 / 4.00"})
ANN = NodeReport(0, "ok", {"inferences per second": "10.0"})


def test_a_graph_at_work_says_its_rates() -> None:
    reports = {"/event_driver": DRIVER, "/snn": SNN, "/ann": ANN}
    assert status_line(reports) == ("0.31 Mev/s, 100 poses/s, 10 inits/s, latency 1.20 / 4.00 ms")


def test_rates_of_several_cameras_are_added() -> None:
    reports = {"/l/snn": SNN, "/r/snn": SNN, "/l/ann": ANN, "/r/ann": ANN}
    assert status_line(reports).startswith("199 poses/s, 20 inits/s, ")


def test_the_latency_is_the_longest_of_all_cameras() -> None:
    late = NodeReport(0, "ok", SNN.values | {"latency ms, mean / max": "10.30 / 12.00"})
    none = NodeReport(0, "ok", SNN.values | {"latency ms, mean / max": "-"})
    line = status_line({"/l/snn": SNN, "/r/snn": late, "/m/snn": none})
    assert line.endswith("latency 10.30 / 12.00 ms")


def test_the_worst_that_a_node_reports_is_said() -> None:
    late = NodeReport(1, "the state is 400 ms old; is `ann` running?", {})
    dead = NodeReport(2, "the camera is gone", {})
    line = status_line({"/snn": late, "/event_driver": dead})
    assert line.endswith("error of /event_driver: the camera is gone")
    assert status_line({"/snn": late}).endswith("warning of /snn: " + late.message)


def test_nothing_is_known_before_the_first_report() -> None:
    assert status_line({}) == "0 poses/s, 0 inits/s"
