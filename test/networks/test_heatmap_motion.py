# SPDX-License-Identifier: Apache-2.0
"""Where the joints are, how maps are moved, and how velocities are read."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.heatmap_motion import (
    MAX_VELOCITY,
    JointReadout,
    MotionHead,
    VelocityUpdate,
    attention,
    cubic_taps,
    halve,
    pool,
    shift_heatmaps,
)
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps, draw_heatmaps
from hybrid_pose_ros.networks.snn import SnnState, SpikingUNet


def drawn(points: Tensor, height: int = 65, width: int = 87) -> Tensor:
    """Gaussians of 13 joints, [1, 13, H, W]."""
    return draw_heatmaps(points, torch.ones(1, 13, dtype=torch.bool), height, width, 1.5)


@pytest.fixture
def points() -> Tensor:
    torch.manual_seed(2)
    return 10.0 + torch.rand(1, 13, 2) * torch.tensor([66.0, 44.0])


def test_attention_is_the_square_of_what_is_positive() -> None:
    maps = torch.tensor([[[[1.0, -3.0], [0.0, 2.0]]]])
    assert torch.allclose(attention(maps), torch.tensor([[[[0.2, 0.0], [0.0, 0.8]]]]), atol=2e-4)


def test_attention_sums_to_almost_one_where_there_is_a_peak(points: Tensor) -> None:
    sums = attention(drawn(points)).sum((-2, -1))
    assert torch.all((sums > 0.999) & (sums < 1.0))
    assert not attention(torch.zeros(1, 13, 6, 7)).any()
    assert not attention(-drawn(points)).any()
    faint = attention(1e-3 * drawn(points)).sum((-2, -1))
    assert torch.all(faint < 0.01)  # what is left of a faded map is no place to look at


def test_halved_attention_is_the_sum_of_four_cells() -> None:
    where = torch.rand(1, 13, 5, 7)
    halved = halve(where)
    assert halved.shape == (1, 13, 3, 4)
    assert torch.allclose(halved[..., 0, 1], where[..., 0:2, 2:4].sum((-2, -1)))
    assert torch.allclose(halved[..., 2, 3], where[..., 4, 6])


def test_pooled_features_are_those_around_each_joint() -> None:
    where = torch.zeros(1, 13, 4, 5)
    where[0, 0, 1, 2] = 1.0
    where[0, 1, 3, 4], where[0, 1, 0, 0] = 0.25, 0.75
    features = torch.arange(40.0).reshape(1, 2, 4, 5)
    pooled = pool(where, features)
    assert pooled.shape == (1, 13, 2)
    assert pooled[0, 0].tolist() == [7.0, 27.0]
    assert pooled[0, 1].tolist() == [0.25 * 19, 0.25 * 39 + 0.75 * 20]
    assert not pooled[0, 2:].any()


@given(st.floats(-MAX_VELOCITY, MAX_VELOCITY))
def test_taps_keep_a_constant_and_the_centre_of_mass(shift: float) -> None:
    taps = cubic_taps(torch.tensor(shift, dtype=torch.float64))
    assert taps.shape == (7,)
    assert taps.sum().item() == pytest.approx(1.0)
    assert (taps * torch.arange(-3, 4)).sum().item() == pytest.approx(shift, abs=1e-9)


@pytest.mark.parametrize("dx", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("dy", [-2, 0, 1])
def test_whole_cells_are_moved_exactly_and_zeros_come_in(dx: int, dy: int) -> None:
    maps = torch.randn(2, 13, 8, 9)
    velocity = torch.tensor([float(dx), float(dy)]).expand(2, 13, 2)
    expected = torch.zeros(2, 13, 8 + 8, 9 + 8)
    expected[..., 4 + dy : 12 + dy, 4 + dx : 13 + dx] = maps
    assert torch.equal(shift_heatmaps(maps, velocity), expected[..., 4:12, 4:13])


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_a_parabola_is_moved_exactly(vx: float, vy: float) -> None:
    xs, ys = torch.meshgrid(
        torch.arange(20, dtype=torch.float64),
        torch.arange(16, dtype=torch.float64),
        indexing="xy",
    )

    def parabola(x: Tensor, y: Tensor) -> Tensor:
        return 3.0 - 0.2 * (x - 9) ** 2 + 0.1 * (x - 9) * (y - 7) + 0.4 * (y - 7) ** 2 - y

    velocity = torch.tensor([vx, vy], dtype=torch.float64).expand(1, 13, 2)
    moved = shift_heatmaps(parabola(xs, ys).expand(1, 13, 16, 20), velocity)
    inside = (..., slice(4, -4), slice(4, -4))
    assert torch.allclose(moved[inside], parabola(xs - vx, ys - vy)[4:-4, 4:-4], atol=1e-9)


def test_each_joint_moves_by_its_own_velocity(points: Tensor) -> None:
    velocity = torch.rand(1, 13, 2) * 3.0 - 1.5
    moved, confidence = decode_heatmaps(shift_heatmaps(drawn(points), velocity))
    assert torch.allclose(moved, points + velocity, atol=0.03)
    assert torch.all(confidence > 0.8)


def test_many_small_steps_go_as_far_as_their_sum(points: Tensor) -> None:
    points = points.double()
    velocity = torch.rand(1, 13, 2, dtype=torch.float64) * 0.6 - 0.3
    maps = drawn(points)
    for _ in range(10):
        maps = shift_heatmaps(maps, velocity)
    total = maps.sum((-2, -1))
    centre = torch.stack(
        ((maps.sum(-2) * torch.arange(87)).sum(-1), (maps.sum(-1) * torch.arange(65)).sum(-1)), -1
    )
    assert torch.allclose(centre / total[..., None], points + 10 * velocity, atol=1e-3)
    moved, confidence = decode_heatmaps(maps)
    assert torch.allclose(moved, points + 10 * velocity, atol=0.2)  # the peak lags a little
    assert torch.all(confidence > 0.8)  # the map stays sharp


def test_a_velocity_beyond_the_limit_is_cut_off(points: Tensor) -> None:
    fast = torch.tensor([100.0, -7.0]).expand(1, 13, 2)
    limit = torch.tensor([MAX_VELOCITY, -MAX_VELOCITY]).expand(1, 13, 2)
    maps = drawn(points)
    assert torch.equal(shift_heatmaps(maps, fast), shift_heatmaps(maps, limit))


def test_each_joint_is_read_from_the_features_around_all() -> None:
    readout = JointReadout(2, 3)
    assert not readout(torch.rand(1, 13, 2)).any()  # untrained: nothing moves
    with torch.no_grad():
        readout.weight[4, 0, 4] = torch.tensor([1.0, 2.0])
        readout.weight[4, 2, 11] = torch.tensor([0.0, -1.0])
    pooled = torch.zeros(3, 13, 2)
    pooled[2, 4] = torch.tensor([10.0, 100.0])
    pooled[2, 11] = torch.tensor([5.0, 7.0])
    read = readout(pooled)
    assert read.shape == (3, 13, 3)
    assert read[2, 4].tolist() == [210.0, 0.0, -7.0]
    assert read.count_nonzero() == 2


def test_spikes_push_a_velocity_and_take_from_the_old_one() -> None:
    update = VelocityUpdate(1)
    velocity = torch.tensor([2.0, -1.0]).expand(1, 13, 2)
    pooled = torch.ones(1, 13, 1)
    with torch.no_grad():
        update.inertia_logit.fill_(0.0)  # a half is left
        assert torch.allclose(update(velocity, pooled), 0.5 * velocity)
        update.readout.weight[3, 0, 3] = 0.25
        update.readout.weight[3, 2, 3] = math.log(2.0)
        update.readout.weight[5, 2, 3] = -math.log(1.5)
        update.readout.weight[7, 2, 3] = -5.0
        after = update(velocity, pooled)[0]
    assert after[3].tolist() == pytest.approx([0.75, -0.25])
    assert after[5].tolist() == pytest.approx([1.5, -0.75])
    assert after[7].tolist() == [2.0, -1.0]  # it does not grow by itself
    assert torch.equal(after[[0, 12]], 0.5 * velocity[0, :2])


def test_the_motion_head_reads_every_resolution_around_the_joint(points: Tensor) -> None:
    """65 x 87 cells and what three levels of pooling leave of them."""
    head = MotionHead({"up4": 1, "up3": 1, "up2": 1})
    cells = points.round()  # peaks that lie in one cell at every resolution
    fields = {}
    for tap, (height, width), stride in (
        ("up4", (65, 87), 1),
        ("up3", (33, 44), 2),
        ("up2", (17, 22), 4),
    ):
        columns = torch.arange(width) * stride + (stride - 1) / 2
        fields[tap] = columns.expand(1, 1, height, width)
    for index in range(3):
        with torch.no_grad():
            head.readout.weight.zero_()
            for joint in range(13):
                head.readout.weight[joint, 0, joint, index] = 1.0
            velocity = head(drawn(cells), fields)
        assert torch.allclose(velocity[..., 0], cells[..., 0], atol=0.5)  # half a coarse cell
        assert not velocity[..., 1].any()


def test_the_motion_head_sends_no_gradient_into_the_heatmaps(points: Tensor) -> None:
    maps = drawn(points).requires_grad_()
    head = MotionHead({"up1": 1})
    with torch.no_grad():
        head.readout.weight.fill_(1.0)
    features = torch.rand(1, 1, 65, 87, requires_grad=True)
    head(maps, {"up1": features}).sum().backward()
    assert maps.grad is None
    assert features.grad is not None and features.grad.any()


def moving_snn() -> SpikingUNet:
    torch.manual_seed(7)
    snn = SpikingUNet(EDGE.snn).eval()
    with torch.no_grad():
        snn.motion.readout.weight.normal_(std=0.1)
        snn.motion.inertia_logit.normal_(mean=2.0)
        snn.decay_logit.normal_(mean=2.0)
    return snn


def lively_state(snn: SpikingUNet, heatmaps: Tensor) -> SnnState:
    rest = snn.rest(1, 65, 87)
    membranes = {name: 2.0 * torch.rand_like(v) for name, v in rest.membranes.items()}
    return SnnState(membranes, heatmaps, torch.randn(1, 13, 2))


def test_the_order_of_a_step(points: Tensor) -> None:
    """The old maps say which spikes count; the new velocity moves them; then decay, increment."""
    snn = moving_snn()
    state = lively_state(snn, drawn(points))
    read: list[Tensor] = []
    near = snn.readout.register_forward_hook(lambda _m, inputs, _o: read.append(inputs[0]))
    wide = snn.neurons["up2"].register_forward_hook(lambda _m, _i, output: read.append(output[0]))
    with torch.no_grad():
        delta, after = snn(torch.ones(1, 2, 65, 87), state)
        near.remove()
        wide.remove()
        assert state.velocity is not None and after.velocity is not None
        where = attention(state.heatmaps)
        spikes = interpolate(read[0], scale_factor=2.0)
        pooled = torch.cat(
            [
                torch.einsum("njyx,ncyx->njc", where, read[1]),
                torch.einsum("njyx,ncyx->njc", where, spikes[..., :65, :87]),
            ],
            -1,
        )
        velocity = snn.motion(state.velocity, pooled)
        moved = shift_heatmaps(state.heatmaps, velocity)
    assert (velocity - snn.motion.inertia * state.velocity).abs().min() > 1e-4
    assert torch.allclose(after.velocity, velocity, atol=1e-5)
    assert torch.allclose(after.heatmaps, snn.decay * moved + delta, atol=1e-5)


def test_only_spikes_near_a_joint_push_it(points: Tensor) -> None:
    snn = moving_snn()
    state = lively_state(snn, drawn(points.clone().fill_(20.0)))
    far = {name: v.clone() for name, v in state.membranes.items()}
    far["head"][..., 50:, 60:] = 0.0  # silences the head's spikes far from all joints
    far["up3"][..., 50:, 60:] = 0.0
    far["up2"][..., 25:, 30:] = 0.0
    with torch.no_grad():
        _, a = snn(torch.zeros(1, 2, 65, 87), state)
        _, b = snn(torch.zeros(1, 2, 65, 87), state._replace(membranes=far))
    assert not torch.equal(a.heatmaps, b.heatmaps)
    assert a.velocity is not None and b.velocity is not None
    assert torch.allclose(a.velocity, b.velocity, atol=1e-6)


def test_silence_is_many_steps_that_move_nothing(points: Tensor) -> None:
    snn = moving_snn()
    state = lively_state(snn, drawn(points))
    with torch.no_grad():
        at_once, one_by_one = snn.silence(state, 6), state
        for _ in range(6):
            one_by_one = snn.silence(one_by_one, 1)
    assert at_once.velocity is not None and one_by_one.velocity is not None
    assert state.velocity is not None
    assert torch.allclose(at_once.velocity, one_by_one.velocity, atol=1e-6)
    assert torch.allclose(at_once.velocity, state.velocity * snn.motion.inertia**6)
    assert torch.allclose(at_once.heatmaps, one_by_one.heatmaps, atol=1e-6)
    assert torch.allclose(at_once.heatmaps, state.heatmaps * snn.decay**6)
    for name, membrane in at_once.membranes.items():
        assert torch.allclose(membrane, one_by_one.membranes[name], atol=1e-6), name
