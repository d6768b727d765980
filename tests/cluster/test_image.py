"""Build the container image from infra/Dockerfile without a container engine, and run the chain in it.

It takes minutes, some gigabytes of disk, root, buildah and debootstrap, so it runs only when `BUILD_IMAGE` is
set (docs/cluster.md). The base image cannot be had everywhere; Debian's own packages of the same release stand for it.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import composed

BASE = next(rest.split()[0] for word, rest in composed.dockerfile() if word == "FROM")
MOST_BYTES = 3_600_000_000
CERTIFICATES = "/etc/ssl/certs"
PROGRAMS = ("buildah", "debootstrap")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("BUILD_IMAGE" not in os.environ, reason="set BUILD_IMAGE=1 to build it"),
    pytest.mark.skipif(bool(MISSING) or os.geteuid() != 0, reason="needs root, buildah and debootstrap"),
    pytest.mark.timeout(3600),
]


@dataclass(frozen=True)
class Image:
    """An image in a storage of its own, and a container of it."""

    folder: Path
    name: str

    def buildah(self, *words: str) -> str:
        """Run buildah; returns what it printed."""
        place = ("--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run"))
        done = subprocess.run(
            ["buildah", *place, "--storage-driver", "vfs", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    def run(self, *command: str) -> str:
        """Run a command in a container as the image's user, with the machine's network."""
        return self.buildah("run", "--isolation", "chroot", self.name, "--", *command)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """A container of the image that the Dockerfile makes."""
    folder = tmp_path_factory.mktemp("image")
    builder = Image(folder, "")
    _make_base(builder)
    builder.buildah(
        *("build", "--format", "docker", "--isolation", "chroot", "--layers=false", "--pull-never"),
        *("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"),  # a proxy's own certificate, where there is one
        *("--file", str(composed.DOCKERFILE), "--tag", "atlasflow:test", str(composed.CHECKOUT)),
    )
    container = builder.buildah("from", "--pull-never", "atlasflow:test")
    yield Image(folder, container)
    shutil.rmtree(folder)


def _make_base(builder: Image) -> None:
    """Make an image under the name of the Dockerfile's base: Debian with Python, called `python` as there."""
    root, release = builder.folder / "base", BASE.rpartition("-")[2]
    packages = "--include=python3,python3-venv,ca-certificates"
    subprocess.run(["debootstrap", "--variant=minbase", packages, release, str(root)], check=True, capture_output=True)
    (root / "usr/bin/python").symlink_to("python3")
    container = builder.buildah("from", "scratch")
    builder.buildah("add", "--quiet", container, str(root), "/")
    trusted = f"{CERTIFICATES}/ca-certificates.crt"
    builder.buildah("config", "--env", f"PIP_CERT={trusted}", "--env", f"SSL_CERT_FILE={trusted}", container)
    builder.buildah("commit", "--rm", "--quiet", container, f"docker.io/library/{BASE}")
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def described(image: Image) -> Any:
    """What the image says of itself."""
    return json.loads(image.buildah("inspect", "--type", "image", "atlasflow:test"))["Docker"]["config"]


def test_it_is_small_enough_and_has_no_development_packages(image: Image) -> None:
    root = Path(image.buildah("mount", image.name))
    size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    assert size < MOST_BYTES
    installed = {path.name for path in root.glob("opt/venv/lib/python3*/site-packages/*")}
    assert installed & {"mindspore", "prefect", "prefect_redis"} == {"mindspore", "prefect", "prefect_redis"}
    assert not installed & {"pytest", "mypy", "ruff", "aim", "gradio", "playwright"}
    assert not (root / "opt/atlasflow/tests").exists()


def test_it_runs_as_a_user_with_a_volume_and_a_health_check(image: Image, described: Any) -> None:
    assert described["User"] == "atlasflow"
    assert list(described["Volumes"]) == ["/var/lib/atlasflow"]
    assert described["Healthcheck"]["Test"] == ["CMD", *composed.image_health()]
    assert image.run("id", "-u") == "10001"
    image.run("sh", "-c", "touch /var/lib/atlasflow/mine && ! touch /opt/atlasflow/theirs 2>/dev/null")
    image.run("sh", "-c", "! python -m infra.health http://127.0.0.1:9/health")


def test_the_chain_runs_in_it(image: Image) -> None:
    settings = ("--set", "train.recipe=lenet5-sample", "--set", "train.epochs=1", "--set", "evaluate.min_accuracy=0.1")
    command = f"atlasflow run --to evaluate {' '.join(settings)}; code=$?; atlasflow down; exit $code"
    printed = image.run("sh", "-c", command)
    assert "accuracy" in printed
    assert "atlasflow 0." in image.run("atlasflow", "--version")
