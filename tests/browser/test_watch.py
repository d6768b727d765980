"""The watch over pages itself: it sees console errors, exceptions and requests to the outside."""

from typing import Any

import pytest


def show(page: Any, script: Any) -> None:
    page.set_content(f"<p id=said></p><script>{script}</script>")


def test_a_quiet_page_passes(page: Any, watch: Any) -> None:
    show(page, "document.getElementById('said').textContent = 'hello'")
    assert page.inner_text("#said") == "hello"
    watch.check()


@pytest.mark.parametrize("script", ["console.error('broken')", "throw new Error('broken')"])
def test_an_error_is_noticed_unless_it_is_expected(page: Any, watch: Any, script: str) -> None:
    show(page, script)
    page.evaluate("0")
    with pytest.raises(AssertionError, match="broken"):
        watch.check()
    watch.errors.clear()
    watch.expected.append("^broken|Error: broken")
    show(page, script)
    page.evaluate("0")
    watch.check()


def test_the_outside_is_refused_and_an_allowed_host_is_answered_with_nothing(page: Any, watch: Any) -> None:
    watch.allowed.add("allowed.example")
    fetch = "fetch('{}').then(answer => answer.text()).then(text => said.textContent = `got ${{text.length}}`)"
    show(page, fetch.format("https://allowed.example/script.js"))
    page.wait_for_function("said.textContent == 'got 0'")
    watch.check()
    watch.expected.append("ERR_FAILED")
    show(page, fetch.format("https://not-allowed.example/") + ".catch(() => said.textContent = 'refused')")
    page.wait_for_function("said.textContent == 'refused'")
    with pytest.raises(AssertionError, match=r"https://not-allowed\.example/"):
        watch.check()
    watch.refused.clear()
