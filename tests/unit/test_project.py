"""The files by which others carry the project on: licence, hooks, workflow."""

import os
import re
from pathlib import Path

import yaml

from infra.home import CHECKOUT


def _read(path: str) -> str:
    return (CHECKOUT / path).read_text(encoding="utf-8")


def test_the_licence_is_the_declared_one() -> None:
    assert 'license = "Apache-2.0"' in _read("pyproject.toml")
    assert "Apache License\n                           Version 2.0" in _read("LICENSE")


def test_commit_hooks_download_nothing() -> None:
    repositories = yaml.safe_load(_read(".pre-commit-config.yaml"))["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = repositories[0]["hooks"]
    assert all(hook["language"] == "system" for hook in hooks)
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks)


def test_the_workflow_does_what_continuous_integration_does() -> None:
    jobs = yaml.safe_load(_read(".github/workflows/ci.yml"))["jobs"]
    assert [step["run"] for step in jobs["test"]["steps"] if step.get("name") == "Check and test"] == [".ci/run"]
    assert os.access(CHECKOUT / ".ci" / "run", os.X_OK)
    supported = re.findall(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', _read("pyproject.toml"))
    ((first, after),) = supported
    assert jobs["test"]["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(int(first), int(after))]


def test_every_decision_is_listed_and_has_its_headings() -> None:
    folder = CHECKOUT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    pages: list[Path] = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    assert len(pages) >= 14
    for page in pages:
        assert f"({page.name})" in index
        headings = re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Alternatives", "Consequences"], page.name
