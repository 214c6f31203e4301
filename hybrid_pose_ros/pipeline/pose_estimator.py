# SPDX-License-Identifier: Apache-2.0
"""Events in, poses out: the whole pipeline of one camera, without ROS and without threads.

Each answer of the ANN takes effect at the moment that it describes, as if it had taken no time,
and steps are absolute bins of sensor time: the poses depend on the events alone, not on how they
are cut into arrays nor on how fast they are pushed.
"""

from collections.abc import Sequence

from hybrid_pose_ros.events.array import EventArray, check_events
from hybrid_pose_ros.events.binning import Step, StepBinner, TimeJumpError
from hybrid_pose_ros.events.stream import Pushed
from hybrid_pose_ros.networks.checkpoint import Checkpoint, load_checkpoint
from hybrid_pose_ros.pipeline.ann_demand import AnnDemand, AutoRate
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.prediction import PoseHistory, ahead, prediction_ns
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.pipeline.state import Pose


class PoseEstimator:
    """Turns the events of one camera into a pose per step (10 ms in the shipped model).

    The ANN runs at ``ann_hz``, or when the SNN asks for it, and initialises the SNN, which makes
    the poses. Poses before the first initialisation have confidence 0 and ``init_age_ns`` -1.

    Args:
        width, height: of the sensor in pixels.
        model: from :func:`~hybrid_pose_ros.load_model`; None: the shipped weights.
        ann_hz: runs of the ANN per second of sensor time; its period is a whole number of steps.
            Or the bounds between which it runs when it is needed.
        runtime: what computes the ANN, ``torch`` or ``openvino``.
        precision: of the ANN, ``auto``, ``float32`` or ``bfloat16``.
        predict_ms: the poses that are returned are predicted so far ahead of their steps (ms of
            sensor time), which makes up for the delay until they are used.
        follow_person: the ANN sees only what lies around its last pose, so that who is followed
            does not change with every inference where there are two people.

    Attributes:
        model: the model in use.
        last_ann: the newest pose of the ANN, None before the first.
        ann_runs: how often the ANN has run since the beginning.

    Raises:
        ValueError: a sensor without pixels, an ``ann_hz`` that no whole number of steps gives, or
            a ``predict_ms`` beyond :data:`~hybrid_pose_ros.pipeline.prediction.MAX_PREDICTION_NS`.
        CheckpointError: the shipped weights cannot be read.
        RuntimeMissingError: the runtime is not installed.
    """

    def __init__(
        self,
        width: int,
        height: int,
        model: Checkpoint | None = None,
        *,
        ann_hz: float | AutoRate = 10.0,
        runtime: str = "torch",
        precision: str = "auto",
        predict_ms: float = 0.0,
        follow_person: bool = True,
    ) -> None:
        self.model = load_checkpoint() if model is None else model
        self._predict_ns = prediction_ns(predict_ms)
        self._history = PoseHistory()
        view = self.model.config.view.fit(width, height)
        step_ns = self.model.config.step_ns
        self._demand: AnnDemand | None = None
        if isinstance(ann_hz, AutoRate):
            self._demand = AnnDemand(ann_hz, step_ns, view)
        else:
            self._period_steps = whole_period(ann_hz, step_ns)
        self._binning = _Binning(self.model, width, height)
        self._ann = AnnEstimator(self.model, view, runtime, precision, follow_person=follow_person)
        self._snn = SnnEstimator(self.model, view)
        self.last_ann: Pose | None = None
        self.ann_runs = 0

    def push(self, events: EventArray) -> list[Pose]:
        """Take the next events and return the poses of the steps that they complete.

        A step is complete with the first event at or past its end. Events that are older than the
        open step mean that sensor time was set back: everything before is forgotten.

        Args:
            events: array of :data:`~hybrid_pose_ros.events.array.EVENT_DTYPE` in order of time, of
                any length, as :func:`~hybrid_pose_ros.make_events` builds it.

        Raises:
            MalformedEventsError: the array has another type, is out of order or holds events
                outside the sensor. Nothing of it was taken; the next array may be pushed.
        """
        return [pose for step in self._steps(events) for pose in self._run([step])]

    def push_packet(self, events: EventArray) -> list[Pose]:
        """Take the events of a packet as the nodes do, which serve it whole.

        The ANN's answer takes effect after the packet's last step, if one is due within it. Where
        a packet completes many steps, as after a pause, the poses from that moment to the
        packet's end lack it. Those that follow are those of :meth:`push` to the bit without
        ``follow_person``; with it the ANN has then followed from an older pose, and they are
        close to them.

        Arguments, result and errors are those of :meth:`push`.
        """
        return self._run(self._steps(events))

    def pose_at(self, time_ns: int) -> Pose:
        """Return the pose at any moment near the last step, whatever ``predict_ms`` is.

        Between two steps it is interpolated, after the last one predicted by the velocities of
        the joints, with a variance that grows with the distance.

        Args:
            time_ns: sensor time: within the last 100 steps or at most 100 ms after them.

        Raises:
            ValueError: another moment, or no step is complete yet.
        """
        return self._history.at(time_ns)

    def reset(self) -> None:
        """Forget all events and the pose, as for another recording."""
        self._binning.reset()
        self._forget()

    def _forget(self) -> None:
        self._ann.reset()
        self._snn.reset()
        self._history.reset()
        if self._demand is not None:
            self._demand.reset()
        self.last_ann = None
        self.ann_runs = 0

    def _steps(self, events: EventArray) -> list[Step]:
        pushed = self._binning.push(events)
        if pushed.restarted:
            self._forget()
        return pushed.steps

    def _run(self, steps: Sequence[Step]) -> list[Pose]:
        """Run steps, and then the ANN as of the latest moment among them at which it is due."""
        due, poses = None, []
        for step in steps:
            pose = self._snn.step(step)
            self._history.add(pose)
            poses.append(ahead(pose, self._predict_ns))
            self._ann.push(step)
            if self._is_due(step, pose):
                due = self._ann.snapshot()
        if due is not None:
            init = self._ann.infer(due)
            self.last_ann = init.pose
            self.ann_runs += 1
            self._snn.initialise(init)
            if self._demand is not None:
                self._demand.taken(init.sensor_time_ns)
        return poses

    def _is_due(self, step: Step, pose: Pose) -> bool:
        """Whether the ANN is to run after a step."""
        if self._demand is not None:
            return self._demand.observe(pose, step.events - step.dropped) is not None
        return (step.index + 1) % self._period_steps == 0


