"""What pyproject.toml cannot say: a wheel has a copy of config/, so that single runs work without a
checkout. An editable install reads the checkout's own."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfig(build_py):
    """Copies config/ into the package that is built, and nothing into the source tree."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            copy = Path(self.build_lib, "layerwise", "_config")
            shutil.rmtree(copy, ignore_errors=True)  # of an earlier build
            shutil.copytree("config", copy, ignore=shutil.ignore_patterns("*.md"))


setup(cmdclass={"build_py": BuildWithConfig})
