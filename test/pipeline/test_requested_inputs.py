# SPDX-License-Identifier: Apache-2.0
"""Inputs of the ANN and requests for them meet by their moment."""

from hybrid_pose_ros.pipeline.requested_inputs import RequestedInputs


def test_an_input_waits_for_its_request() -> None:
    inputs: RequestedInputs[str] = RequestedInputs()
    assert inputs.keep(50, "a") is None
    assert inputs.keep(100, "b") is None
    assert inputs.ask(50) == "a"
    assert inputs.ask(50) is None  # answered
    assert inputs.ask(100) == "b"


def test_a_request_waits_for_its_input() -> None:
    inputs: RequestedInputs[str] = RequestedInputs()
    assert inputs.ask(100) is None
    assert inputs.keep(50, "a") is None
    assert inputs.keep(100, "b") == "b"
    assert inputs.ask(50) is None  # older than an answer


def test_of_many_the_newest_are_kept() -> None:
    inputs: RequestedInputs[int] = RequestedInputs(limit=2)
    for moment in (10, 20, 30):
        inputs.keep(moment, moment)
    assert inputs.ask(10) is None
    assert inputs.ask(20) == 20
    for moment in (40, 50, 60):
        assert inputs.ask(moment) is None
    assert inputs.keep(40, 40) is None
    assert inputs.keep(50, 50) == 50


def test_a_new_sensor_forgets_the_inputs_alone() -> None:
    inputs: RequestedInputs[str] = RequestedInputs()
    inputs.keep(50, "a")
    inputs.ask(100)
    inputs.clear_inputs()
    assert inputs.ask(50) is None
    assert inputs.keep(100, "b") == "b"


def test_a_reset_forgets_both() -> None:
    inputs: RequestedInputs[str] = RequestedInputs()
    inputs.keep(50, "a")
    inputs.ask(100)
    inputs.clear()
    assert inputs.ask(50) is None
    assert inputs.keep(100, "b") is None
