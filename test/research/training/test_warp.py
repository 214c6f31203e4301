# SPDX-License-Identifier: Apache-2.0
"""Warped samples: events and joints move together, and the same seed gives the same."""

from dataclasses import replace

import pytest
import torch

from hybrid_pose_ros.research.training.sampling import Batch
from hybrid_pose_ros.research.training.shards import UNKNOWN
from hybrid_pose_ros.research.training.warp import Warp, WarpedSource, warp

PLANES = 4
NOTHING = Warp(share=0.0, thin=0.0, framed=0.0)


def batch(samples: int = 6) -> Batch:
    """Joints of which each has events of its own around it, as many as its number and one."""
    torch.manual_seed(0)
    points = torch.stack(
        [torch.tensor((22.0 + 6 * (joint % 4), 14.0 + 8 * (joint // 4))) for joint in range(13)]
    ).expand(5, samples, 13, 2)
    windows = torch.zeros(1, samples, PLANES + 1, 60, 64)
    counts = torch.zeros(4, samples, 2, 60, 64, dtype=torch.uint8)
    for joint, (x, y) in enumerate(points[0, 0].long()):
        windows[..., y - 1 : y + 2, x - 1 : x + 2] = joint + 1
        counts[..., y - 1 : y + 2, x - 1 : x + 2] = joint + 1
    return Batch(windows, counts, points.clone(), torch.ones(5, samples, 13, dtype=torch.bool))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_is_changed_where_nothing_is_drawn() -> None:
    plain = batch()
    for found, given in zip(warp(plain, PLANES, generator(), NOTHING), plain, strict=True):
        assert found.dtype == given.dtype
        assert torch.allclose(found.float(), given.float(), atol=1e-4)


def test_events_go_where_the_joints_go() -> None:
    found = warp(batch(), PLANES, generator(), replace(NOTHING, share=1.0))
    assert not torch.allclose(found.points, batch().points, atol=1.0)
    for sample in range(6):
        for joint in range(13):
            assert found.visible[0, sample, joint]
            x, y = found.points[0, sample, joint].round().long()
            assert (found.windows[0, sample, :, y, x] == joint + 1).all()
            assert (found.counts[:, sample, :, y, x] == joint + 1).all()


@pytest.mark.parametrize(
    ("how", "shape"),
    [
        (Warp(share=1.0, turn_deg=20, scale=1.0, stretch=0.0), "turned"),
        (Warp(share=1.0, turn_deg=0, scale=1.4, stretch=0.0), "scaled"),
    ],
)
def test_turning_keeps_lengths_and_scaling_angles(how: Warp, shape: str) -> None:
    plain, found = (
        batch(20),
        warp(batch(20), PLANES, generator(), replace(how, thin=0.0, framed=0.0)),
    )
    before = plain.points[0, :, 12] - plain.points[0, :, 0]
    after = found.points[0, :, 12] - found.points[0, :, 0]
    ratio = after.norm(dim=-1) / before.norm(dim=-1)
    cosine = torch.nn.functional.cosine_similarity(before, after, dim=-1)
    if shape == "turned":
        assert torch.allclose(ratio, torch.ones(20), atol=1e-4)
        assert cosine.min() < 0.95
    else:
        assert torch.allclose(cosine, torch.ones(20), atol=1e-4)
        assert 1 / 1.4 - 1e-3 <= ratio.min() < 0.9 and 1.1 < ratio.max() <= 1.4 + 1e-3


def test_joints_that_leave_the_grid_and_unknown_ones() -> None:
    plain = batch()
    plain.points[:, :, 3] = UNKNOWN
    plain.visible[:, :, 3] = False
    plain.points[1:, :, 5] = 59.0  # not at the beginning, from which the centre comes
    found = warp(plain, PLANES, generator(), replace(NOTHING, share=1.0, scale=3.0))
    assert (found.points[:, :, 3] == UNKNOWN).all() and not found.visible[:, :, 3].any()
    x, y = found.points.unbind(-1)
    inside = (x > -0.5) & (x < 63.5) & (y > -0.5) & (y < 59.5)
    assert torch.equal(found.visible, inside & plain.visible)
    assert not found.visible[1:, :, 5].all()


def test_thinned_samples_lose_their_share_of_events_and_no_ages() -> None:
    plain = batch(400)
    found = warp(plain, PLANES, generator(), replace(NOTHING, thin=0.5, kept=0.4))
    assert torch.equal(found.windows[:, :, PLANES:], plain.windows[:, :, PLANES:])
    whole = plain.windows[:, :, :PLANES].sum((0, 2, 3, 4))
    left = found.windows[:, :, :PLANES].sum((0, 2, 3, 4)) / whole
    thinned = left < 1
    assert 0.4 < thinned.float().mean() < 0.6
    assert 0.35 < left[thinned].min() < 0.5 and 0.6 < left[thinned].mean() < 0.8
    steps = found.counts.float().sum((0, 2, 3, 4)) / plain.counts.float().sum((0, 2, 3, 4))
    assert torch.allclose(steps, left, atol=0.08)


def test_batches_are_a_function_of_seed_and_number() -> None:
    class Same:
        def batches(self, numbers: range):
            return (batch() for _ in numbers)

    def of(seed: int, numbers: range) -> list[Batch]:
        return list(WarpedSource(Same(), seed, PLANES).batches(numbers))

    first, second = of(1, range(2))
    again = of(1, range(1, 2))[0]
    assert all(map(torch.equal, second, again))
    assert not torch.equal(first.points, second.points)
    assert not torch.equal(first.points, of(2, range(1))[0].points)


def test_the_ann_of_a_framed_sample_sees_what_lies_around_the_joints() -> None:
    plain = batch()
    plain.windows[:] = 1.0
    how = replace(NOTHING, framed=1.0, margins=(0.25, 0.25))
    found = warp(plain, PLANES, generator(), how)
    # joints from (22, 14) to (40, 38): the longer side is 24 cells, the margin 6
    expected = torch.zeros(60, 64)
    expected[8:45, 16:47] = 1.0
    assert (found.windows == expected).all()
    assert torch.equal(found.counts, plain.counts), "the SNN sees everything"


@pytest.mark.parametrize("seen", [0, 5])
def test_a_sample_with_few_joints_in_view_is_not_framed(seen: int) -> None:
    plain = batch()
    plain.visible[..., seen:] = False
    found = warp(plain, PLANES, generator(), replace(NOTHING, framed=1.0))
    assert torch.equal(found.windows, plain.windows)


def test_a_share_of_the_samples_is_framed_each_side_by_its_own_margin() -> None:
    plain = batch(200)
    plain.windows[:] = 1.0
    windows = warp(plain, PLANES, generator(), replace(NOTHING, framed=0.4)).windows[0, :, 0]
    framed = [sample for sample in windows if not sample.all()]
    assert len(framed) == pytest.approx(80, abs=20)
    edges = {(int(s.any(1).sum()), int(s.any(0).sum())) for s in framed}
    assert len(edges) > 20
