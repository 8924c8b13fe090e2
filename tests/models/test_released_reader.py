"""Checkpoints as the authors' code writes them, and files that would like to do more than hold numbers."""

import pickle
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from parity.deterministic import official_state
from torch import Tensor, nn

import pplkit
from pplkit.cli.main import main
from pplkit.core.errors import PplkitError
from pplkit.models.prior.released_weights import load_official
from pplkit.models.released_reader import read_state
from pplkit.training.saved_model import convert_official


@pytest.fixture
def released() -> Iterator[dict[str, type[nn.Module]]]:
    """Classes called as in the released code; gone from sys.modules when a file is read, as on a user's machine."""
    names = {"models.pose_prior_learner": ["PosePriorLearner"], "models.modules": ["HierarchicalMemory", "Block"]}
    classes = {}
    for module, inside in names.items():
        sys.modules.setdefault(module.split(".")[0], ModuleType("models"))
        sys.modules[module] = made = ModuleType(module)
        for name in inside:
            classes[name] = type(name, (nn.Module,), {"__module__": module, "__qualname__": name})
            setattr(made, name, classes[name])
    yield classes
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "models"]:
        del sys.modules[name]


def nested(state: dict[str, Tensor], outer: type[nn.Module], inner: type[nn.Module]) -> nn.Module:
    """A module whose state dict is `state`: parts called as the first words of the names, the rest in them."""
    module = outer()
    for name, value in state.items():
        place = module
        *path, last = name.split(".")
        for word in path:
            if word not in place._modules:
                place.add_module(word, inner())
            place = place._modules[word]  # type: ignore[assignment]
        if value.is_floating_point() and "running" not in last and "ema" not in last and last != "codebook":
            place.register_parameter(last, nn.Parameter(value.clone()))
        else:
            place.register_buffer(last, value.clone())
    return module


def test_a_pickled_module_of_the_released_names_loads(released: dict[str, Any], tmp_path: Path) -> None:
    state = {name: value for name, value in official_state().items() if not name.startswith("vgg_loss")}
    module = nested(state, released["PosePriorLearner"], released["HierarchicalMemory"])
    module.args = Namespace(num_parts=16, dataset="h36m")  # type: ignore[assignment]
    module.thick, module.block, module.use_alpha = 7.5e-5, 8, True  # type: ignore[assignment]
    module.add_module("activation", nn.LeakyReLU(0.2))
    torch.save(module, tmp_path / "checkpoint_latest.pth")
    forget()
    with pytest.raises(ModuleNotFoundError):  # the classes are really gone
        torch.load(tmp_path / "checkpoint_latest.pth", weights_only=False)
    actual = load_official(tmp_path / "checkpoint_latest.pth")
    assert (actual.config.thickness, actual.config.mask_grid, actual.config.mask_ratio) == (
        7.5e-5,
        8,
        0.8,
    )  # as it says
    expected = load_official(state).state_dict()
    assert [name for name, value in actual.state_dict().items() if not torch.equal(value, expected[name])] == []

    assert main(["convert-official", str(tmp_path / "checkpoint_latest.pth"), str(tmp_path / "run")]) == 0
    loaded = pplkit.load(tmp_path / "run")
    assert not [name for name, value in loaded.state_dict().items() if not torch.equal(value, expected[name])]
    assert {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()} == {".json", ".safetensors"}
    assert loaded.config.thickness == 7.5e-5
    assert loaded.prior().made_by["converted_from"] == "checkpoint_latest.pth"
    assert main(["convert-official", str(tmp_path / "checkpoint_latest.pth"), str(tmp_path / "run")]) == 2  # in use


def test_old_files_of_torch_and_wrapped_state_dicts_load_too(tmp_path: Path) -> None:
    weights = {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}
    for new in (True, False):
        torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "file.pt", _use_new_zipfile_serialization=new)
        result, numbers = read_state(tmp_path / "file.pt")
        assert numbers == {}
        assert result.keys() == weights.keys() and all(torch.equal(result[name], weights[name]) for name in weights)


@pytest.mark.parametrize("protocol", [2, 4])
def test_the_state_dict_of_a_training_checkpoint_is_read(protocol: int, tmp_path: Path) -> None:
    """It lies among an optimizer's state, a random generator and NumPy's numbers, for which there are stand-ins."""
    weights = {"weight": torch.arange(6.0)}
    adam = torch.optim.Adam([nn.Parameter(torch.zeros(2))])
    content = {
        "epoch": 3, "lr": np.float64(1e-3), "random_state": np.random.RandomState(0), "errors": np.zeros(3),
        "optimizer": adam.state_dict(), "model": weights,
    }  # fmt: skip
    torch.save(content, tmp_path / "checkpoint.bin", pickle_protocol=protocol)
    assert torch.equal(read_state(tmp_path / "checkpoint.bin").state["weight"], weights["weight"])
    torch.save({**content, "teacher": weights}, tmp_path / "checkpoint.bin")
    with pytest.raises(PplkitError, match="holds dict, no state dict"):
        read_state(tmp_path / "checkpoint.bin")


def test_buffers_that_are_not_kept_are_left_out(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 1))
    module.register_buffer("grid", torch.zeros(3), persistent=False)
    torch.save(module, tmp_path / "module.pt")
    assert list(read_state(tmp_path / "module.pt").state) == list(module.state_dict())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("os", "system"),
        ("subprocess", "Popen"),
        ("torch.hub", "load"),
        ("torch", "load"),
        ("torch.nn.modules.linear", "Linear.__init__"),
        ("torch.serialization", "load"),
        ("models", "os.system"),
        ("numpy", "load.__call__"),
        ("_codecs", "decode"),
    ],
)
def test_other_names_are_refused_with_their_name(module: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.pt"
    # Pickle's opcodes by hand: protocol 4, two strings, look the name up, call it with nothing, stop.
    strings = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    inside = b"\x80\x04" + strings + b"\x93)R."
    torch.save({"weight": torch.zeros(1)}, path)
    rewrite(path, inside)
    with pytest.raises(PplkitError, match=f"odd.pt is refused, nothing was run: it names {module}.{name}"):
        read_state(path)


def rewrite(path: Path, content: bytes) -> None:
    """Put other opcodes into a file of torch.save."""
    import zipfile

    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, part in parts.items():
            file.writestr(name, content if name.endswith("data.pkl") else part)


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    for content in (b"", b"no weights", pickle.dumps([1])):
        (tmp_path / "other.pt").write_bytes(content)
        with pytest.raises(PplkitError, match="other.pt holds .*no state dict"):
            read_state(tmp_path / "other.pt")


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("notes")
    with pytest.raises(PplkitError, match="is in use: name a folder that does not exist yet"):
        convert_official(tmp_path / "file.pt", tmp_path)
