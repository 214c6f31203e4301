# SPDX-License-Identifier: Apache-2.0
"""A bag or the topics of a running graph, shown in a viewer or written to a file."""

from collections.abc import Callable, Collection
from pathlib import Path

import rerun as rr
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import read_bag, topic_types
from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.interfaces.discovery import discover
from hybrid_pose_ros.interfaces.listener import listen
from hybrid_pose_ros.interfaces.topics import Quality, Topic
from hybrid_pose_ros.view.blueprint import make_blueprint
from hybrid_pose_ros.view.entities import Scene
from hybrid_pose_ros.view.shown_topics import SHOWN_AS, choose_topics
from hybrid_pose_ros.view.viewer import LOOPBACK, start_viewer

APPLICATION = "hybrid_pose"


class NothingToShowError(UserError):
    """There is no topic that could be shown; the message says where was looked."""


def show_bag(
    path: Path,
    store: Typestore,
    namespaces: Collection[str],
    *,
    save: Path | None,
    url: str | None,
    bind: str = LOOPBACK,
) -> int:
    """Show a bag; return the number of packets of events that could not be decoded.

    Args:
        namespaces: of the cameras; all if there are none.
        save: .rrd file to be written instead of opening a window.
        url: running viewer to send to instead of opening a window.
        bind: IP address at which the window that is opened listens.

    Raises:
        BagError: the bag is missing or damaged.
        ViewerError: the window cannot be opened.
        NothingToShowError: the bag has no topic that could be shown.
        OSError: the file cannot be written.
    """
    found = [  # a topic without messages would open an empty panel
        Topic(name, kind, Quality(1)) for name, (kind, count) in topic_types(path).items() if count
    ]
    topics = {topic.name: topic for topic in choose_topics(found, namespaces)}
    if not topics:
        raise NothingToShowError(
            f"{path}: the bag holds no events or poses to show{_of(namespaces)}"
        )
    recording = _open(list(topics.values()), save, url, bind)
    scene = Scene(recording)
    for name, arrival_ns, message in read_bag(path, store, topics):
        scene.add(topics[name], arrival_ns, message)
    _close(recording)
    return scene.malformed


def show_live(
    store: Typestore,
    namespaces: Collection[str],
    *,
    wait_s: float,
    until: Callable[[], bool],
    save: Path | None,
    url: str | None,
    bind: str = LOOPBACK,
) -> int:
    """Show what is being published, until ``until`` says so; else as :func:`show_bag`.

    Topics that begin after the start are not seen.

    Args:
        wait_s: how long to wait for a first topic, in seconds.
    """
    found = discover(list(SHOWN_AS), wait_s, until=until)
    topics = {topic.name: topic for topic in choose_topics(found, namespaces)}
    if not topics:
        raise NothingToShowError(
            f"nothing publishes events or poses{_of(namespaces)}; start the nodes "
            "(`hybrid-pose run`), and check ROS_DOMAIN_ID"
        )
    raw = [topic for topic in found if topic.name in topics]
    recording = _open(list(topics.values()), save, url, bind)
    scene = Scene(recording)

    def receive(name: str, arrival_ns: int, data: bytes) -> None:
        topic = topics[name]
        scene.add(topic, arrival_ns, store.deserialize_cdr(data, topic.type))

    try:
        listen("viewer", raw, receive, until=until)
    finally:
        _close(recording)
    return scene.malformed


def _open(
    topics: list[Topic], save: Path | None, url: str | None, bind: str
) -> rr.RecordingStream:
    recording = rr.RecordingStream(APPLICATION)
    blueprint = make_blueprint(topics)
    if save is not None:
        save.open("wb").close()  # Rerun itself only logs that it cannot write.
        recording.save(save)
    elif url is not None:
        recording.connect_grpc(url)
    else:
        recording.connect_grpc(start_viewer(bind))
    # Active, too: the viewer would keep the layout of what it showed last.
    recording.send_blueprint(blueprint, make_active=True)
    return recording


def _close(recording: rr.RecordingStream) -> None:
    recording.flush()
    recording.disconnect()


def _of(namespaces: Collection[str]) -> str:
    return f" in {', '.join(namespaces)}" if namespaces else ""
