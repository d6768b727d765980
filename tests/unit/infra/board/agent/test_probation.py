"""The probation of a release: it counts for that release alone."""

from pathlib import Path

from infra.board.agent.probation import Probation


def test_another_release_is_not_on_probation(tmp_path: Path) -> None:
    probation = Probation(str(tmp_path / "probation.json"))
    assert probation.of("a") == (0, 0)
    probation.record("a", 8, 1)
    assert probation.of("a") == (8, 1)
    assert probation.of("b") == probation.of(None) == (0, 0)
