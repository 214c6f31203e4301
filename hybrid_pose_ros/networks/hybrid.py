# SPDX-License-Identifier: Apache-2.0
"""The hybrid: ANN, state initialiser and SNN in one module."""

from collections.abc import Iterable

from torch import Tensor, nn

from hybrid_pose_ros.networks.ann import AnnUNet
from hybrid_pose_ros.networks.carry import CarryOver
from hybrid_pose_ros.networks.config import SPIKING_LAYERS, ModelConfig
from hybrid_pose_ros.networks.heatmap_motion import MotionHead
from hybrid_pose_ros.networks.layers import ConvNorm, leaky, resize_to
from hybrid_pose_ros.networks.snn import SnnState, SpikingUNet


class StateInitialiser(nn.Module):
    """Maps ANN activations to the membrane potentials of the nine spiking layers.

    Per layer: bilinear upsampling where the activation is the smaller, 1x1 convolution, BatchNorm,
    LeakyReLU, 1x1 convolution, BatchNorm (section 3.2 of the paper).
    """

    def __init__(self, taps: dict[str, str], inputs: dict[str, int], outputs: dict[str, int]):
        super().__init__()
        self.taps = taps
        self.first = nn.ModuleDict(
            {
                layer: ConvNorm(inputs[tap], outputs[layer], 1, norm=True, bias=True)
                for layer, tap in taps.items()
            }
        )
        self.second = nn.ModuleDict(
            {
                layer: ConvNorm(outputs[layer], outputs[layer], 1, norm=True, bias=True)
                for layer in taps
            }
        )

    def forward(self, activations: dict[str, Tensor], rest: SnnState) -> dict[str, Tensor]:
        """Return a membrane per spiking layer, shaped like those of ``rest``."""
        return {
            layer: self.second[layer](
                leaky(self.first[layer](resize_to(activations[tap], rest.membranes[layer])))
            ).to(rest.membranes[layer].dtype)
            for layer, tap in self.taps.items()
        }


class HybridPoseNetwork(nn.Module):
    """ANN, SNN and the initialiser between them.

    Attributes:
        config: the configuration it was built from.
        ann, snn, initialiser: its parts; ``motion``: begins the velocities, in a network that has
            them; ``carry``: what an initialisation leaves, in a network that has it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.ann = AnnUNet(config.ann)
        self.snn = SpikingUNet(config.snn)
        self.initialiser = StateInitialiser(
            dict(zip(SPIKING_LAYERS, config.taps, strict=True)),
            self.ann.tap_channels,
            self.snn.layer_channels,
        )
        if config.snn.motion:
            # the decoder's activations, from full to quarter resolution
            taps = [f"up{i}" for i in range(len(config.ann.downs), 0, -1)][:3]
            self.motion = MotionHead({tap: self.ann.tap_channels[tap] for tap in taps})
        if config.carry:
            self.carry = CarryOver()

    def initial_state(self, windows: Tensor) -> tuple[Tensor, SnnState]:
        """Run the ANN and initialise the SNN from it.

        Args:
            windows: the ANN's input, [N, planes, H, W].

        Returns:
            the ANN's heatmaps [N, 13, H, W], and an SNN state whose accumulator holds them,
            detached as in the paper.
        """
        heatmaps, activations = self.ann(windows)
        rest = self.snn.rest(len(windows), *windows.shape[-2:])
        membranes = rest.membranes
        if self.config.init_membranes:
            membranes = self.initialiser(activations, rest)
        kept = heatmaps.detach().to(rest.heatmaps.dtype)
        velocity = None
        if self.config.snn.motion:
            velocity = self.motion(kept, activations).to(kept.dtype)
        return heatmaps, SnnState(membranes, kept, velocity)

    def reinitialise(self, init: SnnState, own: SnnState) -> SnnState:
        """Return the state after an initialisation of an SNN that had one before.

        Args:
            init: what the ANN says, from :meth:`initial_state`.
            own: the SNN's state at that moment.
        """
        if not self.config.carry:
            return init
        carried: SnnState = self.carry(init, own)
        return carried

    def trace(self, state: SnnState, counts: Iterable[Tensor]) -> list[SnnState]:
        """Step the SNN through ``counts`` ([N, 2, H, W] each, of any type); return all states."""
        states = []
        for step in counts:
            _, state = self.snn(step.float(), state)
            states.append(state)
        return states

    def run(self, state: SnnState, counts: Iterable[Tensor]) -> list[Tensor]:
        """Step the SNN as :meth:`trace` does; returns the heatmaps after each step."""
        return [state.heatmaps for state in self.trace(state, counts)]
