import math

import numpy as np
import pytest
import torch

from pplkit.models.motion.policy import TrackingPolicy, advantages, log_probability, policy_loss


def test_a_new_policy_acts_little() -> None:
    policy = TrackingPolicy(6, 3, (8,), 0.1)
    actions = policy.act(np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32))
    assert actions.shape == (20, 3) and np.abs(actions).max() < 0.05
    assert policy.noise().tolist() == pytest.approx([0.1] * 3)


def test_mean_and_spread_are_those_of_all_that_was_seen() -> None:
    policy = TrackingPolicy(2, 1, (4,), 0.1)
    values = torch.randn(300, 2, generator=torch.manual_seed(0)) * torch.tensor([1.0, 5.0]) + torch.tensor([3.0, -2.0])
    for part in values.split([100, 50, 150]):
        policy.observe(part)
    normalized = policy.normalized(values)
    assert torch.allclose(normalized.mean(0), torch.zeros(2), atol=1e-4)
    assert torch.allclose(normalized.std(0, correction=0), torch.ones(2), atol=1e-3)
    assert policy.normalized(values + 100).max() == 5


def test_log_probability_is_that_of_the_normal_distribution() -> None:
    actions, mean = torch.tensor([[0.3, -0.2]]), torch.tensor([[0.1, 0.1]])
    noise = torch.tensor([0.5, 0.2])
    expected = torch.distributions.Normal(mean, noise).log_prob(actions).sum() + math.log(2 * math.pi)
    assert torch.allclose(log_probability(actions, mean, noise), expected)


def test_the_policy_loss_by_hand() -> None:
    """Ratios of 1.5 and 0.5: what goes too far in the wanted direction is clipped, the other way it is not."""
    before = torch.zeros(4)
    probability = torch.tensor([1.5, 1.5, 0.5, 0.5]).log()
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert policy_loss(probability, before, advantage, 0.2).item() == pytest.approx(-(1.2 - 1.5 + 0.5 - 0.8) / 4)


def test_advantages_by_hand() -> None:
    """The second step ends the episode of the first body."""
    rewards = np.array([[1.0, 1], [2, 1], [3, 1]])
    values = np.array([[0.5, 0], [1, 0], [1.5, 0]])
    following = np.array([[1.0, 0], [0, 0], [4, 0]])
    ended = np.array([[False, False], [True, False], [False, False]])
    found = advantages(rewards, values, following, ended, 0.5, 0.5)
    assert found[:, 0].tolist() == pytest.approx([1 + 0.5 - 0.5 + 0.25 * (2 - 1), 2 - 1, 3 + 2 - 1.5])
    assert found[:, 1].tolist() == pytest.approx([1 + 0.25 * (1 + 0.25), 1 + 0.25, 1])
