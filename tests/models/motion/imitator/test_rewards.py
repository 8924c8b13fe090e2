from pathlib import Path

import numpy as np
import pytest

from pplkit.models.motion.imitator.humanoid import Features, features
from pplkit.models.motion.imitator.rewards import (
    ROUNDS,
    SCALES,
    body_weights,
    imitation_reward,
    older_reward,
    path_reward,
    weighted,
)
from tests.helpers.motion_parity import arrays, close, keys

FIRST, LAST = 2, 5  # the frames of the stored rewards
DISTANCE = {"residual": "residual_norm"}
OPEN = "extremity_velocity"  # the stored distances, 0.469 and 0.370, are not those of ankles and wrists (see below)


@pytest.fixture(scope="module")
def stored(parity: Path) -> dict[str, np.ndarray]:
    return arrays(parity, "imitator")


@pytest.fixture(scope="module")
def rows(stored: dict[str, np.ndarray]) -> list[tuple[Features, Features, int, np.ndarray]]:
    """Simulated and reference state of two frames against the reference, as the stored rewards are ordered."""
    simulated, reference = features(stored["simulated_qpos"]), features(stored["expert_qpos"])
    residual = stored["action"][-6:]
    return [
        row for frame in (FIRST, LAST)
        for row in ((simulated, reference, frame, residual), (reference, reference, frame, 0 * residual))
    ]  # fmt: skip


def states(turn: float = 0.0) -> np.ndarray:
    """A body that rises."""
    result = np.zeros((4, 59))
    result[:, 2], result[:, 3] = 0.9 + 0.01 * np.arange(4), 1
    result[:, 7:] = turn
    return result


def test_the_reference_earns_all_but_the_height() -> None:
    made = features(states())
    total, terms = imitation_reward(made, made, 2, np.zeros(6), "round1")
    assert total == pytest.approx(1)
    assert terms["root_height"].distance == pytest.approx(0.92 - 0.898658 - 0.15)
    assert path_reward(made, made, 3)[1]["root_position"].distance == 0


def test_a_turn_of_all_hinges_lowers_the_pose_alone() -> None:
    terms = imitation_reward(features(states(0.1)), features(states()), 2, np.zeros(6), "round1")[1]
    assert terms["pose"].reward < 0.9 and terms["residual"].reward == terms["root_quaternion"].reward == 1
    assert terms["velocity"].distance == pytest.approx(0)


def test_weighted_by_hand() -> None:
    assert weighted({"a": 1.0, "b": 0.5, "c": 0.0}, {"a": 1.0, "b": 3.0}) == pytest.approx(2.5 / 4)


def test_published_weights(parity: Path, stored: dict[str, np.ndarray]) -> None:
    names = {
        "pose": "p", "velocity": "v", "end_effectors": "e", "extremity_velocity": "flv", "feet_vector": "frp",
        "root_height": "rh", "root_quaternion": "rq", "root_linear_velocity": "rlv", "root_angular_velocity": "rav",
        "residual": "vf",
    }  # fmt: skip
    for name, weights in ROUNDS.items():
        settings = keys(parity)["reward_weights"][name]
        assert vars(weights) == {term: settings[f"w_{key}"] for term, key in names.items()}
        assert {term: settings[f"k_{key}"] for term, key in names.items()} == SCALES
    for name in ("round0", *ROUNDS):
        assert body_weights(name).tolist() == stored[f"{name}_body_weights"].tolist()


@pytest.mark.parametrize("name", list(ROUNDS))
def test_published_rewards(name: str, parity: Path, stored: dict[str, np.ndarray], rows: list) -> None:  # type: ignore[type-arg]
    """All terms but one.

    The stored speed of the extremities belongs to no set of joints whose distance is a root of summed squares; with it
    in place of ours, the totals are the stored ones.
    """
    order = keys(parity)["reward_terms"]["quat_v7"]
    for row, values in zip(rows, stored[f"reward_{name}"], strict=True):
        known = dict(zip(order, values.tolist(), strict=True))
        total, terms = imitation_reward(*row, name)
        rewards = {term: result.reward for term, result in terms.items()}
        for term, result in terms.items():
            if term != OPEN or known[f"{OPEN}_dist"] == 0:
                close(
                    [result.reward, result.distance], np.array([known[term], known[DISTANCE.get(term, f"{term}_dist")]])
                )
        assert total == pytest.approx(weighted(rewards, vars(ROUNDS[name])))
        assert weighted(rewards | {OPEN: known[OPEN]}, vars(ROUNDS[name])) == pytest.approx(known["total"], rel=1e-5)


def test_published_rewards_of_round_0(parity: Path, stored: dict[str, np.ndarray], rows: list) -> None:  # type: ignore[type-arg]
    order = keys(parity)["reward_terms"]["followtraj_reward_v7"]
    for (simulated, reference, frame, _), values in zip(rows, stored["reward_round0"], strict=True):
        total, terms = path_reward(simulated, reference, frame)
        assert order == ["total", *(part for term in terms for part in (term, f"{term}_{_kind(term)}"))]
        close([total, *(part for term in terms.values() for part in term)], values)


def _kind(term: str) -> str:
    return "value" if term in ("energy", "head_height") else "dist"


def test_published_older_rewards(stored: dict[str, np.ndarray], rows: list) -> None:  # type: ignore[type-arg]
    weights = stored["round1_body_weights"]
    for row, values in zip(rows[::2], stored["reward_v6"], strict=True):
        total, terms = older_reward(*row, weights)
        close([total, *terms.values()], values)
