# SPDX-License-Identifier: Apache-2.0
"""The ANN: a U-Net from event windows to 13 heatmaps, whose activations initialise the SNN."""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from hybrid_pose_ros.networks.config import AnnConfig
from hybrid_pose_ros.networks.layers import LEAKY_SLOPE, ConvNorm, leaky, resize_to
from hybrid_pose_ros.skeleton import NUM_JOINTS


class _Block(nn.Module):
    """Two convolutions that change what they are given; untrained, they leave it as it is."""

    def __init__(self, channels: int, kernel: int, norm: bool) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels, kernel, norm=norm)
        self.conv2 = ConvNorm(channels, channels, kernel, norm=norm)

    def leave_as_is(self) -> None:
        """Make the block the identity, from which training starts."""
        last = self.conv2.norm if isinstance(self.conv2.norm, nn.BatchNorm2d) else self.conv2.conv
        nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv2(leaky(self.conv1(x)))
        return x + change


class _Down(nn.Module):
    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, norm: bool, blocks: int
    ) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, out_channels, kernel, norm=norm)
        self.conv2 = ConvNorm(out_channels, out_channels, kernel, norm=norm)
        self.blocks = nn.Sequential(*(_Block(out_channels, kernel, norm) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        x = avg_pool2d(x, 2, ceil_mode=True)
        x = leaky(self.conv2(leaky(self.conv1(x))))
        deeper: Tensor = self.blocks(x)
        return deeper


class _Up(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, norm: bool) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, out_channels, 3, norm=norm)
        self.conv2 = ConvNorm(2 * out_channels, out_channels, 3, norm=norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = leaky(self.conv1(resize_to(x, skip)))
        return leaky(self.conv2(torch.cat((x, skip), 1)))


class AnnUNet(nn.Module):
    """U-Net of section 4 of the paper, in the widths and depth of ``config``."""

    def __init__(self, config: AnnConfig) -> None:
        super().__init__()
        self.config = config
        channels, kernel = config.stem
        self.stem1 = ConvNorm(config.input_planes, channels, kernel, norm=config.norm)
        self.stem2 = ConvNorm(channels, channels, kernel, norm=config.norm)
        widths = [channels, *(width for width, _ in config.downs)]
        blocks = config.blocks or (0,) * len(config.downs)
        self.downs = nn.ModuleList(
            _Down(width, out, k, config.norm, extra)
            for width, (out, k), extra in zip(widths[:-1], config.downs, blocks, strict=True)
        )
        self.ups = nn.ModuleList(
            _Up(widths[i + 1], widths[i], config.norm) for i in reversed(range(len(config.downs)))
        )
        self.head = ConvNorm(channels, NUM_JOINTS, config.head_kernel, norm=False)
        if not config.norm:
            # twenty layers of torch's own initialisation and no norm leave nothing of the input
            for layer in self.modules():
                if isinstance(layer, ConvNorm) and layer.conv.bias is not None:
                    nn.init.kaiming_normal_(layer.conv.weight, a=LEAKY_SLOPE)
                    nn.init.zeros_(layer.conv.bias)
        for layer in self.modules():
            if isinstance(layer, _Block):
                layer.leave_as_is()
        # heatmaps start near zero, where the loss is 1 whatever the layers below do
        nn.init.normal_(self.head.conv.weight, std=1e-3)
        self.tap_channels = {"stem": channels}
        self.tap_channels |= {f"down{i}": w for i, w in enumerate(widths[1:], 1)}
        self.tap_channels |= {f"up{i}": w for i, w in enumerate(reversed(widths[:-1]), 1)}

    def forward(self, inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Estimate heatmaps.

        Args:
            inputs: [N, planes, H, W]: event counts, OFF and ON of the newest window first; then,
                where the configuration has them, a plane of ages per level
                (:mod:`hybrid_pose_ros.events.activity`).

        Returns:
            heatmaps [N, 13, H, W], and the activations ``stem``, ``down1``..., ``up1``...
        """
        x = inputs
        if self.config.log_counts:
            counts = 2 * len(self.config.window_steps)
            x = torch.cat((torch.log1p(inputs[:, :counts]), inputs[:, counts:]), 1)
        x = leaky(self.stem2(leaky(self.stem1(x))))
        taps = {"stem": x}
        skips = []
        for i, down in enumerate(self.downs, 1):
            skips.append(x)
            x = taps[f"down{i}"] = down(x)
        for i, up in enumerate(self.ups, 1):
            x = taps[f"up{i}"] = up(x, skips.pop())
        return self.head(x), taps
