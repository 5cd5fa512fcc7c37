"""Builds the package; pyproject.toml holds everything that needs no code."""

from setuptools import find_packages, setup

MAPPED = {"splat.datasets": "datasets", "splat.viewer": "viewer"}


def packages() -> list[str]:
    """splat and everything under it, with the two top-level folders as subpackages."""
    mapped = [[name, *(f"{name}.{sub}" for sub in find_packages(folder))] for name, folder in MAPPED.items()]
    return sum(mapped, find_packages(include=["splat", "splat.*"]))


setup(packages=packages(), package_dir=MAPPED)
