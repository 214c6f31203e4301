# SPDX-License-Identifier: Apache-2.0
"""Layers and sizes of the two networks: the `edge` and the `paper` configuration.

`paper` is, layer for layer, the network of Aydin et al. (CVPRW 2024, section 4 and its published
code). `edge` keeps the method and fits two CPU cores: the image is pooled four times, every SNN
convolution has binary inputs (it convolves first and upsamples the currents afterwards), and the
ANN sees windows that grow towards the past, and when each cell was last active, so that limbs at
rest are not forgotten.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.events.noise import NoiseFilter

SPIKING_LAYERS = ("head", "down1", "down2", "down3", "res1", "res2", "up1", "up2", "up3")
"""Names of the nine spiking layers, in the order in which a step runs them."""

HEATMAPS = "heatmaps"
"""Name of the accumulator beside them in a state."""

VELOCITY = "velocity"
"""Name of the joints' velocities in the state of a model that has them."""


@dataclass(frozen=True)
class ViewConfig:
    """The network's image plane: a view of the sensor, cropped and pooled to a grid of cells."""

    view_width: int
    view_height: int
    cell: int
    crop_x: int
    crop_y: int
    grid_width: int
    grid_height: int

    def fit(self, sensor_width: int, sensor_height: int) -> GridView:
        """Return the mapping of a sensor of this size (pixels) to the grid."""
        return GridView.fit(
            sensor_width,
            sensor_height,
            view=(self.view_width, self.view_height),
            cell=self.cell,
            crop=(self.crop_x, self.crop_y, self.grid_width, self.grid_height),
        )


@dataclass(frozen=True)
class AnnConfig:
    """The U-Net that runs at the low rate.

    Attributes:
        window_steps: widths, in steps, of its input windows, newest first.
        log_counts: feed ``log(1 + count)`` instead of raw counts.
        stem: (channels, kernel) of the two convolutions at full resolution.
        downs: (channels, kernel) of each level: average pooling and two convolutions.
        head_kernel: kernel of the last convolution.
        norm: BatchNorm after each convolution but the last (which then have no bias).
        blocks: residual blocks of two convolutions that end each level; none where it is empty.
            The coarse levels, which see the whole body, have few cells: depth is cheap there.
        activity_levels: how long ago a cell last had so many events within a step is one input
            plane per level: what rests makes no events, and is not forgotten.
        activity_steps: length of those steps, in steps.
    """

    window_steps: tuple[int, ...]
    log_counts: bool
    stem: tuple[int, int]
    downs: tuple[tuple[int, int], ...]
    head_kernel: int
    norm: bool
    blocks: tuple[int, ...] = ()
    activity_levels: tuple[int, ...] = ()
    activity_steps: int = 1

    @property
    def history_steps(self) -> int:
        """How many steps the windows span."""
        return sum(self.window_steps)

    @property
    def input_planes(self) -> int:
        """Channels of the first convolution: OFF and ON of each window, then ages."""
        return 2 * len(self.window_steps) + len(self.activity_levels)


@dataclass(frozen=True)
class SnnConfig:
    """The spiking encoder-decoder that runs at every step.

    Attributes:
        levels: thresholds of the input's thermometer code: one binary plane per polarity and
            level, set where the count reaches it. Empty: raw counts, one plane per polarity.
        head: (channels, kernel); likewise ``downs``, ``ups``; ``residual_kernel`` of both residual
            layers.
        upsample_first: upsample the spikes and convolve (paper), or convolve the spikes and
            upsample the currents (cheaper, and keeps the inputs binary).
        tau: membrane time constant in steps: the shortest and the longest of a layer, whose
            channels are spread evenly (in the logarithm) between them; ``learned_tau``: trained.
        decay: the output accumulator's lambda; ``learned_decay``: one per joint, trained.
        accumulate: the readout is an increment of the heatmaps; otherwise the heatmaps themselves.
        motion: the state holds a velocity per joint, which the spikes around the joints change and
            which moves the accumulated heatmaps at every step.
    """

    levels: tuple[int, ...]
    head: tuple[int, int]
    downs: tuple[tuple[int, int], ...]
    residual_kernel: int
    ups: tuple[tuple[int, int], ...]
    upsample_first: bool
    tau: tuple[float, float]
    learned_tau: bool
    decay: float
    learned_decay: bool
    accumulate: bool
    motion: bool

    @property
    def input_planes(self) -> int:
        """Channels of the first convolution."""
        return 2 * max(1, len(self.levels))