class AnnPoseEstimator:
    """Turns the events of one camera into the poses of the ANN alone.

    Args:
        width, height, model, runtime, precision: as for :class:`PoseEstimator`.
        hz: poses per second of sensor time; their period is a whole number of steps.

    Raises:
        ValueError, CheckpointError, RuntimeMissingError: as :class:`PoseEstimator` does.
    """

    def __init__(
        self,
        width: int,
        height: int,
        model: Checkpoint | None = None,
        *,
        hz: float = 20.0,
        runtime: str = "torch",
        precision: str = "auto",
    ) -> None:
        self.model = load_checkpoint() if model is None else model
        self._period_steps = whole_period(hz, self.model.config.step_ns)
        self._binning = _Binning(self.model, width, height)
        view = self.model.config.view.fit(width, height)
        self._ann = AnnEstimator(self.model, view, runtime, precision)

    def push(self, events: EventArray) -> list[Pose]:
        """Take the next events and return the poses that they complete.

        Argument and errors are those of :meth:`PoseEstimator.push`.
        """
        pushed = self._binning.push(events)
        if pushed.restarted:
            self._ann.reset()
        poses = []
        for step in pushed.steps:
            self._ann.push(step)
            if (step.index + 1) % self._period_steps == 0:
                poses.append(self._ann.infer().pose)
        return poses

    def reset(self) -> None:
        """Forget all events, as for another recording."""
        self._binning.reset()
        self._ann.reset()


class _Binning:
    """Checks event arrays and cuts them into steps; a jump back in time begins anew."""

    def __init__(self, model: Checkpoint, width: int, height: int) -> None:
        self._size = width, height
        config = model.config
        self._binner = StepBinner(
            config.view.fit(width, height), config.step_ns, noise_filter=config.noise_filter
        )

    def reset(self) -> None:
        self._binner.reset()

    def push(self, events: EventArray) -> Pushed:
        check_events(events, *self._size)
        try:
            return Pushed(self._binner.push(events), len(events))
        except TimeJumpError:
            self._binner.reset()
            return Pushed(self._binner.push(events), len(events), restarted=True)


def whole_period(hz: float, step_ns: int) -> int:
    """Return how many steps lie between two runs of the ANN.

    Raises:
        ValueError: no whole number of steps does.
    """
    steps = round(1e9 / hz / step_ns) if hz > 0 else 0
    if steps < 1 or abs(steps * step_ns * hz - 1e9) > 1e6:
        raise ValueError(
            f"the ANN cannot run {hz:g} times per second: the time between two runs must be a "
            f"whole number of steps of {step_ns / 1e6:g} ms, as with 10, 20 or 50 Hz"
        )
    return steps
