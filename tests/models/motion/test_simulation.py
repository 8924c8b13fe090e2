import numpy as np
import pytest
from figures import person, standing

from pplkit.models.motion.simulation import GRAVITY, Simulation

pytest.importorskip("mujoco", reason='MuJoCo simulates bodies: pip install "pplkit[motion]"')


def at_rest(count: int, height: float = 0.0) -> tuple[Simulation, np.ndarray, np.ndarray]:
    body = person()
    qpos = np.tile(standing(body), (count, 1))
    qpos[:, 2] += height
    return Simulation(body), qpos, np.zeros((count, body.speed_count))


def test_standing_is_held_for_ten_seconds_without_help() -> None:
    simulation, first, qvel = at_rest(2)
    qpos = first
    for _ in range(300):
        qpos, qvel, sound = simulation.advance(qpos, qvel, first[:, 7:])
        assert sound.all()
    assert np.abs(qpos - first)[:, :3].max() < 0.05


def test_a_body_in_the_air_falls_as_all_things_do() -> None:
    simulation, first, qvel = at_rest(1, height=5)
    qpos, qvel, _ = simulation.advance(first, qvel, first[:, 7:])
    seconds = 1 / 30
    assert qvel[0, 2] == pytest.approx(-GRAVITY * seconds, rel=1e-3)
    # Eight steps in which the speed is that of their end.
    assert qpos[0, 2] - first[0, 2] == pytest.approx(-GRAVITY * seconds**2 / 2 * 9 / 8, rel=1e-3)


def test_a_force_on_the_root_moves_the_whole_body() -> None:
    simulation, first, qvel = at_rest(2, height=5)
    weight = simulation.body.mass * GRAVITY
    wrench = np.zeros((2, 6))
    wrench[1, 2] = weight
    _, qvel, _ = simulation.advance(first, qvel, first[:, 7:], wrench)
    momentum = qvel[:, 2] * simulation.body.mass
    # The limbs hang from springs and lag behind the root; the body as a whole gets the impulse of the force.
    assert momentum[0] == pytest.approx(-weight / 30, rel=1e-3)
    assert momentum[1] > -0.2 * weight / 30


def test_a_torque_on_the_root_is_in_its_own_axes() -> None:
    simulation, first, qvel = at_rest(1, height=5)
    first[:, 3:7] = [np.sqrt(0.5), np.sqrt(0.5), 0, 0]  # a quarter turn about x
    wrench = np.zeros((1, 6))
    wrench[0, 5] = 20.0
    _, qvel, _ = simulation.advance(first, qvel, first[:, 7:], wrench)
    assert qvel[0, 5] > 10 * np.abs(qvel[0, 3:5]).max() / 2 > 0


def test_bodies_do_not_know_one_another() -> None:
    simulation, first, qvel = at_rest(3)
    rng = np.random.default_rng(0)
    qvel = rng.normal(0, 0.5, qvel.shape)
    together = simulation.advance(first, qvel, first[:, 7:])[0]
    alone = [simulation.advance(first[n : n + 1], qvel[n : n + 1], first[n : n + 1, 7:])[0] for n in range(3)]
    assert np.array_equal(together, np.concatenate(alone))


def test_threads_give_the_same_numbers() -> None:
    simulation, first, qvel = at_rest(5)
    with Simulation(simulation.body, threads=2) as threaded:
        for ours, theirs in zip(
            simulation.advance(first, qvel, first[:, 7:]), threaded.advance(first, qvel, first[:, 7:]), strict=True
        ):
            assert np.array_equal(ours, theirs)


def test_an_explosion_is_reported_and_gives_no_nan() -> None:
    simulation, first, qvel = at_rest(2)
    qvel[1, 10] = 1e12
    for values in (qvel, np.where(qvel > 0, np.nan, qvel)):
        qpos, after, sound = simulation.advance(first, values, first[:, 7:])
        assert sound.tolist() == [True, False]
        assert np.isfinite(qpos).all() and np.isfinite(after[0]).all()
