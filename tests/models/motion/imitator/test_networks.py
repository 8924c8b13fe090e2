from pathlib import Path

import numpy as np
import pytest
import torch

from pplkit.models.motion.imitator.networks import ContextNetwork, Policy, Value
from tests.helpers.motion_parity import arrays, close, state


def test_the_context_sees_six_frames_to_both_sides() -> None:
    network, reference = ContextNetwork(59), torch.randn(40, 59)
    context = network(reference)
    reference[25] += 1
    changed = (network(reference) != context).any(1).nonzero()[:, 0] + 10
    assert context.shape == (20, 128) and changed.tolist() == list(range(19, 30))


def test_the_likeliest_action_is_the_mean() -> None:
    policy, observed = Policy(), torch.randn(2, 420)
    mean = policy(observed)
    best = policy.log_probability(observed, mean)
    assert torch.allclose(best, torch.tensor(58 * (2.3 - np.log(2 * np.pi) / 2)).float(), atol=1e-4)
    assert (policy.log_probability(observed, mean + 0.1) < best).all()


@pytest.mark.parametrize(("key", "inputs"), [("context_qpos", 59), ("context_qposvel", 117)])
def test_published_context(key: str, inputs: int, parity: Path) -> None:
    stored = arrays(parity, "imitator")
    network = ContextNetwork(inputs).double()
    network.load_released(state(parity, key))
    with torch.no_grad():
        close(network(torch.from_numpy(stored[f"{key}_input"]).double()), stored[f"{key}_output"])


def test_published_policy_and_value(parity: Path) -> None:
    stored = arrays(parity, "imitator")
    policy, value = Policy().double(), Value().double()
    policy.load_state_dict(state(parity, "policy"))
    value.load_state_dict(state(parity, "value"))
    observed, actions = torch.from_numpy(stored["policy_input"]), torch.from_numpy(stored["policy_action"])
    with torch.no_grad():
        close(policy(observed), stored["policy_mean"])
        close(policy.log_probability(observed, actions), stored["policy_log_prob"])
        close(value(observed), stored["value"])
