"""Reports in a real browser: no error, no request, and all of it is read and reached."""

import dataclasses
import time

import pytest

from innerloop.report import About, comparison_page, curves_of, fewshot_page
from innerloop.report.page import render
from report.browser import CLIPPED, REQUESTS, axe, show, troubles
from report.pages import HOSTILE, ROW, comparison, confused

KINDS = ("comparison", "numbers", "training", "fewshot", "reproduction", "search")
CHARTS = {**dict.fromkeys(KINDS, 0), "comparison": 3, "training": 2, "reproduction": 6, "search": 1}

LABELS = """
const seen = new Map(), write = CanvasRenderingContext2D.prototype.fillText;
window.labels = [];
CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
  if (!seen.has(this)) window.labels.push(seen.set(this, []).get(this));
  if (this.textAlign === "right" && text) seen.get(this).push(Number(text.replaceAll(",", "")));
  return write.call(this, text, ...place);
};
"""
"""Keeps the numbers beside the axes of y, chart by chart."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_drawn_without_an_error_and_fetches_nothing(browser, written, kind):
    show(browser, written[kind].as_uri())
    assert troubles(browser) == []
    assert browser.execute_script(REQUESTS) == []
    charts = browser.execute_script("return document.querySelectorAll('.chart canvas').length")
    assert charts == CHARTS[kind]


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_is_cut_off(browser, written, kind, width):
    show(browser, written[kind].as_uri(), width=width)
    assert browser.execute_script(CLIPPED) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_no_fault_of_contrast_names_or_order(browser, written, kind, dark):
    show(browser, written[kind].as_uri(), width=1000, dark=dark)
    assert axe(browser) == {}


def test_the_switch_of_themes_overrides_the_system(browser, written):
    def background():
        return browser.execute_script("return getComputedStyle(document.body).backgroundColor")

    show(browser, written["training"].as_uri(), dark=True)
    dark = background()
    button = browser.find_element("id", "theme")
    button.click()
    assert button.text == "Theme: light" and background() != dark
    button.click()
    assert button.text == "Theme: dark" and background() == dark
    button.click()


def test_a_curve_is_switched_read_off_and_zoomed_by_keyboard_alone(browser, written):
    from selenium.webdriver import ActionChains, Keys

    show(browser, written["comparison"].as_uri())
    press = lambda *keys: ActionChains(browser).send_keys(*keys).perform()  # noqa: E731
    focus = "document.querySelectorAll('.chart')[0].focus()"
    text = lambda selector: browser.execute_script(  # noqa: E731
        "return document.querySelector(arguments[0]).textContent", selector
    )
    browser.execute_script(focus)
    press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert text(".readout") == "Step 1"
    value, half = text(".legend button .value").split(" ± ")
    assert float(value) > 1 and float(half) > 0
    press(Keys.END)
    assert text(".readout") == "Step 200"
    browser.execute_script("document.querySelector('.legend button').focus()")
    press(Keys.ENTER)
    pressed = "return document.activeElement.getAttribute('aria-pressed')"
    assert browser.execute_script(pressed) == "false"


def test_a_reference_far_below_flattens_no_curve_and_every_axis_has_labels(browser, tmp_path):
    compared = comparison()
    deep = dataclasses.replace(compared.reference, losses=compared.reference.losses * 1e-12)
    compared = dataclasses.replace(compared, reference=deep)
    path = tmp_path / "report.html"
    path.write_text(render(comparison_page(compared.results(), curves_of(compared))))
    spy = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LABELS})
    show(browser, path.as_uri(), width=360)
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", spy)
    lowest = browser.execute_script("return window.labels.map((each) => Math.min(...each))")
    assert len(lowest) == 3 and all(each > 1e-6 for each in lowest)
    number = browser.execute_script("return window.labels.map((each) => new Set(each).size)")
    assert all(2 <= each <= 15 for each in number)


def test_everything_that_acts_is_reached_by_the_tab_key(browser, written):
    from selenium.webdriver import ActionChains, Keys

    show(browser, written["comparison"].as_uri())
    wanted = browser.execute_script(
        "return [...document.querySelectorAll('a, button, select, summary, [tabindex]')]"
        ".filter((each) => each.checkVisibility()).length"
    )
    reached = 0
    for _ in range(wanted + 2):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        reached += browser.execute_script(
            "const at = document.activeElement, is = at !== document.body && !at.seen;"
            "at.seen = true; return is"
        )
    assert reached == wanted


def test_names_from_files_become_no_script_and_no_element(browser, tmp_path):
    compared = comparison(
        problems=8, horizon=5, others=(HOSTILE,), baselines=("sgd", HOSTILE + "2")
    )
    results = compared.results()
    results["task"] = results["versions"][HOSTILE] = HOSTILE
    about = About(title=HOSTILE, command=HOSTILE, settings=HOSTILE)
    shot = fewshot_page([{**ROW, "method": HOSTILE, "data": HOSTILE}], confused(), about=about)
    for number, page in enumerate(
        (comparison_page(results, curves_of(compared), about=about), shot)
    ):
        path = tmp_path / f"{number}.html"
        path.write_text(render(page), encoding="utf-8")
        show(browser, path.as_uri())
        assert browser.execute_script("return window.hit") is None
        assert troubles(browser) == []
        assert (
            browser.execute_script("return document.querySelectorAll('img[onerror]').length") == 0
        )
        assert "\x1b" not in path.read_text() and "<img src=x" not in path.read_text()


def test_a_script_that_got_into_the_page_would_not_run(browser, written, tmp_path):
    text = written["training"].read_text()
    path = tmp_path / "broken.html"
    path.write_text(text.replace("</main>", "<script>window.hit=1</script></main>", 1))
    show(browser, path.as_uri())
    assert browser.execute_script("return window.hit") is None
    assert any("policy" in each for each in troubles(browser))


def test_a_report_of_2000_problems_and_11_optimizers_is_small_and_ready_in_a_second(
    browser, tmp_path
):
    names = tuple(f"other-{number}" for number in range(5))
    compared = comparison(problems=2000, horizon=500, others=names)
    path = tmp_path / "large.html"
    path.write_text(render(comparison_page(compared.results(), curves_of(compared))))
    assert path.stat().st_size < 5_000_000
    show(browser, written_blank(tmp_path))
    began = time.perf_counter()
    show(browser, path.as_uri())
    took = time.perf_counter() - began
    assert browser.execute_script("return document.querySelectorAll('.chart canvas').length") == 3
    assert took < 4  # Alone on a machine it is half a second; others may be at work beside it.


def written_blank(folder):
    path = folder / "blank.html"
    path.write_text("<title>blank</title>")
    return path.as_uri()
