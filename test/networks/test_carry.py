# SPDX-License-Identifier: Apache-2.0
"""What an initialisation leaves of the SNN's own state."""

import pytest
import torch

from hybrid_pose_ros.networks.carry import VOTES_KEPT, CarryOver, vote_on_sides
from hybrid_pose_ros.networks.config import EDGE, PAPER
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps, draw_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.skeleton import JOINTS, MIRROR, SIDE_PAIRS, joint_id

HANDS = [JOINTS[right] for right, _ in SIDE_PAIRS].index("right_hand")
RIGHT_HAND, LEFT_HAND = joint_id("right_hand"), joint_id("left_hand")


def state(value: float) -> SnnState:
    return SnnState(
        {"head": torch.full((2, 3, 4, 5), value)},
        torch.full((2, 13, 4, 5), value),
        torch.full((2, 13, 2), value),
    )


def test_each_joint_keeps_its_share_and_membranes_are_overwritten() -> None:
    network = HybridPoseNetwork(EDGE)
    with torch.no_grad():
        network.carry.heatmaps_logit[3] = torch.tensor(0.25).logit()
        network.carry.velocity_logit[4] = torch.tensor(0.9).logit()
        after = network.reinitialise(state(1.0), state(5.0))
    assert after.velocity is not None
    assert torch.equal(after.membranes["head"], state(1.0).membranes["head"])
    assert after.heatmaps[:, 3] == pytest.approx(0.75 * 1 + 0.25 * 5)
    assert after.heatmaps[:, 2] == pytest.approx(0.7 * 1 + 0.3 * 5)
    assert after.velocity[:, 4] == pytest.approx(0.1 * 1 + 0.9 * 5)
    assert after.velocity[:, 3] == pytest.approx(3.0)


def test_the_papers_network_keeps_nothing() -> None:
    init = state(1.0)
    assert HybridPoseNetwork(PAPER).reinitialise(init, state(5.0)) is init


def standing() -> torch.Tensor:
    """Joints of a person who faces the camera, [1, 13, 2]; each has a place of its own."""
    places = {
        "head": (20, 3),
        "right_shoulder": (16, 8),
        "right_elbow": (13, 14),
        "right_hip": (17, 20),
        "right_hand": (11, 20),
        "right_knee": (17, 27),
        "right_foot": (16, 34),
    }
    points = torch.zeros(1, 13, 2)
    for name, (x, y) in places.items():
        joint = joint_id(name)
        points[0, joint] = torch.tensor([x, y])
        points[0, MIRROR[joint]] = torch.tensor([40 - x, y])
    return points


def seen(points: torch.Tensor) -> SnnState:
    """State of an ANN that is sure of these places; the velocities tell the joints apart."""
    maps = draw_heatmaps(points, torch.ones(1, 13, dtype=torch.bool), 40, 44, 1.5)
    return SnnState({}, maps, torch.arange(26.0).view(1, 13, 2))


def exchanged(points: torch.Tensor, *pairs: int) -> torch.Tensor:
    points = points.clone()
    for pair in pairs:
        points[:, SIDE_PAIRS[pair]] = points[:, SIDE_PAIRS[pair][::-1]]
    return points


def test_a_vote_is_what_the_maps_gain_where_the_others_have_their_peaks() -> None:
    points = standing()
    together = points.clone()
    together[0, LEFT_HAND] = together[0, RIGHT_HAND]
    maps, beside = seen(points).heatmaps, seen(points + 1.0).heatmaps
    assert vote_on_sides(maps, maps)[0].tolist() == pytest.approx([2.0] * 6, abs=0.05)
    assert vote_on_sides(0.5 * maps, beside)[0].tolist() == pytest.approx([1.0] * 6, abs=0.05)
    votes = vote_on_sides(seen(exchanged(points, HANDS)).heatmaps, maps)[0]
    assert votes[HANDS] == pytest.approx(-2.0, abs=0.05)
    assert (votes > 1.9).sum() == 5
    for other in (seen(together).heatmaps, maps.new_zeros(maps.shape)):
        assert vote_on_sides(maps, other)[0, HANDS] == pytest.approx(0.0, abs=0.05)


def test_one_that_exchanges_a_pair_is_outvoted_and_agrees_with_those_before() -> None:
    carry, points = CarryOver().requires_grad_(False), standing()
    right, wrong = seen(points), seen(exchanged(points, HANDS))
    state = carry(right, carry(right, right))
    after = carry(wrong, state)
    assert torch.allclose(after.heatmaps, right.heatmaps, atol=1e-6)
    # the velocities go with the maps: those of the two hands in `wrong` are each other's
    swapped = right.velocity[:, RIGHT_HAND], right.velocity[:, LEFT_HAND]  # type: ignore[index]
    share = float(carry.velocity[0])
    assert after.velocity is not None
    for hand, own, other in ((RIGHT_HAND, *swapped), (LEFT_HAND, *swapped[::-1])):
        assert torch.allclose(after.velocity[:, hand], share * own + (1 - share) * other)
    assert after.sides is not None and state.sides is not None
    assert after.sides[0, HANDS] == pytest.approx(
        VOTES_KEPT * float(state.sides[0, HANDS]) - 2, abs=0.05
    )


def test_those_that_say_the_same_again_and_again_win_at_once_and_altogether() -> None:
    """At the vote that decides the whole pair changes; nothing in between is ever shown."""
    carry, points = CarryOver().requires_grad_(False), standing()
    other = exchanged(points, *range(6))
    state = seen(points)
    for _ in range(4):
        state = carry(seen(points), state)
    sides = []
    for _ in range(6):
        state = carry(seen(other), state)
        shown, _ = decode_heatmaps(state.heatmaps)
        sides.append([bool(torch.allclose(shown, which, atol=0.2)) for which in (points, other)])
    decided = sides.index([False, True])
    assert 2 <= decided <= 4
    assert sides == [[True, False]] * decided + [[False, True]] * (6 - decided)


def test_without_a_state_before_the_last_one_decides() -> None:
    """The second initialisation has as much to say as the first, whose vote nobody counted."""
    carry, points = CarryOver().requires_grad_(False), standing()
    after = carry(seen(exchanged(points, HANDS)), seen(points))
    assert torch.allclose(decode_heatmaps(after.heatmaps)[0], exchanged(points, HANDS), atol=0.2)
    assert after.sides is not None and (after.sides > 1.9).all()


def test_steps_and_silence_keep_the_votes() -> None:
    network = HybridPoseNetwork(EDGE).eval()
    state = network.snn.rest(1, 65, 87)._replace(sides=torch.arange(6.0)[None])
    with torch.no_grad():
        (after,) = network.trace(state, [torch.ones(1, 2, 65, 87)])
        silent = network.snn.silence(state, 3)
    assert after.sides is state.sides and silent.sides is state.sides
