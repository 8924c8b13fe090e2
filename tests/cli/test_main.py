"""The parser explains each command; errors are one line, and an exit status."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pplkit
from pplkit import cli
from pplkit.cli.main import EXAMPLES, GROUPS, build_parser, main

COMMANDS = ["run", "batch", "train", "doctor", "complete", "estimate", "landmarks", "track", "export", "check"]


@pytest.mark.parametrize("command", [*COMMANDS, "imitate", "transfer", "generate", "convert-official"])
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert re.match(rf"usage: pplkit {command} .*\n\n[A-Z].*\.\n\n", capsys.readouterr().out, re.DOTALL)
    assert re.search(rf"^ +{command}\s+[a-z]", build_parser().format_help(), re.MULTILINE)


def test_an_interruption_is_status_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pplkit.cli.run.prepare_data", interrupt)
    assert cli.main(["run", "puppets"]) == 130
    assert capsys.readouterr().err == "pplkit: interrupted. To continue: pplkit run puppets\n"
    monkeypatch.setattr("pplkit.cli.data.faults", interrupt)
    assert cli.main(["check", "a"]) == 130 and capsys.readouterr().err == "pplkit: interrupted.\n"


def test_a_missing_device_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    for line in (["run", "puppets", "--device", "cuda:1"], ["doctor", "nowhere", "--device", "gpu"]):
        assert main(line) == 2
        assert re.search("device='(cuda:1|gpu)' is not available here: choose one of .*cuda", capsys.readouterr().err)


def test_the_overview_names_each_command_once_and_its_examples_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    overview = capsys.readouterr().out
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted(
        [
            *COMMANDS,
            "card",
            "imitate",
            "inbetween",
            "lift",
            "motion-loop",
            "road",
            "transfer",
            "generate",
            "convert-official",
        ]
    ) and all(f"{title}:" in overview for title in GROUPS)
    for line in EXAMPLES:
        build_parser().parse_args(line.split()[1:])
        assert line in overview


def test_python_m_pplkit_is_the_same_command() -> None:
    line = [sys.executable, "-m", "pplkit", "estimate", "nowhere", "a.png", "--out", "no/such/folder/poses.json"]
    process = subprocess.run(line, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert process.returncode == 2
    assert process.stderr.startswith("pplkit: the folder no/such/folder of --out does not exist")


def test_version_help_and_misspelled_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0 and "Examples:" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and pplkit.__version__ in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["trian"])
    assert "did you mean 'train'?" in capsys.readouterr().err
    for option in ("--presett", "--presett=cub"):
        with pytest.raises(SystemExit):
            main(["run", "puppets", option, "x"])
        assert "did you mean --preset?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["convert-official", "a", "b", "--zzz"])
    assert capsys.readouterr().err.endswith("error: unrecognized arguments: --zzz\n")
