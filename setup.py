# SPDX-License-Identifier: Apache-2.0
"""Installs what CMakeLists.txt installs into a virtual environment, by running that very build.

The environment must hold what requirements-build.txt and requirements.txt name already, and the
machine a C++ compiler and make. The name, version, people and addresses are those of package.xml.
No file is listed here: the Python package of the installed tree becomes the wheel's code, and
everything else the wheel's data, which pip puts under the environment's prefix.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from xml.etree import ElementTree

from setuptools import Distribution, setup
from setuptools.command.build import build
from setuptools.command.editable_wheel import editable_wheel
from setuptools.errors import ExecError

HERE = Path(__file__).parent.absolute()
PREFIX = Path(sys.prefix)


class Build(build):
    """Builds and installs with CMake into a staging directory and takes its tree."""

    def run(self) -> None:
        """Fill ``build_lib`` with the Python package, and the distribution's data files."""
        # CMake ties a build directory to its source and ours to the prefix as well.
        key = hashlib.sha256(f"{HERE}\n{PREFIX}".encode()).hexdigest()[:12]
        build_dir = Path(self.build_temp, key)
        tree = Path(self.build_temp, "tree")
        shutil.rmtree(tree, ignore_errors=True)
        shutil.rmtree(self.build_lib, ignore_errors=True)

        _cmake(
            "-S",
            str(HERE),
            "-B",
            str(build_dir),
            f"-DCMAKE_INSTALL_PREFIX={PREFIX}",
            f"-DPython3_EXECUTABLE={sys.executable}",
            "-DCMAKE_BUILD_TYPE=Release",
            "-DBUILD_TESTING=OFF",
            "-DCOMPILE_KERNELS=OFF",
        )
        _cmake("--build", str(build_dir), "--parallel", str(os.cpu_count()))
        _cmake("--install", str(build_dir), "--prefix", str(tree))

        name = self.distribution.get_name()
        modules = Path(sysconfig.get_path("purelib", "posix_prefix", {"base": str(tree)}))
        without_caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(modules / name, Path(self.build_lib, name), ignore=without_caches)
        self.distribution.data_files = [
            (str(path.parent.relative_to(tree)), [str(path)])
            for path in sorted(tree.rglob("*"))
            if path.is_file() and modules not in path.parents
        ]


class RefuseEditable(editable_wheel):
    """Says why there is no editable installation."""

    def run(self) -> None:
        """Refuse."""
        raise ExecError(
            "hybrid_pose_ros cannot be installed in editable mode, because its messages are "
            "generated; run `pip install .` again after a change"
        )


class CompiledDistribution(Distribution):
    """A distribution for one platform and Python version: it holds compiled messages."""

    def has_ext_modules(self) -> bool:
        """Return whether there are compiled modules."""
        return True


def _cmake(*arguments: str) -> None:
    environment = dict(os.environ)
    if sysconfig.get_path("purelib") not in sys.path:
        # pip's isolated build hides the environment from Python by this variable. ROS's code
        # generators are Python programs in the environment.
        environment.pop("PYTHONPATH", None)
    paths = {
        "PATH": sysconfig.get_path("scripts"),
        "AMENT_PREFIX_PATH": str(PREFIX),
        "CMAKE_PREFIX_PATH": str(PREFIX),
    }
    for variable, path in paths.items():
        environment[variable] = os.pathsep.join(filter(None, [path, os.environ.get(variable)]))
    cmake = shutil.which("cmake", path=environment["PATH"])
    if cmake is None:
        raise ExecError("there is no cmake here; install it with `pip install cmake` or apt")
    if subprocess.run([cmake, *arguments], env=environment, check=False).returncode != 0:
        raise ExecError(
            "CMake failed, see above; it needs make, a C++ compiler and, in the environment "
            f"{PREFIX}, what requirements-build.txt names"
        )


def _package_xml(tag: str) -> str:
    text = ElementTree.parse(HERE / "package.xml").findtext(tag)
    assert text is not None, f"package.xml has no <{tag}>"
    return text


def _people(tag: str, attribute: str | None = None) -> str | None:
    """Return the names or addresses of the authors or maintainers, with commas; None of none."""
    found = [
        element.get(attribute) if attribute else element.text
        for element in ElementTree.parse(HERE / "package.xml").iterfind(tag)
    ]
    return ", ".join(filter(None, found)) or None


def _urls() -> dict[str, str]:
    elements = ElementTree.parse(HERE / "package.xml").iterfind("url")
    return {element.get("type", "website"): element.text or "" for element in elements}


def _requirements(file: str) -> list[str]:
    lines = (HERE / file).read_text().splitlines()
    return [text for line in lines if (text := line.partition("#")[0].strip())]


setup(
    name=_package_xml("name"),
    version=_package_xml("version"),
    description=_package_xml("description"),
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=_people("author"),
    author_email=_people("author", "email"),
    maintainer=_people("maintainer"),
    maintainer_email=_people("maintainer", "email"),
    project_urls=_urls(),
    license=_package_xml("license"),
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    install_requires=_requirements("requirements.txt"),
    extras_require={
        "bench": _requirements("requirements-bench.txt"),
        "export": _requirements("requirements-export.txt"),
        "openvino": _requirements("requirements-openvino.txt"),
        "report": _requirements("requirements-report.txt"),
        "training": ["tensorboard"],
        "view": _requirements("requirements-view.txt"),
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    keywords=[
        "event camera",
        "human pose estimation",
        "neuromorphic vision",
        "ROS 2",
        "spiking neural network",
    ],
    packages=[],
    distclass=CompiledDistribution,
    cmdclass={"build": Build, "editable_wheel": RefuseEditable},
)
