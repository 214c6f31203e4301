# SPDX-License-Identifier: Apache-2.0
"""Convolution with optional BatchNorm, foldable for inference, and resizing."""

from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu
from torch.nn.utils.fusion import fuse_conv_bn_eval

LEAKY_SLOPE = 0.1


class ConvNorm(nn.Module):
    """'Same' convolution, then BatchNorm if ``norm``.

    ``bias`` defaults to the presence of a bias only where no BatchNorm follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        norm: bool,
        bias: bool | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            kernel // 2,
            bias=not norm if bias is None else bias,
        )
        self.norm: nn.Module = nn.BatchNorm2d(out_channels) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, ceil(H / stride), ceil(W / stride)]."""
        out: Tensor = self.norm(self.conv(x))
        return out

    def fold(self) -> None:
        """Fold the BatchNorm's running statistics into the convolution (inference only)."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


def fold_batchnorm(module: nn.Module) -> None:
    """Fold every :class:`ConvNorm` below ``module``, in place."""
    for child in module.modules():
        if isinstance(child, ConvNorm):
            child.fold()


def leaky(x: Tensor) -> Tensor:
    """The ANN's activation."""
    return leaky_relu(x, LEAKY_SLOPE)


def resize_to(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear resampling of [N, C, h, w] to the height and width of ``like``."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
