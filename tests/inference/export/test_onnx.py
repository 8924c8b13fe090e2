"""The exported estimator against the model, in ONNX Runtime."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import with_completer
from torch import nn
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.inference.export.onnx import ExportedModel, export_onnx
from pplkit.models.layers import resampled_conv as resampling
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner

WANTED = "writes and runs ONNX: pip install 'pplkit[onnx]'"


def images(count: int) -> torch.Tensor:
    """Patches of random colours: of single pixels nothing would be left where the model attends."""
    patches = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(count)) * 2 - 1
    return F.interpolate(patches, scale_factor=8)


def model(config: Config, completed: bool) -> PosePriorLearner:
    """Without training, but with statistics of batches, so that the answers differ from image to image."""
    torch.manual_seed(0)
    made = PosePriorLearner(config.replace(affine_init="place", sharpness=8.0))
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        made.regress(images(16))
    made.made_by = {"run": "first", "data_path": "../here"}
    return with_completer(made) if completed else made.eval()


@pytest.fixture(scope="module")
def views(tiny: Config) -> Config:
    return tiny.replace(tta_views=3, max_rotation=1.5, max_shift=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("completed", [False, True], ids=["published, three views", "completed"])
def test_onnx_runtime_gives_the_poses_of_the_model(
    completed: bool, views: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For any number of images, though the model's own doublings are done in another way than the exported ones."""
    monkeypatch.setattr(resampling, "MIN_SIDE", 2)
    onnx = pytest.importorskip("onnx", reason=f"onnx {WANTED}")
    pytest.importorskip("onnxscript", reason=f"onnxscript {WANTED}")
    runtime = pytest.importorskip("onnxruntime", reason=f"onnxruntime {WANTED}")
    ours = model(views, completed)
    path = export_onnx(ours, tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]  # the weights are inside
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 3, 64):
        batch = images(count)
        keypoints, sure = session.run(["keypoints", "confidence"], {"images": batch.numpy()})
        poses = ours.estimate(batch)
        assert keypoints.shape == (count, 4, 2) and sure.shape == (count, 4)
        np.testing.assert_allclose(keypoints, poses.keypoints, atol=1e-4)
        np.testing.assert_allclose(sure, poses.confidence, atol=1e-4)
    assert float(poses.keypoints.std(0).min()) > 0.01  # the answers do depend on the image
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["pplkit.made_by"]) == {"run": "first"}
    assert json.loads(about["pplkit.procedure"]) == ours.procedure()
    assert str(Path(__file__).parents[3]).encode() not in path.read_bytes()  # nor where the source lay


@pytest.mark.parametrize("regression", ["affine", "free", "attention"])
def test_the_exported_module_is_the_model(regression: str, tiny: Config, views: Config) -> None:
    batch = images(5)
    for config, completed in ((tiny, False), (tiny, True), (views, False), (views, True)):
        ours = model(config.replace(regression=regression), completed)
        with torch.no_grad():
            keypoints, sure = ExportedModel(ours)(batch)
        poses = ours.estimate(batch)
        torch.testing.assert_close(keypoints, poses.keypoints, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(sure, poses.confidence, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named(
    package: str, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason=f"onnx {WANTED}")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PplkitError, match=rf"{package} is missing, which writes ONNX: pip install 'pplkit\[onnx\]'"):
        export_onnx(model(tiny, False), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
