# SPDX-License-Identifier: Apache-2.0
"""The SNN: nine layers of LIF neurons and a decaying accumulator of heatmap increments."""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from hybrid_pose_ros.networks.config import SPIKING_LAYERS, SnnConfig
from hybrid_pose_ros.networks.heatmap_motion import (
    VelocityUpdate,
    attention,
    halve,
    pool,
    shift_heatmaps,
)
from hybrid_pose_ros.networks.layers import ConvNorm, resize_to
from hybrid_pose_ros.networks.lif import LIF
from hybrid_pose_ros.skeleton import NUM_JOINTS


class SnnState(NamedTuple):
    """Everything that the SNN remembers between two steps.

    ``membranes``: potential per spiking layer, [N, C, h, w] each. ``heatmaps``: the accumulator,
    [N, 13, H, W]. ``velocity``: of each joint (x, y) in cells per step, [N, 13, 2]; None in a
    network without motion. ``activity``: weights that the spikes of the step that led here add
    up, as a share of those of a step in which every neuron fires, [N]; counted where gradients
    are, else None. ``sides``: how firmly earlier initialisations agree with the heatmaps about
    left and right, per pair of joints, [N, 6]; None before the second.
    """

    membranes: dict[str, Tensor]
    heatmaps: Tensor
    velocity: Tensor | None = None
    activity: Tensor | None = None
    sides: Tensor | None = None


INPUTS: Final = {
    "head": ("input",),
    "down1": ("head",),
    "down2": ("down1",),
    "down3": ("down2",),
    "res1": ("down3",),
    "res2": ("res1", "down3"),
    "up1": ("res2", "down3"),
    "up2": ("up1", "down2"),
    "up3": ("up2", "down1"),
}
"""Spiking layer -> what enters it; the second input of res2 is added to its currents."""


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


