"""Options of the data sets' modules."""

import pytest

from data_prep.common.command_line import ListAction, numbers, parser, texts


@pytest.mark.parametrize("line", ["1 2 3", "1,2,3", "1, 2,3"])
def test_lists_are_parted_by_commas_or_spaces(line: str) -> None:
    command = parser("")
    command.add_argument("--classes", type=numbers, nargs="+", action=ListAction)
    command.add_argument("--actions", type=texts, nargs="+", action=ListAction)
    parsed = command.parse_args(["in", "out", "--classes", *line.split(), "--actions", *line.split()])
    assert parsed.classes == [1, 2, 3] and parsed.actions == ["1", "2", "3"]
