# SPDX-License-Identifier: Apache-2.0
"""Turns, scales and stretches the samples of a batch, thins out their events, and frames some.

A few hundred recordings show few scenes: a network learns them by heart unless no sample looks the
same twice. What a sample holds of a person is seen from nearer, farther, and by a tilted camera.
Of some samples the ANN sees only what lies around the person, as it does in use.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from hybrid_pose_ros.pipeline.person_window import MIN_JOINTS, MIN_SIDE
from hybrid_pose_ros.research.training.sampling import Batch, Source


@dataclass(frozen=True)
class Warp:
    """Random changes of a batch.

    Attributes:
        share: of the samples that are turned, scaled and stretched.
        turn_deg: standard deviation of the angle in degrees.
        scale: largest factor of the size, and one over the smallest.
        stretch: standard deviation of the stretch, and of the shear.
        thin: share of the samples of which events are lost.
        kept: smallest share of the events that is left of those.
        framed: share of the samples of which the ANN sees only what lies around the joints.
        margins: least and most of what it then sees beyond the joints on each side, as a share of
            the longer side of the box around them.
    """

    share: float = 0.8
    turn_deg: float = 20.0
    scale: float = 1.35
    stretch: float = 0.06
    thin: float = 0.3
    kept: float = 0.35
    framed: float = 0.4
    margins: tuple[float, float] = (0.1, 0.5)


WARP: Final = Warp()


class WarpedSource:
    """The batches of another source, warped as the seed and their numbers say."""

    def __init__(self, source: Source, seed: int, planes: int, how: Warp = WARP) -> None:
        self._source = source
        self._seed = seed
        self._planes = planes
        self._how = how

    def batches(self, numbers: range) -> Iterator[Batch]:
        """Yield the batches of these numbers, on the device of the source."""
        for number, batch in zip(numbers, self._source.batches(numbers), strict=True):
            seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
            yield warp(batch, self._planes, torch.Generator().manual_seed(seed), self._how)


def warp(batch: Batch, planes: int, generator: torch.Generator, how: Warp = WARP) -> Batch:
    """Return a changed batch; each sample is turned about the joints in view at its beginning.

    Args:
        planes: how many of the ANN's input planes are counts, the first ones.
        generator: of the CPU; the batch may lie elsewhere.
    """
    samples, width = batch.windows.shape[1], batch.windows.shape[-1]
    height = batch.windows.shape[-2]
    size = torch.tensor((width, height), dtype=torch.float32)
    matrix = _matrices(samples, generator, how)
    kept = torch.ones(samples)
    thinned = torch.rand(samples, generator=generator) < how.thin
    kept[thinned] = torch.empty(int(thinned.sum())).uniform_(how.kept, 1.0, generator=generator)
    device = batch.windows.device
    size, matrix, kept = size.to(device), matrix.to(device), kept.to(device)
    seen = batch.visible[0, ..., None]
    found = (batch.points[0] * seen).sum(1) / seen.sum(1).clamp_min(1)
    centre = torch.where(seen.any(1), found, (size - 1) / 2)

    points = _moved(batch.points, matrix, centre)
    points = torch.where(batch.known[..., None], points, batch.points)
    inside = ((points > -0.5) & (points < size - 0.5)).all(-1)
    cells = torch.cartesian_prod(
        torch.arange(height, device=device), torch.arange(width, device=device)
    )
    origin = _moved(cells.flip(-1).expand(1, samples, -1, 2).float(), matrix.inverse(), centre)[0]
    grid = (2 * origin / (size - 1) - 1).unflatten(1, (height, width))
    windows = _resampled(batch.windows, grid)
    windows[:, :, :planes] = _thinned(windows[:, :, :planes], kept, generator)
    counts = _thinned(_resampled(batch.counts.float(), grid), kept, generator)
    visible = batch.visible & inside
    windows *= _frames(points, visible, (height, width), generator, how).to(device)[:, None]
    return Batch(windows, counts.to(batch.counts.dtype), points, visible)


def _matrices(samples: int, generator: torch.Generator, how: Warp) -> Tensor:
    """Draw what a sample's places are multiplied by: [N, 2, 2]."""
    chosen = (torch.rand(samples, generator=generator) < how.share).float()
    angle, stretch, shear = torch.randn(3, samples, generator=generator) * chosen
    angle = angle * math.radians(how.turn_deg)
    stretch = torch.exp(stretch * how.stretch)
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros(samples)
    turn = torch.stack((cos, -sin, sin, cos), -1).unflatten(-1, (2, 2))
    shape = torch.stack((stretch, shear * how.stretch, none, 1 / stretch), -1)
    exponent = (torch.rand(samples, generator=generator) * 2 - 1) * chosen
    return how.scale ** exponent[:, None, None] * turn @ shape.unflatten(-1, (2, 2))


def _moved(points: Tensor, matrix: Tensor, centre: Tensor) -> Tensor:
    """Multiply places [T, N, P, 2] about the centres [N, 2] by matrices [N, 2, 2]."""
    away = points - centre[:, None]
    return torch.einsum("nij,tnpj->tnpi", matrix, away) + centre[:, None]


def _resampled(maps: Tensor, grid: Tensor) -> Tensor:
    """Read maps [T, N, C, H, W] where the grid [N, H, W, 2] says; nothing lies outside."""
    flat = maps.transpose(0, 1).flatten(1, 2)
    found = grid_sample(flat, grid, mode="nearest", padding_mode="zeros", align_corners=True)
    return found.unflatten(1, (maps.shape[0], maps.shape[2])).transpose(0, 1).contiguous()


def _thinned(counts: Tensor, kept: Tensor, generator: torch.Generator) -> Tensor:
    """Keep each event of [T, N, C, H, W] with the probability of its sample [N]."""
    rows = (kept < 1).nonzero()[:, 0]
    part = counts[:, rows]
    active = part > 0
    chances = kept[rows, None, None, None].expand_as(part)[active]
    part[active] = torch.binomial(part[active].cpu(), chances.cpu(), generator=generator).to(part)
    counts[:, rows] = part
    return counts


def _frames(
    points: Tensor,
    visible: Tensor,
    size: tuple[int, int],
    generator: torch.Generator,
    how: Warp,
) -> Tensor:
    """Draw what the ANN sees of each sample: bool [N, H, W], all of it where not enough is seen.

    Args:
        points, visible: of the batch.
        size: height and width in cells.
    """
    points, visible = points.cpu(), visible.cpu()
    samples = points.shape[1]
    framed = torch.rand(samples, generator=generator) < how.framed
    margins = torch.empty(2, samples, 2).uniform_(*how.margins, generator=generator)
    framed &= visible.any(0).sum(1) >= MIN_JOINTS
    seen = visible[..., None]
    low = points.masked_fill(~seen, math.inf).amin((0, 2))
    high = points.masked_fill(~seen, -math.inf).amax((0, 2))
    side = (high - low).amax(1, keepdim=True).clamp_min(MIN_SIDE)
    low, high = low - margins[0] * side, high + margins[1] * side
    rows, columns = (torch.arange(length)[:, None] for length in size)
    inside_x = (columns >= low[:, 0]) & (columns <= high[:, 0])
    inside_y = (rows >= low[:, 1]) & (rows <= high[:, 1])
    return (inside_y.T[:, :, None] & inside_x.T[:, None]) | ~framed[:, None, None]
