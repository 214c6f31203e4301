# SPDX-License-Identifier: Apache-2.0
"""Joint heatmaps: drawing the targets and reading sub-cell positions with a confidence."""

from typing import Final

import torch
from torch import Tensor

LOG_FLOOR: Final = 1e-4
"""Heatmap values below are raised to it before their logarithm is taken."""


UNSURE: Final = 0.3
"""Height of a peak below which its joint is put at the mean of where it may be."""

MEAN_FLOOR: Final = 0.1
"""Share of the peak that a cell must exceed to count in that mean: it counts by what is above."""


def draw_heatmaps(
    points: Tensor, visible: Tensor, height: int, width: int, sigma: float
) -> Tensor:
    """Draw one Gaussian of height 1 per joint, at its exact (not rounded) position.

    Args:
        points: grid coordinates (x, y), [..., J, 2].
        visible: bool [..., J]; the map of a joint that is not visible is zero.
        height, width: size of the grid.
        sigma: standard deviation in cells.

    Returns:
        [..., J, height, width].

    Example:
        >>> points = torch.tensor([[10.0, 5.0], [0.0, 0.0]])  # [2, 2]: (x, y) in cells
        >>> maps = draw_heatmaps(points, torch.tensor([True, False]), 65, 87, sigma=1.5)
        >>> tuple(maps.shape), maps[0, 5, 10].item(), maps[1].max().item()
        ((2, 65, 87), 1.0, 0.0)
    """
    xs = torch.arange(width, dtype=points.dtype, device=points.device)
    ys = torch.arange(height, dtype=points.dtype, device=points.device)
    scale = -0.5 / (sigma * sigma)
    gx = torch.exp(scale * (xs - points[..., 0, None]) ** 2)
    gy = torch.exp(scale * (ys - points[..., 1, None]) ** 2) * visible[..., None]
    return gy[..., :, None] * gx[..., None, :]


def highest_cells(heatmaps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(peak, row, column)`` of each heatmap's highest cell: [..., H, W] -> [...] each.

    Example:
        >>> heatmaps = torch.zeros(13, 65, 87)
        >>> heatmaps[:, 20, 30] = 0.8
        >>> peak, row, column = highest_cells(heatmaps)
        >>> tuple(peak.shape), int(row[0]), int(column[0])
        ((13,), 20, 30)
    """
    peak, index = heatmaps.flatten(-2).max(-1)
    row = torch.div(index, heatmaps.shape[-1], rounding_mode="floor")
    return peak, row, index - row * heatmaps.shape[-1]


def locate_peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Locate the peak of each heatmap to a fraction of a cell.

    The highest cell is refined by a parabola through the logarithms of it and its two neighbours
    along each axis, which is exact for a Gaussian of any width.

    Args:
        heatmaps: [..., H, W], H and W at least 3.

    Returns:
        ``(points, height)``: grid coordinates (x, y) [..., 2], and the value of the highest cell,
        clipped to [0, 1].
    """
    height, width = heatmaps.shape[-2:]
    peak, row, column = highest_cells(heatmaps)
    flat = heatmaps.flatten(-2)
    offset_x = _vertex(flat, row, column, width, (0, 1), (column > 0) & (column < width - 1))
    offset_y = _vertex(flat, row, column, width, (1, 0), (row > 0) & (row < height - 1))
    points = torch.stack((column + offset_x, row + offset_y), -1)
    return points, peak.clamp(0.0, 1.0)


def decode_heatmaps(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the joints: where the peaks are, or the mean of where those without one may be.

    Trained by least squares on Gaussians of height 1, the network puts about the probability
    there that a joint lies in a place. A map whose peak is below :data:`UNSURE` says that the
    joint may be in several: the mean of these is nearer to it, on average, than any one of them.

    Args:
        heatmaps: [..., H, W], H and W at least 3.

    Returns:
        ``(points, confidence)``: grid coordinates (x, y) [..., 2], and the value of the highest
        cell, clipped to [0, 1].

    Example:
        >>> points = torch.tensor([[30.3, 20.75]])
        >>> heatmaps = draw_heatmaps(points, torch.tensor([True]), 65, 87, sigma=1.5)
        >>> found, confidence = decode_heatmaps(heatmaps)
        >>> tuple(found.shape), tuple(confidence.shape)
        ((1, 2), (1,))
        >>> torch.allclose(found, points, atol=1e-3)
        True
    """
    points, confidence = locate_peaks(heatmaps)
    unsure = (confidence > 0.0) & (confidence < UNSURE)
    maps = heatmaps[unsure].double()
    above = (maps - MEAN_FLOOR * maps.amax((-1, -2), keepdim=True)).clamp_min(0.0)
    above = above / above.sum((-1, -2), keepdim=True)
    x = above.sum(-2) @ torch.arange(maps.shape[-1], dtype=maps.dtype, device=maps.device)
    y = above.sum(-1) @ torch.arange(maps.shape[-2], dtype=maps.dtype, device=maps.device)
    points[unsure] = torch.stack((x, y), -1).to(points.dtype)
    return points, confidence


def _vertex(
    flat: Tensor, row: Tensor, column: Tensor, width: int, step: tuple[int, int], inside: Tensor
) -> Tensor:
    """Offset of the parabola's vertex from the highest cell along one axis, 0 at the border."""
    stride = step[0] * width + step[1]
    centre = row * width + column
    last = flat.shape[-1] - 1
    around = torch.stack(
        ((centre - stride).clamp(0, last), centre, (centre + stride).clamp(0, last))
    )
    logs = (
        torch.stack([flat.gather(-1, i[..., None])[..., 0] for i in around])
        .clamp_min(LOG_FLOOR)
        .log()
    )
    curvature = logs[0] - 2.0 * logs[1] + logs[2]
    offset = 0.5 * (logs[0] - logs[2]) / curvature.clamp_max(-1e-6)
    return torch.where(inside, offset.clamp(-0.5, 0.5), torch.zeros_like(offset))
