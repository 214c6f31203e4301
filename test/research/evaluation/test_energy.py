# SPDX-License-Identifier: Apache-2.0
"""Energy proxies against numbers computed by hand, and exact counts of spikes."""

import pytest
import torch

from hybrid_pose_ros.networks.config import EDGE, PAPER, SPIKING_LAYERS
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.research.evaluation.energy import (
    AC_J,
    MAC_J,
    READOUT,
    Activity,
    Costs,
    Duty,
    SpikeMeter,
    entering_rates,
    firing_rates,
    power,
    total,
)

LAYERS = (*SPIKING_LAYERS, READOUT)


def costs(**changes: object) -> Costs:
    values = {
        "ann_macs": 1000,
        "initialiser_macs": 100,
        "velocity_macs": 10,
        "dense_macs": dict.fromkeys(LAYERS, 50),
        "inputs": dict.fromkeys(LAYERS, 20),
        "neurons": dict.fromkeys(SPIKING_LAYERS, 10),
        "binary": dict.fromkeys(LAYERS, True),
        "upsampled": 7,
        "heatmap_values": 30,
        "features": 5,
        "accumulate": True,
        "motion": True,
    }
    return Costs(**(values | changes))  # type: ignore[arg-type]


# over 4 steps: 2 spikes in each layer of 10 neurons, 4 inputs of 20, 6 accumulates each
ACTIVITY = Activity(
    steps=4,
    entered=dict.fromkeys(LAYERS, 4.0),
    accumulated=dict.fromkeys(LAYERS, 6.0),
    fired=dict.fromkeys(SPIKING_LAYERS, 2.0),
)


def test_rates() -> None:
    assert firing_rates(costs(), ACTIVITY) == dict.fromkeys(SPIKING_LAYERS, 2 / 40)
    assert entering_rates(costs(), ACTIVITY) == dict.fromkeys(LAYERS, 4 / 80)


def test_papers_proxy_by_hand() -> None:
    # 5 % of the neurons (and of the readout's inputs), 50 MACs in each of ten layers
    assert costs().paper_step_j(ACTIVITY) == pytest.approx(10 * 0.05 * 50 * AC_J)


def test_extended_proxy_by_hand() -> None:
    accumulates = 10 * 6 / 4 + 2 / 4  # and the spikes of down3 that go straight to res2
    pooled = 13 * (4 + 4 * 2) / 4  # of the readout, and of up2, in four cells each
    macs = 9 * 10 + 4 * 7 + 30 + (2 + 14) * 30 + 13 * 13 * 3 * 5
    expected = (accumulates + pooled) * AC_J + macs * MAC_J
    assert costs().extended_step_j(ACTIVITY) == pytest.approx(expected)


def test_extended_proxy_without_motion_or_accumulator() -> None:
    plain = costs(motion=False, accumulate=False, velocity_macs=0, features=0)
    expected = 15.5 * AC_J + (9 * 10 + 4 * 7) * MAC_J
    assert plain.extended_step_j(ACTIVITY) == pytest.approx(expected)


def test_inputs_that_are_not_binary_cost_multiplications() -> None:
    binary = dict.fromkeys(LAYERS, True) | {"up2": False}
    more = costs(binary=binary).extended_step_j(ACTIVITY) - costs().extended_step_j(ACTIVITY)
    assert more == pytest.approx(6 / 4 * (MAC_J - AC_J))


def test_power_is_energy_times_rates() -> None:
    duty = Duty(ann_hz=10, initialise_hz=10, velocity_hz=10, step_hz=100)
    found = power(duty, costs(), ACTIVITY)
    fixed = 10 * (1000 + 100) * MAC_J
    assert found.paper_w == pytest.approx(fixed + 100 * costs().paper_step_j(ACTIVITY))
    extended = fixed + 10 * 10 * MAC_J + 100 * costs().extended_step_j(ACTIVITY)
    assert found.extended_w == pytest.approx(extended)
    assert power(Duty(ann_hz=100), costs(), None).paper_w == pytest.approx(100 * 1000 * MAC_J)


def test_the_papers_power_comes_out_of_its_own_network() -> None:
    """3.72 W for the ANN at 100 Hz at 256 x 256, by the published figures (22.6 GMAC)."""
    network = HybridPoseNetwork(PAPER).eval()
    found = Costs.of(network)
    assert found.ann_macs == pytest.approx(22.6e9, rel=0.01)
    assert power(Duty(ann_hz=100), found, None).paper_w == pytest.approx(3.8, rel=0.03)
    assert not found.binary["head"] and not found.binary["up1"] and found.binary["down1"]
    assert not found.motion and found.velocity_macs == 0


