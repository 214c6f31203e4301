# SPDX-License-Identifier: Apache-2.0
"""The viewer listens at loopback unless another address is asked for."""

import socket
import sys

import pytest

from hybrid_pose_ros.cli.main import make_parser
from hybrid_pose_ros.view import viewer
from hybrid_pose_ros.view.viewer import ViewerError, start_viewer, viewer_command

LISTEN = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
server.accept()
"""


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port, which the viewer takes for its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = int(server.getsockname()[1])
    monkeypatch.setattr(viewer, "PORT", number)
    return number


def replace_viewer(monkeypatch: pytest.MonkeyPatch, code: str, port: int) -> None:
    monkeypatch.setattr(
        viewer,
        "viewer_command",
        lambda address: [sys.executable, "-P", "-c", code, address, str(port)],
    )


def test_loopback_is_the_default() -> None:
    options = make_parser({"view"}).parse_args(["view"])
    assert options.bind == "127.0.0.1"
    assert viewer_command(options.bind)[-4:] == ["--bind", "127.0.0.1", "--port", "9876"]


def test_a_window_is_opened_once_and_found_again(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    replace_viewer(monkeypatch, LISTEN + "server.accept()\n", port)
    url = start_viewer("127.0.0.1")
    assert url == f"rerun+http://127.0.0.1:{port}/proxy"
    replace_viewer(monkeypatch, "raise SystemExit(3)", port)
    assert start_viewer("127.0.0.1") == url


def test_a_window_that_does_not_open_is_said(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    replace_viewer(monkeypatch, "raise SystemExit(3)", port)
    with pytest.raises(ViewerError, match=r"ended with code 3 .* use --save or --connect"):
        start_viewer("127.0.0.1")
    monkeypatch.setattr(viewer, "START_TIMEOUT_S", 0.5)
    replace_viewer(monkeypatch, "__import__('time').sleep(60)", port)
    with pytest.raises(ViewerError, match=r"does not listen at 127.0.0.1"):
        start_viewer("127.0.0.1")
