"""The Prefect UI after a run, in Chromium: its pages load without an error, and the report's pictures are there.

`pytest tests/e2e/test_prefect_ui.py tests/e2e/test_serving.py --pictures docs/pictures` writes those of the docs.
"""

from typing import Any

import pytest

from tests.e2e.ui import OWN_FAULTS, log_in, open_page, picture

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]


@pytest.fixture
def opened(made: Any, page: Any, watch: Any) -> Any:
    """Opens a path of the UI and waits until it shows a text; everything but Prefect's own faults fails the test."""
    made.atlasflow("up")
    watch.expected += OWN_FAULTS
    log_in(page, made)
    return lambda path, text: open_page(page, f"{made.services()['prefect']['address']}{path}", text)


def newest(home: Any, key: Any, holding: str = "") -> Any:
    """The newest artifact with this key whose data hold a text."""
    found = home.prefect("artifacts", artifacts={"key": {"any_": [key]}}, sort="CREATED_DESC")
    return next(artifact for artifact in found if holding in str(artifact["data"]))


def loaded(page: Any) -> Any:
    """The width of each picture of a page by what it shows; 0 for one that is broken."""
    page.wait_for_function("[...document.images].every(image => image.complete)")
    return dict(page.evaluate("[...document.images].map(image => [image.alt.split(':')[0], image.naturalWidth])"))


def test_the_dashboard_shows_the_runs(opened: Any, page: Any) -> None:
    opened("/dashboard", "Flow Runs")
    page.get_by_text("Completed").first.wait_for()


def test_a_run_shows_its_stages_its_log_and_its_artifacts(
    made: Any, opened: Any, page: Any, pytestconfig: pytest.Config
) -> None:
    made.atlasflow("run", "--record")
    record, _ = made.last_run()
    opened(f"/runs/flow-run/{record['flow_run']}", "all stages lenet5-sample")
    page.get_by_text("Finished in state").first.wait_for()
    picture(pytestconfig, page, "run")
    page.get_by_role("tablist").get_by_text("Artifacts", exact=True).click()
    for key in ("report", "per-class", "parity", "confusion-matrix"):
        page.get_by_text(key, exact=True).first.wait_for()


def test_the_report_shows_its_pictures_and_says_their_numbers(
    made: Any, opened: Any, page: Any, pytestconfig: pytest.Config
) -> None:
    opened(f"/artifacts/artifact/{newest(made, 'report', 'of 8 stages')['id']}", "Wilson interval")
    widths = loaded(page)
    assert set(widths) >= {
        "confusion matrix",
        "evaluation images with their answers",
        "loss, accuracy and learning rate over the epochs",
        "agreement with the checkpoint, hop by hop and by class",
    }
    assert min(widths.values()) > 0
    for text in ("Stand-ins took part", "learning rate at most", "answers are right (✓)", "Sizes and latencies"):
        assert page.get_by_text(text).first.is_visible()
    picture(pytestconfig, page, "report", page.get_by_text("Stages and results").first)
    picture(pytestconfig, page, "report-answers", page.get_by_text("answers are right (✓)").first)
    picture(pytestconfig, page, "report-training", page.get_by_text("learning rate at most").first)


@pytest.mark.parametrize("key", ["confusion-matrix", "reliability", "confident-mistakes", "parity-by-class"])
def test_a_picture_has_a_page_of_its_own(made: Any, opened: Any, page: Any, key: str) -> None:
    opened(f"/artifacts/artifact/{newest(made, key)['id']}", key)
    page.wait_for_selector("img")
    assert min(loaded(page).values()) > 0


def test_progress_limits_and_automations_have_their_pages(
    made: Any, opened: Any, page: Any, pytestconfig: pytest.Config
) -> None:
    opened(f"/artifacts/artifact/{newest(made, 'progress-train')['id']}", "done; accuracy")
    opened("/concurrency-limits", "training")
    page.get_by_text("board:laptop").first.wait_for()
    opened("/automations", "AtlasFlow: runs that are not heard of have crashed")
    picture(pytestconfig, page, "automations")