def test_costs_of_the_edge_model() -> None:
    found = Costs.of(HybridPoseNetwork(EDGE).eval())
    assert found.dense_macs["head"] == 65 * 87 * 16 * 4 * 9
    assert found.dense_macs[READOUT] == 65 * 87 * 13 * 32
    assert found.inputs["down1"] == 65 * 87 * 16
    assert found.neurons["down1"] == 33 * 44 * 32
    assert found.upsampled == sum(found.neurons[name] for name in ("up1", "up2", "up3"))
    assert found.heatmap_values == 13 * 65 * 87
    assert found.features == 16 + 16 + 32
    assert all(found.binary.values())
    # up4 is of full size, up3 and up2 of a half and a quarter
    pooling = 13 * (16 * (65 * 87 + 26) + 48 * (33 * 44 + 26) + 96 * (17 * 22 + 26))
    assert found.velocity_macs == 2 * 13 * 65 * 87 + pooling


def test_meter_counts_what_spikes_add_to_currents(small_network: HybridPoseNetwork) -> None:
    """An input of a convolution adds as often as a convolution of ones adds it."""
    snn = small_network.snn
    torch.manual_seed(0)
    counts = torch.poisson(torch.full((3, 2, 20, 26), 0.3))
    rest = snn.rest(3, 20, 26)  # charged so that every layer has something to fire
    state = rest._replace(membranes={name: v + 0.9 for name, v in rest.membranes.items()})
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in LAYERS}
    fired: dict[str, float] = dict.fromkeys(SPIKING_LAYERS, 0.0)
    hooks = []
    for name in LAYERS:
        layer = snn.readout if name == READOUT else snn.synapses[name]
        hooks.append(layer.register_forward_pre_hook(lambda _, x, n=name: seen[n].append(x[0])))

    def keep(name: str):
        def hook(_: object, __: object, output: tuple[torch.Tensor, torch.Tensor]) -> None:
            fired[name] += output[0].sum().item()

        return hook

    hooks += [snn.neurons[name].register_forward_hook(keep(name)) for name in SPIKING_LAYERS]
    with torch.inference_mode(), SpikeMeter(snn) as meter:
        for _ in range(5):
            _, state = snn(counts, state)
        activity = meter.activity
    for hook in hooks:
        hook.remove()
    assert activity.steps == 15
    assert activity.fired == fired
    for name in LAYERS:
        layer = snn.readout if name == READOUT else snn.synapses[name]
        ones = torch.ones_like(layer.conv.weight)
        sums = [
            torch.nn.functional.conv2d(
                x, ones, stride=layer.conv.stride, padding=layer.conv.padding
            ).sum()
            for x in seen[name]
        ]
        assert activity.accumulated[name] == pytest.approx(float(sum(sums)), rel=1e-6)
        assert activity.entered[name] == sum(float(x.sum()) for x in seen[name])
        assert activity.entered[name] > 0, f"{name} gets no spikes in this test"


def test_a_meter_that_was_left_counts_no_more(small_network: HybridPoseNetwork) -> None:
    snn = small_network.snn
    with torch.inference_mode():
        with SpikeMeter(snn) as meter:
            snn(torch.ones(1, 2, 20, 26), snn.rest(1, 20, 26))
        before = meter.activity
        snn(torch.ones(1, 2, 20, 26), snn.rest(1, 20, 26))
    assert meter.activity == before
    assert total([before, before]).steps == 2
    assert total([before, before]).fired["head"] == 2 * before.fired["head"]


def test_a_state_knows_the_activity_of_its_step(small_network: HybridPoseNetwork) -> None:
    """What training keeps low is what the meter counts, but for places beyond the borders."""
    snn = small_network.snn
    counts = torch.poisson(torch.full((3, 2, 65, 87), 0.3))
    state = snn.rest(3, 65, 87)
    shares = []
    with SpikeMeter(snn) as meter:
        for _ in range(5):
            _, state = snn(counts, state)
            assert state.activity is not None and state.activity.requires_grad
            shares.append(float(state.activity.detach().mean()))
    excited = SnnState({k: v + 1e3 for k, v in state.membranes.items()}, *state[1:3])
    with SpikeMeter(snn) as dense:
        share = snn(counts, excited)[1].activity
    assert share is not None and share.tolist() == [1.0, 1.0, 1.0]
    counted = [
        sum(m.activity.accumulated.values()) - m.activity.accumulated["head"]
        for m in (meter, dense)
    ]
    assert sum(shares) == pytest.approx(counted[0] / counted[1], rel=0.03)
    with torch.no_grad():
        assert snn(counts, state)[1].activity is None
