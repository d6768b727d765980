"""How the tests look at the Prefect UI, and how its pictures for the documentation are made."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from tests.e2e.installation import BUSY

# What Prefect's own UI does: it asks for icons that its server does not have.
OWN_FAULTS = [r"status of 404 .*/(favicon\.ico|ico/(undefined|paused)\.svg)\)$"]
MOST_BYTES = 300_000


def log_in(page: Any, home: Any) -> None:
    """Have the pages of the home's Prefect server know its login, as its login page keeps it."""
    page.add_init_script(f"localStorage.setItem('prefect-password', btoa({home.login()!r}))")


def open_page(page: Any, address: Any, text: Any) -> None:
    """Open an address and wait until the page shows a text."""
    page.goto(address)
    page.get_by_text(text).first.wait_for()


def submit(page: Any, watch: Any, path: Any) -> None:
    """Press "Submit" until the server takes what is posted to a path.

    While its database is busy it answers 503, to be asked again (Prefect 3.8, SQLite); its UI leaves that to a person.
    """
    for _ in range(10):
        with page.expect_response(lambda answer: answer.url.endswith(path)) as answer:
            page.get_by_role("button", name="Submit").click()
        if answer.value.status != BUSY:
            return
        page.wait_for_timeout(500)  # what the UI says of it comes later
        watch.errors = [said for said in watch.errors if "status of 503" not in said and "/assets/FlowRun" not in said]
    raise AssertionError(f"the server's database stays busy: {path}")


def picture(config: Any, page: Any, name: Any, shown: Any = None) -> None:
    """With the option `--pictures FOLDER`, keep what the page shows as FOLDER/NAME.png, scrolled to an element."""
    folder = config.getoption("--pictures")
    if folder is None:
        return
    if shown is not None:
        shown.evaluate("element => element.scrollIntoView({block: 'start'})")
    page.evaluate("document.fonts.ready")
    page.wait_for_load_state("networkidle")
    path = Path(folder) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(page.screenshot())) as taken:
        taken.convert("RGB").quantize(256).save(path, "PNG", optimize=True)
    assert path.stat().st_size < MOST_BYTES
