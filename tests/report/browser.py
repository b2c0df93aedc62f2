"""A headless Chromium for the tests, and what they ask of a page."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
CLIPPED = """
const found = [];
const wide = document.documentElement.scrollWidth;
if (wide > innerWidth + 1) found.push(`the page is ${wide} pixels wide`);
for (const each of document.querySelectorAll("body *")) {
  const apart = each.closest(".scroll, pre, svg, canvas, .skip, select, .u-wrap");
  if (apart || !each.checkVisibility()) continue;
  const text = [...each.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!text) continue;
  const style = getComputedStyle(each), box = each.getBoundingClientRect();
  const hides = style.overflowX !== "visible" || style.overflowY !== "visible";
  const wide = each.scrollWidth > each.clientWidth + 1;
  const high = each.scrollHeight > each.clientHeight + 1;
  const what = each.textContent.slice(0, 60);
  if (hides && (wide || high)) found.push(`cut off: ${what}`);
  if (box.left < -1 || box.right > innerWidth + 1) found.push(`outside: ${what}`);
}
return found;
"""
"""Text that its own box or the window cuts off; what scrolls by itself is not looked at."""
REQUESTS = "return performance.getEntriesByType('resource').map((each) => each.name)"
ERRORS = """
window.troubles = [];
const note = (kind, what) => addEventListener(kind, (event) => troubles.push(what(event)));
note("error", (event) => String(event.message));
note("unhandledrejection", (event) => String(event.reason));
note("securitypolicyviolation", (event) => `policy: ${event.violatedDirective}`);
"""


@contextlib.contextmanager
def chromium():
    """A driver of headless Chromium; skips the test where there is none."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = selenium.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        opened = selenium.Chrome(options, selenium.ChromeService(driver))
        opened.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": ERRORS})
        try:
            yield opened
        finally:
            opened.quit()


def show(driver, address, *, width=1440, height=1000, dark=False):
    """Open a page in a window of this size, and wait until it is drawn."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": theme})
    # What a page that another test left open complains of is not this page's trouble.
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(address)
    driver.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
    )


def troubles(driver):
    """What the console and the page's own events complain of."""
    return [each["message"] for each in driver.get_log("browser")] + driver.execute_script(
        "return window.troubles"
    )


def axe(driver):
    """The rules of axe-core that a page breaks, each with the elements that break it."""
    source = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
    driver.execute_script(f"{source};window.axe = axe;")
    found = driver.execute_async_script(
        "const done = arguments[0]; axe.run(document).then((each) => done(each.violations))"
    )
    return {each["id"]: [node["html"][:120] for node in each["nodes"]] for each in found}