@dataclass(frozen=True)
class ModelConfig:
    """A hybrid model.

    Attributes:
        step_ns: length of an SNN step in ns of sensor time.
        sigma: standard deviation of the target heatmaps in grid cells.
        taps: for each spiking layer the ANN activation that initialises it.
        init_membranes: the ANN initialises the membranes, not only the accumulator.
        carry: an initialisation is averaged with the SNN's own heatmaps and velocities; otherwise
            it replaces them (paper). Only with motion.
        noise_filter: what keeps background activity away from both networks; None: nothing does.
    """

    name: str
    step_ns: int
    sigma: float
    view: ViewConfig
    ann: AnnConfig
    snn: SnnConfig
    taps: tuple[str, ...]
    init_membranes: bool = True
    carry: bool = False
    noise_filter: NoiseFilter | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelConfig":
        """Rebuild a configuration from :meth:`to_dict` after a trip through JSON.

        Raises:
            ValueError: a field is missing or unknown.
        """
        try:
            fields = {key: _tuples(value) for key, value in values.items()}
            fields["view"] = ViewConfig(**fields["view"])
            fields["ann"] = AnnConfig(**fields["ann"])
            fields["snn"] = SnnConfig(**fields["snn"])
            if fields.get("noise_filter") is not None:
                fields["noise_filter"] = NoiseFilter(**fields["noise_filter"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a model configuration of this version: {error}") from error


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


PAPER = ModelConfig(
    name="paper",
    step_ns=10_000_000,
    sigma=2.0,
    view=ViewConfig(
        view_width=346,
        view_height=260,
        cell=1,
        crop_x=34,
        crop_y=2,
        grid_width=256,
        grid_height=256,
    ),
    ann=AnnConfig(
        window_steps=(1,) * 10,
        log_counts=False,
        stem=(32, 7),
        downs=((64, 5), (128, 3), (256, 3), (512, 3), (512, 3)),
        head_kernel=3,
        norm=False,
    ),
    snn=SnnConfig(
        levels=(),
        head=(32, 5),
        downs=((64, 5), (128, 5), (256, 5)),
        residual_kernel=3,
        ups=((128, 5), (64, 5), (32, 5)),
        upsample_first=True,
        tau=(3.0, 3.0),
        learned_tau=False,
        decay=0.8,
        learned_decay=False,
        accumulate=True,
        motion=False,
    ),
    taps=("stem", "down1", "down2", "down3", "up1", "up2", "up3", "up4", "up5"),
)

EDGE = ModelConfig(
    name="edge",
    step_ns=10_000_000,
    sigma=1.5,
    view=ViewConfig(
        view_width=346,
        view_height=260,
        cell=4,
        crop_x=0,
        crop_y=0,
        grid_width=87,
        grid_height=65,
    ),
    ann=AnnConfig(
        window_steps=(1, 1, 1, 1, 2, 4, 8, 16, 32, 32),
        log_counts=True,
        stem=(16, 3),
        downs=((48, 3), (96, 3), (160, 3), (192, 3)),
        head_kernel=3,
        norm=True,
        blocks=(0, 0, 2, 1),
        activity_levels=(1, 3),
    ),
    snn=SnnConfig(
        levels=(1, 3),
        head=(16, 3),
        downs=((32, 3), (64, 3), (64, 3)),
        residual_kernel=3,
        ups=((64, 3), (32, 3), (16, 3)),
        upsample_first=False,
        tau=(1.5, 20.0),
        learned_tau=True,
        decay=0.98,
        learned_decay=True,
        accumulate=True,
        motion=True,
    ),
    taps=("stem", "down1", "down2", "down3", "down4", "up1", "up2", "up3", "up4"),
    carry=True,
    noise_filter=NoiseFilter(support=3, noise_events=1.2, shortest_us=40_000, longest_us=500_000),
)

VARIANTS = ("snn", "no_init", "no_delta")
"""Variants that the hybrid is compared with, each trained on the same ANN: the SNN alone, the
hybrid without initial membranes, and the one without an accumulator."""


def variant_of(config: ModelConfig, name: str) -> ModelConfig:
    """Return the configuration of a variant.

    Raises:
        ValueError: there is no such variant.
    """
    if name == "snn":
        return replace(config, carry=False)
    if name == "no_init":
        return replace(config, init_membranes=False)
    if name == "no_delta":
        snn = replace(config.snn, accumulate=False, motion=False)
        return replace(config, snn=snn, carry=False)
    raise ValueError(f"no variant is called {name!r}; there are {', '.join(VARIANTS)}")


def in_parts(config: ModelConfig, parts: int) -> ModelConfig:
    """Return the configuration for steps of a whole fraction of the length.

    The ANN sees the same past, cut into more steps; time constants and decay keep their values in
    seconds.
    """
    low, high = config.snn.tau
    return replace(
        config,
        step_ns=config.step_ns // parts,
        ann=replace(
            config.ann,
            window_steps=tuple(parts * n for n in config.ann.window_steps),
            activity_steps=parts * config.ann.activity_steps,
        ),
        snn=replace(
            config.snn, tau=(parts * low, parts * high), decay=config.snn.decay ** (1 / parts)
        ),
    )
