# SPDX-License-Identifier: Apache-2.0
"""Any parameter of any type, on the command line or in a file: a node at work, or one sentence.

By hand, for ten thousand:
``python test/faults/test_fuzzed_parameters.py 10000 [SEED [NODE ...]]``.
"""

import collections
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import rclpy
import yaml
from rclpy.exceptions import ParameterException

from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.node_classes import NODES, node_class

MAX_S: Final = 10.0
"""A node may take so long to load its model; no value may take longer."""

Rng = np.random.Generator

VALUES: Final = (
    *("true", "false", "0", "1", "-1", "2", "60", "1000000", "9223372036854775807"),
    *("9223372036854775808", "-9223372036854775808", "0x10", "1e400", ".nan", ".inf", "-.inf"),
    *("0.0", "-0.0", "0.5", "1.0", "1.5", "100.0", "1e300", "1e-320", "''", "x", "'1'", "/", "//"),
    *("'a b'", '"a\\nb"', '"\\u00e4"', "..", "/nowhere/at/all", "/dev/zero", "/dev/null", "~"),
    *("[]", "[0]", "[1, 2]", "[0, 0, 10, 10]", "[-1, 5, 2, 2]", "[1, a]", "[1.5, 2.5]", "[true]"),
    *("[a, b]", "['', '']", "[cam0, cam0]", "[[1]]", "{a: 1}", "!!str 5", "null", "a" * 2000),
    *("cam0", "/cam0", "cam0,cam1", "mono", "evt3", "recording", "video", "network"),
    *("'*'", "'&'", "'{'", "':'", "a.b", "9lives", "ns//x", "é"),
)  # fmt: skip
ODD: Final[tuple[Any, ...]] = (
    *(None, True, 0, -1, 2**63, 2**64, 1.5, float("nan"), float("inf"), "", "x", "a\nb", "/"),
    *([], [1], [1, "a"], [[1]], {}, {"a": 1}, {"a": {"b": [None]}}, b"\0", 10**400),
)


def pick(rng: Rng, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def arguments_of(names: list[str], rng: Rng) -> list[str]:
    """Return some ``-p name:=value``."""
    found = []
    for _ in range(int(rng.integers(1, 4))):
        name = pick(rng, names) if rng.random() < 0.95 else pick(rng, ("nothing", "a.b", "", "9"))
        found += ["-p", f"{name}:={pick(rng, VALUES)}"]
    return found


def parameter_file(names: list[str], rng: Rng, path: Path) -> list[str]:
    """Write a file of parameters, and return the arguments that name it."""
    own: Any = {pick(rng, names): pick(rng, ODD) for _ in range(int(rng.integers(0, 4)))}
    kind = rng.integers(10)
    content: Any = {pick(rng, ("/**", "/*", "snn", "/cam0/ann")): {"ros__parameters": own}}
    if kind == 0:
        content = pick(rng, ODD)
    elif kind == 1:
        content = {"/**": pick(rng, (own, {"ros__parameters": pick(rng, ODD)}))}
    elif kind == 2:
        content = {pick(rng, (1, "", "/**/**", "a b")): {"ros__parameters": own}}
    text = yaml.safe_dump(content).encode()
    if kind == 3 and text:
        at = int(rng.integers(len(text)))
        text = text[:at] + rng.bytes(3) + text[at + 2 :]
    path.write_bytes(text)
    return ["--params-file", str(path)]


def start(executable: str, arguments: list[str]) -> str:
    """Start a node in this process, and end it; returns what came of it."""
    try:
        rclpy.init(args=[executable, "--ros-args", *arguments])
    except RuntimeError:  # what `run_node` takes for arguments that cannot be read
        return "unread"
    node = None
    try:
        make: Callable[[], ManagedNode] = node_class(executable)  # type: ignore[assignment]
        node = make()
        node.start()
    except (ParameterException, StartError) as error:
        words = str(error)
        assert words.strip() and "unexpected" not in words, words
        return "refused"
    finally:
        if node is not None:
            node.stop()
            node.destroy_node()
        rclpy.try_shutdown()
    return "works"


def fuzz(executable: str, count: int, seed: int, folder: Path) -> dict[str, int]:
    """Start a node again and again; returns how often what came of it."""
    names = [spec.name for spec in node_class(executable).PARAMETERS] + ["autostart"]
    outcomes: collections.Counter[str] = collections.Counter()
    for turn in range(count):
        rng = np.random.default_rng((seed, turn))
        path = folder / "parameters.yaml"
        arguments = (
            arguments_of(names, rng) if rng.random() < 0.7 else parameter_file(names, rng, path)
        )
        begin = time.perf_counter()
        try:
            outcome = start(executable, arguments)
            assert time.perf_counter() - begin < MAX_S, "takes too long"
        except Exception as error:
            error.add_note(f"{executable}, seed ({seed}, {turn}): {arguments}")
            raise
        outcomes[outcome] += 1
    return dict(outcomes)


@pytest.mark.parametrize("executable", NODES)
def test_any_parameters_end_in_a_node_or_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcomes = fuzz(executable, 25, 1, tmp_path)
    assert outcomes.get("refused", 0) + outcomes.get("unread", 0) > 0


def main() -> None:
    """Start all nodes, or those named, as often as the first argument says."""
    total, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    names = sys.argv[3:] or list(NODES)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in names:
            begin = time.perf_counter()
            outcomes = fuzz(name, -(-total // len(names)), seed, Path(folder))
            print(f"{name:16} {time.perf_counter() - begin:7.1f} s  {outcomes}", flush=True)


if __name__ == "__main__":
    main()
