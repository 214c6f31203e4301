# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose replay`: a bag through the pipeline where there is no `ros2 bag play`."""

import argparse
import contextlib
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hybrid_pose_ros.cli import CommandError, check_new_bag
from hybrid_pose_ros.cli.figures import check_writable, read_figures, write_figures

if TYPE_CHECKING:
    from hybrid_pose_ros.graph.lockstep import Lockstep
    from hybrid_pose_ros.graph.processes import Supervisor
    from hybrid_pose_ros.graph.replay import Replay, ReplayPlan
    from hybrid_pose_ros.graph.specs import NodeSpec

EVALUATOR: Final = "/evaluator"

_REFRESH_S: Final = 0.2


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "replay",
        help="play a bag through the pipeline",
        description="Start snn and ann of each camera of a bag, with an evaluator if it holds "
        "ground truth, and publish its events, calibration and ground truth as they are stored. "
        "The space key pauses and resumes, Ctrl-C ends it.",
    )
    parser.add_argument("bag", type=Path, help="folder of the bag, or a file of one (.mcap, .db3)")
    parser.add_argument(
        "--rate", type=_rate, help="bag seconds per second (default: 1; 0: no limit)"
    )
    parser.add_argument("--loop", action="store_true", help="start over at the end, until Ctrl-C")
    parser.add_argument(
        "--start-offset", type=_seconds, default=0.0, metavar="S", help="where to start (s)"
    )
    parser.add_argument(
        "--cameras", default="", help="namespaces to play, with commas (default: all)"
    )
    parser.add_argument("--model", default="", help="checkpoint (default: the shipped one)")
    parser.add_argument("--params", default="", help="parameter file for the nodes")
    parser.add_argument("--visualizer", action="store_true", help="start visualizers, too")
    parser.add_argument(
        "--publish-only", action="store_true", help="start no nodes: others wait for the events"
    )
    parser.add_argument(
        "--lockstep",
        action="store_true",
        help="publish a packet only after the answers to the ones before: the result is the same "
        "on every machine; without --rate there is no limit of speed",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--record", type=Path, metavar="BAG", help="record poses, calibration and ground truth"
    )
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep the nodes' output there")


