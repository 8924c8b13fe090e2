import numpy as np
import pytest
from figures import person, standing, swinging

from pplkit.geometry.quaternions import from_rotation_vectors, multiply
from pplkit.models.motion.simulation import Simulation
from pplkit.models.motion.tracking import Bodies, Reference, Tracking, heading

pytest.importorskip("mujoco", reason='MuJoCo simulates bodies: pip install "pplkit[motion]"')
FPS = 30.0


@pytest.fixture(scope="module")
def tracking() -> Tracking:
    body = person()
    return Tracking(Reference(body, swinging(body), FPS), Simulation(body))


def started(tracking: Tracking, frame: int, bound: float = 100.0, count: int = 1) -> Bodies:
    return tracking.start(np.full(count, frame), np.full(count, bound))


def outcome(tracking: Tracking, bodies: Bodies, wrench: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    count = len(bodies.frame)
    result = tracking.outcome(bodies, np.zeros((count, 6)) if wrench is None else wrench, np.ones(count, bool))
    return result.reward, result.fallen


def test_the_heading_is_the_part_of_a_turn_about_the_vertical() -> None:
    turn = from_rotation_vectors(np.array([[0, 0, 0.7], [0, 0, -2.0]]))
    tilt = from_rotation_vectors(np.array([[0.3, -0.2, 0], [0.5, 0.1, 0]]))
    assert np.allclose(np.abs((heading(multiply(turn, tilt)) * turn).sum(-1)), 1)
    assert heading(np.array([0.0, 1, 0, 0])).tolist() == [1, 0, 0, 0]


def test_the_reward_is_1_where_the_reference_is_met_without_help(tracking: Tracking) -> None:
    reward, fallen = outcome(tracking, started(tracking, 7))
    assert reward[0] == pytest.approx(1, abs=1e-5) and not fallen[0]


def test_every_deviation_and_help_cost_reward(tracking: Tracking) -> None:
    bodies = started(tracking, 7, count=6)
    bodies.qpos[0, 0] += 0.1
    bodies.qpos[1, 3:7] = from_rotation_vectors(np.array([0, 0, 0.3]))
    bodies.qpos[2, 12] += 0.3
    bodies.qvel[3, 0] += 0.5
    bodies.qvel[4, 12] += 3
    wrench = np.zeros((6, 6))
    wrench[5, 0] = 30
    reward, fallen = outcome(tracking, bodies, wrench)
    assert (reward < 0.998).all() and (reward > 0.5).all() and not fallen.any()


def test_a_neck_that_is_low_and_a_root_that_is_off_are_falls(tracking: Tracking) -> None:
    bodies = started(tracking, 7, count=5)
    bodies.qpos[:4, 2] += [-0.29, -0.31, 0.29, 0.51]
    bodies.qpos[4, 1] += 0.51
    assert outcome(tracking, bodies)[1].tolist() == [False, True, False, True, True]


def test_what_is_seen_knows_no_place_and_no_heading(tracking: Tracking) -> None:
    """Of two bodies that do the same elsewhere, in another direction, with references to match."""
    turn, shift = from_rotation_vectors(np.array([0, 0, 1.1])), np.array([3.0, -2, 0])
    reference = tracking.reference
    qpos = reference.qpos.copy()
    qpos[:, 0] += 0.5 * np.arange(len(qpos)) / FPS
    moved = qpos.copy()
    c, s = np.cos(1.1), np.sin(1.1)
    moved[:, :3] = qpos[:, :3] @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + shift
    moved[:, 3:7] = multiply(turn, qpos[:, 3:7])
    seen = []
    for positions in (qpos, moved):
        one = Tracking(Reference(reference.body, positions, FPS), tracking.simulation)
        seen.append(one.observe(started(one, 12)))
    assert np.allclose(*seen, atol=2e-5)
    assert seen[0].dtype == np.float32


def test_the_bound_of_the_help_is_kept_and_seen(tracking: Tracking) -> None:
    bodies = started(tracking, 7, count=3)._replace(bound=np.array([0.0, 20, 100]))
    bodies.qpos[:, :2] += 0.3
    action = np.full((3, 6), 2.0)
    wrench = tracking.wrench(bodies, action)
    for part in (wrench[:, :3], wrench[:, 3:]):
        assert np.linalg.norm(part, axis=1).tolist() == pytest.approx([0, 20, 100])
    assert tracking.observe(bodies)[:, -1].tolist() == pytest.approx([0, 0.2, 1])


def test_the_help_points_to_the_reference(tracking: Tracking) -> None:
    bodies = started(tracking, 7, bound=1e6)
    bodies.qpos[:, 3:7] = from_rotation_vectors(np.array([0, 0, 0.2]))
    bodies.qpos[0, 0] -= 0.1
    wrench = tracking.wrench(bodies, np.zeros((1, 6)))[0]
    assert wrench[0] == pytest.approx(2000 * 0.1, abs=1e-6)
    assert wrench[5] == pytest.approx(-200 * 0.2, abs=0.5)


def test_a_body_that_moves_as_the_reference_does_needs_no_help(tracking: Tracking) -> None:
    """However fast that is: the spring does not pull ahead."""
    reference = tracking.reference
    qpos = reference.qpos.copy()
    qpos[:, 0] += 3.5 / reference.fps * np.arange(len(qpos))
    moving = Tracking(Reference(reference.body, qpos, reference.fps), tracking.simulation)
    bodies = moving.start(np.array([7]), np.array([1e6]))
    assert moving.wrench(bodies, np.zeros((1, 6))) == pytest.approx(np.zeros((1, 6)), abs=1e-6)


def test_a_standing_person_follows_with_swinging_arms(tracking: Tracking) -> None:
    bodies = started(tracking, 0, bound=50)
    for _ in range(25):
        bodies, result = tracking.advance(bodies, np.zeros((1, tracking.actions)))
        assert not result.fallen[0]
    assert result.error[0] < 0.06 and bodies.frame[0] == bodies.age[0] == 25


def test_help_holds_what_falls_without_it() -> None:
    """Hung ahead of its feet, a body tips over unless it is held."""
    body = person()
    qpos = standing(body, 40)
    qpos[:, 3:7] = from_rotation_vectors(np.array([0, 0.25, 0]))
    leaning = Tracking(Reference(body, qpos, FPS), Simulation(body))
    bodies = leaning.start(np.zeros(2, int), np.array([0.0, 600]))
    errors = []
    for _ in range(20):
        bodies, result = leaning.advance(bodies, np.zeros((2, leaning.actions)))
        errors.append(result.error)
    assert errors[-1][1] < 0.5 * errors[-1][0]


def test_an_explosion_is_a_fall(tracking: Tracking) -> None:
    bodies = started(tracking, 0, count=2)
    bodies.qvel[1, 12] = 1e12
    after, result = tracking.advance(bodies, np.zeros((2, tracking.actions)))
    assert result.fallen.tolist() == [False, True] and result.sound.tolist() == [True, False]
    assert np.isfinite(after.qpos).all() and np.isfinite(result.reward).all()


def test_a_soft_spring_pulls_less(tracking: Tracking) -> None:
    soft = Tracking(tracking.reference, tracking.simulation, (500.0, 80.0))
    bodies = started(tracking, 7, bound=1e6)
    bodies.qpos[0, 0] -= 0.1
    assert soft.wrench(bodies, np.zeros((1, 6)))[0, 0] == pytest.approx(500 * 0.1)