class SpikingUNet(nn.Module):
    """The spiking encoder-decoder of section 4 of the paper, as ``config`` lays it out."""

    levels: Tensor
    decay_logit: Tensor

    def __init__(self, config: SnnConfig) -> None:
        super().__init__()
        self.config = config
        head, kernel = config.head
        downs = [width for width, _ in config.downs]
        ups = [width for width, _ in config.ups]
        deep = downs[2]
        # layer -> (input channels, output channels, kernel, stride)
        shapes = {
            "head": (config.input_planes, head, kernel, 1),
            "down1": (head, downs[0], config.downs[0][1], 2),
            "down2": (downs[0], downs[1], config.downs[1][1], 2),
            "down3": (downs[1], deep, config.downs[2][1], 2),
            "res1": (deep, deep, config.residual_kernel, 1),
            "res2": (deep, deep, config.residual_kernel, 1),
            "up1": (2 * deep, ups[0], config.ups[0][1], 1),
            "up2": (ups[0] + downs[1], ups[1], config.ups[1][1], 1),
            "up3": (ups[1] + downs[0], ups[2], config.ups[2][1], 1),
        }
        self.synapses = nn.ModuleDict(
            {
                name: ConvNorm(cin, cout, k, stride=stride, norm=True)
                for name, (cin, cout, k, stride) in shapes.items()
            }
        )
        self.neurons = nn.ModuleDict(
            {
                name: LIF(cout, config.tau, learned=config.learned_tau)
                for name, (_, cout, _, _) in shapes.items()
            }
        )
        self.readout = ConvNorm(ups[2] + head, NUM_JOINTS, 1, norm=False, bias=False)
        nn.init.normal_(self.readout.conv.weight, std=1e-2)
        self.layer_channels = {name: cout for name, (_, cout, _, _) in shapes.items()}
        # weights that a spike meets, away from the borders
        fan_out = {name: n * k * k / stride**2 for name, (_, n, k, stride) in shapes.items()}
        self._fan_outs = {
            name: sum(
                fan_out[target]
                for target, inputs in INPUTS.items()
                if name in inputs and (name, target) != ("down3", "res2")
            )
            + (NUM_JOINTS if name in ("head", "up3") else 0)
            for name in SPIKING_LAYERS
        }
        self.register_buffer("levels", torch.tensor(config.levels, dtype=torch.float32), False)
        decay = torch.full((NUM_JOINTS, 1, 1), _logit(config.decay))
        if config.learned_decay:
            self.decay_logit = nn.Parameter(decay)
        else:
            self.register_buffer("decay_logit", decay, persistent=False)
        if config.motion:
            self.motion = VelocityUpdate(ups[2] + head + ups[1])

    @property
    def decay(self) -> Tensor:
        """The accumulator's lambda per joint, [13, 1, 1]."""
        return torch.sigmoid(self.decay_logit)

    def layer_sizes(self, height: int, width: int) -> dict[str, tuple[int, int]]:
        """Return (height, width) of each spiking layer for a grid of this size."""
        sizes = [(height, width)]
        for _ in range(3):
            h, w = sizes[-1]
            sizes.append(((h + 1) // 2, (w + 1) // 2))
        level = {"head": 0, "down1": 1, "down2": 2, "down3": 3, "res1": 3, "res2": 3}
        level |= {"up1": 2, "up2": 1, "up3": 0}
        return {name: sizes[level[name]] for name in SPIKING_LAYERS}

    def rest(self, batch: int, height: int, width: int) -> SnnState:
        """Return the state of rest: membranes, accumulator and velocities at zero."""
        like = self.readout.conv.weight
        sizes = self.layer_sizes(height, width)
        membranes = {
            name: like.new_zeros(batch, self.layer_channels[name], *sizes[name])
            for name in SPIKING_LAYERS
        }
        velocity = like.new_zeros(batch, NUM_JOINTS, 2) if self.config.motion else None
        return SnnState(membranes, like.new_zeros(batch, NUM_JOINTS, height, width), velocity)

    def encode(self, counts: Tensor) -> Tensor:
        """Thermometer code of event counts: [N, 2, H, W] -> [N, input_planes, H, W]."""
        if not self.config.levels:
            return counts
        planes = counts.unsqueeze(1) >= self.levels.view(1, -1, 1, 1, 1)
        return planes.flatten(1, 2).to(counts.dtype)

    def silence(self, state: SnnState, steps: int) -> SnnState:
        """Leak for many steps at once, without input or spikes, in closed form.

        Nothing moves where no event is: velocities fall without moving the heatmaps.
        """
        membranes = {}
        for name, membrane in state.membranes.items():
            neuron = self.neurons[name]
            assert isinstance(neuron, LIF)
            membranes[name] = membrane * (1.0 - neuron.leak) ** steps
        velocity = None if state.velocity is None else state.velocity * self.motion.inertia**steps
        heatmaps = state.heatmaps * self.decay**steps
        return SnnState(membranes, heatmaps, velocity, sides=state.sides)

    def forward(self, counts: Tensor, state: SnnState) -> tuple[Tensor, SnnState]:
        """Advance by one step.

        Args:
            counts: events per cell in this step, float [N, 2, H, W] (OFF, ON).
            state: the state after the previous step.

        Returns:
            ``(delta, state)``: the increment of the heatmaps [N, 13, H, W], and the new state,
            whose ``heatmaps`` are ``decay * heatmaps + delta``, the old ones first moved by the
            velocity; or ``delta`` alone in a network that does not accumulate.
        """
        membranes: dict[str, Tensor] = {}
        added: list[Tensor] = []

        def fire(name: str, current: Tensor) -> Tensor:
            membrane = state.membranes[name]
            # under autocast the currents are half precision; potentials stay in float32
            spikes, membranes[name] = self.neurons[name](current.to(membrane.dtype), membrane)
            if torch.is_grad_enabled():
                added.append(spikes.sum((1, 2, 3)) * self._fan_outs[name])
            return spikes

        def up(name: str, below: Tensor, skip: Tensor) -> Tensor:
            spikes = torch.cat((below, skip), 1)
            target = state.membranes[name]
            if self.config.upsample_first:
                return fire(name, self.synapses[name](resize_to(spikes, target)))
            return fire(name, resize_to(self.synapses[name](spikes), target))

        head = fire("head", self.synapses["head"](self.encode(counts)))
        down1 = fire("down1", self.synapses["down1"](head))
        down2 = fire("down2", self.synapses["down2"](down1))
        down3 = fire("down3", self.synapses["down3"](down2))
        res1 = fire("res1", self.synapses["res1"](down3))
        res2 = fire("res2", self.synapses["res2"](res1) + down3)
        up1 = up("up1", res2, down3)
        up2 = up("up2", up1, down2)
        up3 = up("up3", up2, down1)
        last = torch.cat((up3, head), 1)
        delta: Tensor = self.readout(last).to(state.heatmaps.dtype)
        activity = None
        if added:
            most = sum(v[0].numel() * self._fan_outs[name] for name, v in membranes.items())
            activity = sum(added[1:], added[0]) / most
        if not self.config.accumulate:
            return delta, SnnState(membranes, delta, state.velocity, activity, state.sides)
        heatmaps, velocity = state.heatmaps, state.velocity
        if velocity is not None:
            where = attention(heatmaps.detach())
            near = pool(where, last.to(where.dtype))
            wide = pool(halve(where), up2.to(where.dtype))
            velocity = self.motion(velocity, torch.cat((near, wide), -1))
            heatmaps = shift_heatmaps(heatmaps, velocity)
        heatmaps = self.decay * heatmaps + delta
        return delta, SnnState(membranes, heatmaps, velocity, activity, state.sides)
