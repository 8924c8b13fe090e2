from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pplkit.geometry.quaternions import normalized, slerp
from pplkit.models.motion.hallucinator import (
    FEET,
    JOINTS,
    PARENTS,
    Frame,
    Hallucinator,
    Motion,
    MotionDiscriminator,
    hallucinator_losses,
    noise_scale,
    npss,
    plu,
    published_contacts,
    time_to_arrival,
)
from tests.helpers.motion_parity import arrays, close, keys, state

PARTS = ("state_encoder", "offset_encoder", "target_encoder", "lstm", "decoder")
NETWORKS = 1e-4


@pytest.fixture(scope="module")
def stored(parity: Path) -> dict[str, np.ndarray]:
    return arrays(parity, "hallucinator")


@pytest.fixture(scope="module")
def real(stored: dict[str, np.ndarray]) -> Motion:
    names = ("positions", "quaternions", "root", "contacts")
    positions, rotations, roots, contacts = (torch.from_numpy(stored[name]) for name in names)
    return Motion(positions, rotations.flatten(2), roots, contacts)


@pytest.fixture(scope="module")
def model(parity: Path) -> Hallucinator:
    model = Hallucinator().eval()
    filled = {f"{part}.{name}": value for part in PARTS for name, value in state(parity, part).items()}
    for name in ("decoder.fc2.weight", "decoder.fc2.bias"):
        filled[name] = filled[name] * 0.05
    model.load_state_dict(filled)
    return model


def frame(motion: Motion, number: int) -> Frame:
    step = motion.roots[:, (number + 1) % 50] - motion.roots[:, number]
    return Frame(motion.rotations[:, number], motion.roots[:, number], step, motion.contacts[:, number])


def cut(motion: Motion, start: int, end: int) -> Motion:
    return Motion(*(part[:, start:end] for part in motion))


def test_noise_fades_and_codes_of_time_by_hand() -> None:
    assert [noise_scale(n) for n in (4, 5, 30, 49)] == [0, 0, 1, 1] and noise_scale(15) == pytest.approx(0.4)
    code = time_to_arrival(3)
    assert code[0] == pytest.approx(np.sin(3)) and code[1] == pytest.approx(np.cos(3 / 10000 ** (1 / 256)))
    assert plu(torch.tensor([-2.0, 0.5, 3])).tolist() == pytest.approx([-1.1, 0.5, 1.2])


def test_losses_by_hand() -> None:
    zeros = Motion(torch.zeros(1, 2, JOINTS, 3), torch.zeros(1, 2, 88), torch.zeros(1, 2, 3), torch.zeros(1, 2, 4))
    made = Motion(*(part.clone() for part in zeros))
    made.positions[:, 1, 3, 0] = 12.0
    first = cut(zeros, 0, 1)
    true = zeros._replace(contacts=torch.ones(1, 2, 4))
    losses = hallucinator_losses(made, true, first, torch.full((JOINTS, 3), 2.0))
    assert losses["position"] == pytest.approx(6 / (2 * JOINTS * 3) * 2 / 50)
    assert losses["contact"] == pytest.approx(2 / 50)
    assert losses["slide"] == pytest.approx(12 / (2 * 4 * 3))  # frame 0 touches, so the step to frame 1 counts


def test_generated_motion_starts_where_the_last_segment_ended() -> None:
    torch.manual_seed(0)
    poses = normalized(torch.randn(5, JOINTS, 4)).flatten(1)
    start = Frame(poses[:2], torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 4))
    motion = Hallucinator().eval().generate(start, poses, torch.randn(JOINTS, 3), 2, torch.Generator().manual_seed(1))
    assert motion.positions.shape == (2, 98, JOINTS, 3) and motion.positions.isfinite().all()
    steps = motion.roots.diff(dim=1).norm(dim=-1)
    assert steps[:, 48].max() < 10 * steps.median()  # no jump between segments