def run(options: argparse.Namespace) -> int:
    """Play the bag; return 0 if poses came, or if there is nobody to make them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.publish_only and (options.lockstep or options.json or options.visualizer):
        raise CommandError(
            "--publish-only starts no nodes: --lockstep, --json and --visualizer need them"
        )
    check_writable(options.json)
    return _replay(options, Console())


def _replay(options: argparse.Namespace, console: Console) -> int:
    from hybrid_pose_ros.bags.bag import make_typestore
    from hybrid_pose_ros.graph.replay import Replay
    from hybrid_pose_ros.installation import find_prefix, share_directory

    if options.record is not None:
        check_new_bag(options.record)
    plan = _plan(options)
    prefix = find_prefix()
    share = share_directory(prefix)
    lockstep = _lockstep(options, plan) if options.lockstep else None
    replay = Replay(plan, make_typestore(share), lockstep)
    scratch = Path(tempfile.mkdtemp(prefix="hybrid-pose-replay-"))
    session = _Playing(replay, console, options.logs or scratch / "logs")
    report = scratch / "report.json"
    try:
        specs = [] if options.publish_only else _specs(options, plan, report, share)
        with replay:
            if options.publish_only:
                replay.await_subscribers(1, {}, session.look)
                session.play(None)
            else:
                _run_nodes(specs, session, prefix)
        lost = 0
        if not options.publish_only:
            lost = _show_report(report, replay, options.json, console)
        if replay.not_recorded:
            raise CommandError(replay.not_recorded)
        if options.publish_only or session.interrupted:
            return 0
        if lost and options.lockstep:
            raise CommandError(f"{lost} packets were lost on their way: try again")
        if not replay.poses.total():
            raise CommandError("no pose came; --logs FOLDER keeps what the nodes say")
    finally:
        if sys.exc_info()[0] is None or session.supervisor is None or options.logs:
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            console.print(f"what the nodes said is in {session.logs}", soft_wrap=True)
    return 0


def _plan(options: argparse.Namespace) -> "ReplayPlan":
    from hybrid_pose_ros.bags.contents import inspect_bag
    from hybrid_pose_ros.graph.replay import ReplayPlan

    contents = inspect_bag(options.bag)
    if not contents.cameras:
        raise CommandError(f"{options.bag}: the bag holds no topic `events` with event packets")
    if options.start_offset >= contents.seconds:
        raise CommandError(
            f"--start-offset {options.start_offset:g}: the bag is only {contents.seconds:g} s long"
        )
    names = [name for name in options.cameras.split(",") if name]
    rate = options.rate if options.rate is not None else 0.0 if options.lockstep else 1.0
    return ReplayPlan(
        contents,
        contents.choose(names),
        rate,
        options.loop,
        options.start_offset,
        options.record,
    )


def _lockstep(options: argparse.Namespace, plan: "ReplayPlan") -> "Lockstep":
    from hybrid_pose_ros.graph.description import LOCKSTEP_ANN_HZ
    from hybrid_pose_ros.graph.lockstep import Lockstep
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint

    config = load_checkpoint(options.model or None).config
    return Lockstep(config, LOCKSTEP_ANN_HZ, plan.cameras)


def _specs(
    options: argparse.Namespace, plan: "ReplayPlan", report: Path, share: Path
) -> "list[NodeSpec]":
    from hybrid_pose_ros.graph.description import Played, replay_graph

    contents = plan.contents
    played = Played(
        plan.cameras,
        contents.has_truth,
        calibrated=set(plan.cameras) <= set(contents.calibrated),
        lockstep=options.lockstep,
    )
    arguments = {
        "model": options.model,
        "params": options.params,
        "visualizer": str(options.visualizer).lower(),
        "report": str(report),
    }
    return replay_graph(arguments, played, share)


def _run_nodes(specs: "Sequence[NodeSpec]", session: "_Playing", prefix: Path) -> None:
    """Start the nodes, play, and stop them."""
    from hybrid_pose_ros.graph.processes import START_TIMEOUT_S, Supervisor

    replay = session.replay
    names = [spec.name for spec in specs]
    # of each pose: we, too
    subscribers = 1 + names.count("triangulator") + names.count("evaluator")
    wanted = {f"{name}/snn": subscribers for name in replay.plan.cameras}
    wanted |= {f"{name}/ann": 1 for name in replay.plan.cameras}
    with Supervisor(specs, prefix, log_dir=session.logs) as session.supervisor:
        with session.console.status("starting the nodes ..."):
            replay.await_nodes(wanted, START_TIMEOUT_S, session.look)
            judges, joiners = names.count("evaluator"), names.count("triangulator")
            references = {"camera_info": judges + joiners, "pose_3d": judges}
            replay.await_subscribers(2 + ("visualizer" in names), references, session.look)
        session.play(EVALUATOR if "evaluator" in names else None)


class _Playing:
    """Looks after the processes, the keyboard and the screen while a bag is played."""

    def __init__(self, replay: "Replay", console: Console, logs: Path) -> None:
        self.replay, self.console, self.logs = replay, console, logs
        self.supervisor: Supervisor | None = None
        self.interrupted = False
        self._not_recorded = ""
        self._skipped_s = 0.0

    def look(self) -> None:
        """Notice a failed recording and skipped gaps, which are said once, and ended nodes.

        Raises:
            CommandError: nothing goes on without a node that has ended.
        """
        if not self._not_recorded and (words := self.replay.not_recorded):
            self._not_recorded = words
            self.console.print(f"{words}; playing goes on", soft_wrap=True, highlight=False)
        if self.replay.skipped_s > self._skipped_s:
            gap_s, self._skipped_s = self.replay.skipped_s - self._skipped_s, self.replay.skipped_s
            words = f"{gap_s:,.0f} s of the bag without a message are skipped"
            self.console.print(words, soft_wrap=True, highlight=False)
        if self.supervisor is None:
            return
        for end in self.supervisor.new_ends():
            if end.required:
                raise CommandError(f"{end}; see {self.logs}")
            self.console.print(str(end), soft_wrap=True)

    def play(self, evaluator: str | None) -> None:
        """Play to the end, or until Ctrl-C."""
        replay, plan = self.replay, self.replay.plan
        columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        with (
            Progress(*columns, console=self.console, transient=True) as progress,
            keys() as key_pressed,
        ):
            task = progress.add_task("playing", total=plan.contents.seconds)
            next_s = 0.0

            def tick() -> None:
                nonlocal next_s
                if key_pressed(" "):
                    replay.clock.toggle()
                now_s = time.monotonic()
                if now_s < next_s:
                    return
                next_s = now_s + _REFRESH_S
                self.look()
                done_s = (replay.clock.bag_ns() - plan.contents.start_ns) * 1e-9
                progress.update(task, completed=done_s, description=_words(replay, done_s))

            try:
                replay.play(tick)
                replay.settle(evaluator, tick)
            except KeyboardInterrupt:
                self.interrupted = True


def _words(replay: "Replay", done_s: float) -> str:
    state = "paused" if replay.clock.paused else "playing"
    return f"{state} {done_s:6.2f} s, {replay.poses.total()} poses"


def _show_report(report: Path, replay: "Replay", out: Path | None, console: Console) -> int:
    """Show and write the figures; return how many packets the SNNs have not received."""
    from hybrid_pose_ros.metrics.running_errors import format_report

    played = {}
    for camera in replay.plan.cameras:
        snn = replay.health.get(f"{camera}/snn", {})
        played[camera] = {
            "packets": replay.published[camera],
            "packets_received": int(snn.get("packets received", 0)),
            "steps_merged": int(snn.get("steps merged", 0)),
            "poses": replay.poses[camera],
        }
        console.print(
            "{}: {packets} packets, {packets_received} of them received, {steps_merged} steps "
            "merged, {poses} poses".format(camera or "/", **played[camera])
        )
    figures: dict[str, Any] = {"played": played}
    if report.is_file():
        errors = read_figures(report)
        figures |= errors
        console.print(format_report(errors), soft_wrap=True, highlight=False)
    elif replay.plan.contents.has_truth:
        raise CommandError("the evaluator left no figures; --logs FOLDER keeps what it says")
    if out is not None:
        write_figures(out, figures)
    return sum(counts["packets"] - counts["packets_received"] for counts in played.values())


@contextlib.contextmanager
def keys() -> Iterator[Callable[[str], bool]]:
    """Yield a function that says whether a key was pressed, where stdin is a terminal."""
    if not sys.stdin.isatty():
        yield lambda key: False
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)

    def pressed(key: str) -> bool:
        # not through the stream, which reads ahead what select then cannot see
        ready, _, _ = select.select([sys.stdin], [], [], 0)
        return bool(ready) and os.read(sys.stdin.fileno(), 1) == key.encode()

    try:
        yield pressed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _rate(text: str) -> float:
    return _number(text, "rate")


def _seconds(text: str) -> float:
    return _number(text, "time")


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}: a number from 0 on")
    return value
