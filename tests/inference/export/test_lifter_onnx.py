"""Exported lifters against the kit's own, in ONNX Runtime."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lifters import TINY, tiny_lifter

from pplkit import cli
from pplkit.inference.export.lifter_onnx import ExportedLifter, export_lifter
from pplkit.inference.lifting.frames import poses_of_frames
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.lifting.model import build_model
from pplkit.training.saved_lifter import LifterRun, load_lifter

WANTED = "writes and runs ONNX: pip install 'pplkit[onnx]'"
POSEFORMER = LiftingConfig.preset("poseformer-27").replace(frames=9, width=8, depth=1, heads=2, drop_path=0.0)


def lifter(config: LiftingConfig) -> LifterRun:
    torch.manual_seed(0)
    return LifterRun(build_model(config).eval(), config, config.skeleton, config.fps, 0)


def windows(config: LiftingConfig, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and confidence, a fifth of them 0."""
    rng = np.random.default_rng(count)
    shape = (count, config.frames, config.joints)
    sure = np.where(rng.random(shape) < 0.2, 0, rng.uniform(0.3, 1, shape))
    sure[..., config.root] = 1
    return rng.uniform(-0.5, 0.5, (*shape, 2)).astype(np.float32), sure.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [TINY.replace(uncertainty=True, frequency_tokens=3), POSEFORMER],
    ids=["frames", "poseformer"],
)
def test_onnx_runtime_gives_the_poses_of_the_lifter(config: LiftingConfig, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason=f"onnx {WANTED}")
    pytest.importorskip("onnxscript", reason=f"onnxscript {WANTED}")
    runtime = pytest.importorskip("onnxruntime", reason=f"onnxruntime {WANTED}")
    run = lifter(config)
    path = export_lifter(run, tmp_path / "lifter.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["lifter.onnx"]
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    assert names == ["keypoints", "confidence"][: 1 if config.network == "poseformer" else 2]
    for count in (1, 3):
        inputs = dict(zip(names, windows(config, count), strict=False))
        outputs = session.run(None, inputs)
        with torch.no_grad():
            expected = ExportedLifter(run)(*map(torch.from_numpy, inputs.values()))
        assert len(outputs) == len(expected) == 1 + config.uncertainty
        for found, wanted in zip(outputs, expected, strict=True):
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, atol=1e-4)
    about: dict[str, Any] = json.loads(session.get_modelmeta().custom_metadata_map["pplkit.lifter"])
    assert about["joints"] == list(config.joint_names) and about["frames"] == config.frames


def test_the_exported_module_gives_the_poses_of_the_kit() -> None:
    """Of a clip that is one window."""
    run = lifter(TINY)
    keypoints, sure = windows(TINY, 1)
    with torch.no_grad():
        (positions,) = ExportedLifter(run)(torch.from_numpy(keypoints), torch.from_numpy(sure))
    assert np.allclose(positions[0], poses_of_frames(run, keypoints[0], sure[0]).positions, atol=1e-5)


def test_the_command_exports_a_lifter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("pplkit.cli.export.export_lifter", lambda *given: calls.append(given) or given[1])
    run = tiny_lifter(tmp_path / "lift", TINY.replace(steps=1))
    assert cli.main(["export", str(run), "--onnx", str(tmp_path / "lift.onnx")]) == 0
    assert "The lifter is in " in capsys.readouterr().out and calls[0][0].config == load_lifter(run).config
    assert cli.main(["export", str(run), "--prior", str(tmp_path / "prior.svg")]) == 2
    assert "is a run of lifting" in capsys.readouterr().err
