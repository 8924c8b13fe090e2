"""Imitation as the engine's task: simulated bodies collect experience, and a policy learns from it by PPO."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.models.motion.imitation_config import ImitationConfig
from pplkit.models.motion.policy import TrackingPolicy, advantages, log_probability, policy_loss
from pplkit.models.motion.simulation import Simulation
from pplkit.models.motion.tracking import SPRING, Bodies, Reference, Tracking
from pplkit.training.checkpoint import restore
from pplkit.training.logger import Result
from pplkit.training.loop import fit
from pplkit.training.run_folder import RunFolder
from pplkit.training.task import Losses, Rank, Task

FINAL_RATE = 0.2  # of the learning rate
ANNEALED = (0.3, 0.8)  # of the training, between which the force falls
SOON, AGAIN = 45, 0.5  # control steps to a fall, and share of the bodies that start again where such a fall began
SOFTENED = (0.1, 0.5)  # of the training, between which the spring to the reference becomes soft


class Experience(NamedTuple):
    """Control steps to learn from."""

    observations: Tensor  # (N, O), normalized
    actions: Tensor  # (N, A)
    probability: Tensor  # (N,) log probability of the actions
    advantage: Tensor  # (N,) with mean 0 and spread 1
    returns: Tensor  # (N,)
    statistics: Tensor  # (4,) of the round: reward, share of steps with a fall, joint error in mm, force in N


class ImitationModel(nn.Module):
    """The policy, and all that a training needs to continue with the same bits."""

    def __init__(self, tracking: Tracking, config: ImitationConfig) -> None:
        super().__init__()
        count, body = config.bodies, tracking.reference.body
        bodies = tracking.start(np.zeros(1, int), np.zeros(1))
        seen = tracking.observe(bodies).shape[1]
        self.policy = TrackingPolicy(seen, tracking.actions, config.widths, config.noise)
        size = config.bodies * config.horizon
        shapes = {
            "observations": (size, seen), "actions": (size, tracking.actions), "probability": (size,),
            "advantage": (size,), "returns": (size,), "statistics": (4,),
        }  # fmt: skip
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        state = {"qpos": body.position_count, "qvel": body.speed_count}
        for name, width in state.items():
            self.register_buffer(name, torch.zeros((count, width), dtype=torch.float64))
        for name in ("frame", "age"):
            self.register_buffer(name, torch.full((count,), -1))
        self.register_buffer("bound", torch.zeros(count, dtype=torch.float64))

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """See `TrackingPolicy.forward`."""
        result: tuple[Tensor, Tensor] = self.policy(observations)
        return result

    def bodies(self) -> Bodies:
        """The state of the bodies, as arrays of their own."""
        return Bodies(*(getattr(self, name).cpu().numpy().copy() for name in Bodies._fields))

    def keep(self, values: Bodies | Experience) -> None:
        """Store a state or a round of experience."""
        for name, value in values._asdict().items():
            getattr(self, name).copy_(torch.as_tensor(value))


def train_imitator(
    config: ImitationConfig, reference: Reference, run: str | os.PathLike[str], **options: Any
) -> Result:
    """Train a policy that imitates one motion, or continue; `options` are those of `training.loop.fit`.

    Raises PplkitError for a reference of another frame rate or too short, where MuJoCo is missing, and as `fit` does.
    """
    return fit(ImitationTask(config, reference), run, **options)


def trained_policy(reference: Reference, run: str | os.PathLike[str]) -> TrackingPolicy:
    """The policy that `train_imitator` has trained for a reference.

    Raises PplkitError if the folder has no checkpoint, or one that was trained for another motion or method.
    """
    folder = RunFolder(Path(run))
    settings = folder.read("config.json", "config")["config"]
    if settings.get("reference") != reference.digest:
        raise PplkitError(f"{folder.path} holds no imitator of this motion: choose another run folder.")
    task = ImitationTask(ImitationConfig.from_dict(settings), reference)
    task.setup(Rank(torch.device("cpu"), 0, 1, task.config.precision))
    if not restore(folder.last(), task.model, None):
        raise PplkitError(f"{folder.path} holds no checkpoint yet: train it first.")
    return task.model.policy.eval()


class ImitationTask(Task):
    """Policy and value of bodies that follow one reference."""

    method = "imitation"
    divergence_advice = "lower learning_rate"

    def __init__(self, config: ImitationConfig, reference: Reference) -> None:
        self.config: ImitationConfig = config.replace(reference=reference.digest)
        self.reference = reference

    def check(self, world_size: int) -> None:
        """Raise PplkitError for several processes, and for a reference that does not fit."""
        if world_size > 1:
            raise PplkitError("imitation is trained in one process: use --devices 1.")
        if abs(self.reference.fps - self.config.fps) > 1e-6:
            raise PplkitError(f"the motion has {self.reference.fps} frames a second: resample it to {self.config.fps}.")
        if len(self.reference) < 2:
            raise PplkitError("the motion has fewer than two frames: give a longer one.")

    def setup(self, rank: Rank) -> None:
        """Build simulation and networks."""
        torch.manual_seed(self.config.seed)
        step = 1 / (self.config.fps * self.config.substeps)
        self.tracking = Tracking(self.reference, Simulation(self.reference.body, self.config.substeps, step=step))
        self.model: ImitationModel = ImitationModel(self.tracking, self.config)

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam, with a rate of its own for the value."""
        policy = self.model.policy
        return torch.optim.Adam(
            [{"params": [*policy.actor.parameters(), policy.log_noise]}, {"params": [*policy.critic.parameters()]}],
            lr=self.config.learning_rate,
            fused=True,
        )

    def learning_rates(self, step: int) -> Sequence[float]:
        """Of policy and value, falling along a cosine."""
        left = FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * step / self.config.steps)) / 2
        return left * self.config.learning_rate, left * self.config.value_learning_rate

    def force(self, step: int) -> float:
        """The most that a root is helped by at a step, in N."""
        first, last = ANNEALED
        share = np.clip((step / self.config.steps - first) / (last - first), 0, 1)
        return float(self.config.force + share * (self.config.final_force - self.config.force))

    def spring(self, step: int) -> tuple[float, float]:
        """Stiffness and damping of the spring from the root to the reference at a step, in N/m and Ns/m."""
        first, last = SOFTENED
        share = float(np.clip((step / self.config.steps - first) / (last - first), 0, 1))
        stiffness, damping = (
            hard * (soft / hard) ** share for hard, soft in zip(SPRING, self.config.spring, strict=True)
        )
        return stiffness, damping

    def batch(self, step: int) -> Experience:
        """A part of the experience that the current round has collected; where a round begins, collect first."""
        config = self.config
        number, place = divmod(step, config.round_steps)
        if place == 0:
            self.model.keep(self.collected(number))
        parts = config.bodies * config.horizon // config.batch_size
        order = np.random.default_rng((config.seed, 2, number, place // parts)).permutation(
            config.bodies * config.horizon
        )
        rows = torch.from_numpy(order.reshape(parts, -1)[place % parts])
        values = {name: getattr(self.model, name) for name in Experience._fields}
        return Experience(**{name: v if name == "statistics" else v[rows] for name, v in values.items()})

    @torch.no_grad()
    def collected(self, number: int) -> Experience:
        """Experience of one round, from where the bodies are."""
        config, model, tracking = self.config, self.model, self.tracking
        rng = np.random.default_rng((config.seed, 1, number))
        force = self.force(number * config.round_steps)
        tracking.spring = self.spring(number * config.round_steps)
        bodies, seen = model.bodies(), []
        noise = model.policy.noise().numpy()
        rows: list[tuple[np.ndarray, ...]] = []
        totals = np.zeros(4)
        for _ in range(config.horizon):
            over = (bodies.age < 0) | (bodies.age >= config.episode) | (bodies.frame >= len(self.reference) - 1)
            bodies = self.restarted(bodies, over, rng, force)
            observation = tracking.observe(bodies)
            seen.append(torch.from_numpy(observation))
            inputs = model.policy.normalized(seen[-1])
            mean, value = model.policy(inputs)
            action = mean.numpy() + noise * rng.standard_normal(mean.shape, np.float32)
            bodies, outcome = tracking.advance(bodies, action)
            fallen = outcome.fallen
            ended = fallen | (bodies.age >= config.episode) | (bodies.frame >= len(self.reference) - 1)
            after = value.numpy() * 0
            if (ended & ~fallen).any():
                last = model.policy.normalized(torch.from_numpy(tracking.observe(bodies)))
                after = np.where(fallen, 0, model.policy.critic(last)[:, 0].numpy())
            probability = log_probability(torch.from_numpy(action), mean, model.policy.noise()).numpy()
            reward = (1 - config.discount) * np.where(fallen, 0, outcome.reward)
            rows.append((inputs.numpy(), action, probability, value.numpy(), reward, after, ended))
            bodies = bodies._replace(age=np.where(fallen, -bodies.age, bodies.age))
            totals += [outcome.reward.mean(), fallen.mean(), 1000 * outcome.error.mean(), outcome.force.mean()]
        value = model.policy.critic(model.policy.normalized(torch.from_numpy(tracking.observe(bodies))))[:, 0].numpy()
        experience = self.experience(rows, value, totals / config.horizon)
        model.policy.observe(torch.cat(seen))
        model.keep(bodies)
        return experience

    def restarted(self, bodies: Bodies, over: np.ndarray, rng: np.random.Generator, force: float) -> Bodies:
        """Bodies of which those whose episode is over start at random frames, with random bounds of their help.

        Half of those that fell soon, whose age is negative, start where they did: some states are hard to start from.
        """
        config = self.config
        latest = max(len(self.reference) - 1 - config.episode, (len(self.reference) - 1) // 2, 1)
        frame = rng.integers(0, latest, len(over))
        soon = (bodies.age < 0) & (-bodies.age <= SOON) & (rng.random(len(over)) < AGAIN)
        frame = np.where(soon, np.clip(bodies.frame + bodies.age, 0, latest - 1), frame)
        share = rng.random(len(over))
        bound = np.where(share < config.free_bodies, 0.0, force * rng.random(len(over)))
        bound = np.where(share >= 1 - config.full_bodies, config.force, bound)
        fresh = self.tracking.start(frame, bound)
        values = zip(fresh, bodies, strict=True)
        return Bodies(*(np.where(over.reshape(-1, *[1] * (new.ndim - 1)), new, old) for new, old in values))

    def experience(self, rows: list[tuple[np.ndarray, ...]], last: np.ndarray, totals: np.ndarray) -> Experience:
        """A round in the form that is learned from."""
        config = self.config
        columns = [np.stack(column) for column in zip(*rows, strict=True)]
        inputs, actions, probability, values, rewards, after, ended = columns
        following = np.concatenate([values[1:], last[None]])
        following = np.where(ended, after, following)
        advantage = advantages(rewards, values, following, ended, config.discount, config.advantage_decay)
        returns = advantage + values
        advantage = (advantage - advantage.mean()) / max(float(advantage.std()), 1e-8)
        flat = [v.reshape(-1, *v.shape[2:]) for v in (inputs, actions, probability, advantage, returns)]
        return Experience._make(torch.from_numpy(v.astype(np.float32)) for v in (*flat, totals))

    def losses(self, forward: Callable[..., Any], batch: Experience, progress: float) -> Losses:
        """Clipped policy loss and squared error of the value; beside them how the bodies of the round did."""
        mean, value = forward(batch.observations)
        probability = log_probability(batch.actions, mean, self.model.policy.noise())
        policy = policy_loss(probability, batch.probability, batch.advantage, self.config.clip)
        error = ((value - batch.returns) ** 2).mean()
        names = ("reward", "falls", "joint_error_mm", "force")
        parts = dict(zip(names, batch.statistics, strict=True))
        return policy + error, {"policy": policy.detach(), "value": error.detach(), **parts}, mean

    def size(self, batch: Experience) -> int:
        """Control steps."""
        return len(batch.observations)

    def finite(self, batch: Experience) -> Tensor:
        """Whether actions and values are finite, a bool."""
        mean, value = self.model(batch.observations)
        return mean.isfinite().all() & value.isfinite().all()