def test_npss_is_zero_for_equal_and_counts_what_moves_faster() -> None:
    time = torch.arange(32)[None, :, None] * (2 * np.pi / 32)
    slow, fast = time.cos(), (2 * time).cos()
    # Two of 32 frequencies swap: the cumulative shares differ by a half from 1 to 2 and from 30 to 31.
    assert npss(slow, slow) == 0 and npss(fast, slow) == pytest.approx(1.0)


def test_published_names_and_sizes(parity: Path, model: Hallucinator) -> None:
    for part in PARTS:
        shapes = {name: list(value.shape) for name, value in model.get_submodule(part).state_dict().items()}
        assert shapes == keys(parity)[part]
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == 15.65


def test_published_functions(stored: dict[str, np.ndarray], real: Motion) -> None:
    close(plu(torch.from_numpy(stored["plu_in"])), stored["plu_out"])
    done = torch.from_numpy(stored["time_to_arrival_frames"])
    close(time_to_arrival(50 - done), stored["time_to_arrival"])
    close([noise_scale(to_go) for to_go in range(50)], stored["target_noise_scale"])
    assert stored["parents"].tolist() == list(PARENTS)
    assert [3 * joint + axis for joint in FEET for axis in range(3)] == stored["foot_index"].tolist()
    touching = published_contacts(real.positions)
    assert np.array_equal(touching, stored["contacts"])
    for name in ("contacts_left", "contacts_right", "contacts_left_6", "contacts_right_6"):
        part = slice(0, 2) if "left" in name else slice(2, 4)
        assert np.array_equal(touching[0, :, part].bool(), stored[name])


def test_published_interpolation(stored: dict[str, np.ndarray], real: Motion) -> None:
    share = np.linspace(0, 1, 32)[None, :, None, None]
    rotations = stored["quaternions"].astype(float)
    close(slerp(rotations[:, 9:10], rotations[:, 40:41], share), stored["interpolated_quaternions"])
    roots = stored["root"][:, :, None].astype(float)
    close((1 - share) * roots[:, 9:10] + share * roots[:, 40:41], stored["interpolated_root"])


def test_published_codes_and_layers(stored: dict[str, np.ndarray], model: Hallucinator, real: Motion) -> None:
    with torch.no_grad():
        codes = model.codes(frame(real, 0), frame(real, 49), 0, noise=0)
        for name, code in zip(("state", "offset", "target"), codes.split(256, 1), strict=True):
            close(code, stored[f"{name}_code"], NETWORKS)
        output, _ = model.lstm(codes, None)
        close(output, stored["lstm_output"], NETWORKS)
        increments, contacts = model.decoder(output)
        close(increments, stored["decoder_output"], NETWORKS)
        close(contacts, stored["decoder_contact"], NETWORKS)


def test_published_walk_losses_and_scores(
    stored: dict[str, np.ndarray], model: Hallucinator, real: Motion, parity: Path
) -> None:
    offsets = torch.from_numpy(stored["offsets"])
    with torch.no_grad():
        made = model(frame(real, 0), frame(real, 49), offsets, steps=12, noise=0)
        close(made.positions, stored["rollout_positions"], NETWORKS)
        close(made.contacts, stored["rollout_contacts"], NETWORKS)
        close(made.roots, stored["rollout_roots"], NETWORKS)
        close(made.rotations, stored["rollout_quaternions"], NETWORKS)
        deviation: Tensor = real.positions.flatten(0, 1).std(0, correction=0)
        close(deviation[None, None], stored["position_std"])
        losses = hallucinator_losses(made, cut(real, 1, 13), cut(real, 0, 1), deviation)
        names = {"position": "pos", "quaternion": "quat", "root": "root", "contact": "contact", "slide": "slide"}
        for name, key in names.items():
            close(losses[name], stored[f"loss_{key}"], NETWORKS)
        shown = torch.cat([real.positions[:, :1], made.positions], 1)
        for name, span in (("short", 3), ("long", 10)):
            discriminator = MotionDiscriminator(span)
            discriminator.load_state_dict(state(parity, f"{name}_discriminator"))
            close(discriminator(shown), stored[f"{name}_logits"], NETWORKS)
