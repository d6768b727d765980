"""How the tests look at the Prefect UI, and how its pictures for the documentation are made."""

import io
from pathlib import Path

from PIL import Image

# What Prefect's own UI does: it asks for icons that its server does not have.
OWN_FAULTS = [r"status of 404 .*/(favicon\.ico|ico/(undefined|paused)\.svg)\)$"]
MOST_BYTES = 300_000


def open_page(page, address, text):
    """Open an address and wait until the page shows a text."""
    page.goto(address)
    page.get_by_text(text).first.wait_for()


def picture(config, page, name, shown=None):
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
