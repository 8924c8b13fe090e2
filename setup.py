"""The packages of the project; all else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["pplkit*", "data_prep*"]), "pplkit.notebooks"],
    package_dir={"pplkit.notebooks": "notebooks"},
)
