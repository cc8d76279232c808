"""The page of a report: its content, and in a real browser where there is one."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("plotly")

from gpt2hydra.runs import record
from gpt2hydra.runs.comparison import Comparison
from gpt2hydra.runs.report_page import report_page
from tests.run_directories import make_run
from tests.runs.runs_to_compare import config, make_sweep, write_losses


def add_to_record(folder: Path, **facts: Any) -> None:
    content = dict(record.read(folder).content)
    (folder / record.FILE).write_text(json.dumps(content | facts))


def without_plotly(page: str) -> str:
    """The page but for plotly's own script, which is long and holds anything."""
    return re.sub(r"<script>/\*\*.*?</script>", "", page, count=1, flags=re.DOTALL)


def test_plan_and_measurement_are_in_one_row(tmp_path: Path) -> None:
    run = make_run(tmp_path / "0", config("hardware=l4"), step=50, loss=1.5)
    result = {"validation_loss": 1.5, "seconds": 90.0, "tokens_per_second": 1000.0, "mfu": 0.35}
    add_to_record(run, result={**result, "peak_memory_bytes": 3_000_000_000, "predicted_memory_bytes": 2_500_000_000})
    page = without_plotly(report_page(Comparison.read_below(tmp_path), "Runs"))
    cells = re.findall(r"<td.*?>(.*?)</td>", page.partition('<table id="plans"')[2].partition("</table>")[0])
    assert cells[:4] == ["0", "124,439,808", "50", "50"] and cells[5:] == ["90", "2.5", "3", "0.4", "0.35", "1,000"]
    assert float(cells[4]) > 0


def test_a_loss_has_four_decimals_and_a_figure_that_no_run_has_no_column(tmp_path: Path) -> None:
    make_run(tmp_path / "0", config(), step=50, loss=1.5)
    page = without_plotly(report_page(Comparison.read_below(tmp_path), "Runs"))
    assert ">1.5000</td>" in page
    assert re.findall(r"<th .*?>(.*?)</th>", page.partition('<table id="plans"')[2].partition("</table>")[0]) == [
        *("run", "parameters", "planned steps", "steps", "seconds")
    ]


def test_text_of_a_run_is_escaped_in_html(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    for number in range(2):
        run = make_run(tmp_path / str(number), config(f"hardware.name='{evil if number else 'mine'}'"), step=50, loss=1.5)
        add_to_record(run, sample=evil)
    page = without_plotly(report_page(Comparison.read_below(tmp_path), evil))
    assert evil not in page and page.count("&lt;script&gt;alert(1)") >= 3


def test_losses_that_cannot_be_compared_have_figures_of_their_own(tmp_path: Path) -> None:
    for length in (64, 128):
        make_run(tmp_path / str(length), config(f"training.seq_len={length}"), step=50, loss=length / 64)
    page = without_plotly(report_page(Comparison.read_below(tmp_path), "Runs"))
    assert "Losses cannot be compared between runs that differ in training.seq_len" in page
    assert re.findall(r"<h3>(.*?)</h3>", page) == ["training.seq_len = 64", "training.seq_len = 128"]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """Chromium without a window and without a profile; the test is skipped where it is not installed."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium or its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    switches = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-sync"
    for switch in f"{switches} disable-component-update window-size=1300,1000 user-data-dir={tmp_path}/profile".split():
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


def test_the_page_works_in_a_browser(tmp_path: Path, browser: Any) -> None:
    make_sweep(tmp_path / "sweep", seeds=2)
    add_to_record(tmp_path / "sweep/0", sample="To be, or not to be")
    write_losses(make_run(tmp_path / "sweep/short", config("training.seq_len=64"), step=50, loss=1.9), (10, 2.0), (50, 1.9))
    page = tmp_path / "report.html"
    page.write_text(report_page(Comparison.read_below(tmp_path / "sweep"), "Runs of sweep"))
    browser.get(page.as_uri())

    def cells(column: int) -> list[str]:
        found = browser.find_elements("css selector", f"#runs tbody td:nth-child({column})")
        return [each.get_attribute("textContent") for each in found]

    headings = [each.get_attribute("textContent") for each in browser.find_elements("css selector", "#runs th")]
    column = headings.index("learning_rate") + 1
    heading = browser.find_element("css selector", f"#runs th:nth-child({column})")
    for descending in (False, True):  # a row is sorted, and back
        heading.click()
        rates = [float(each) for each in cells(column)]
        assert rates == sorted(rates, reverse=descending) and len(set(rates)) == 4

    def visible() -> list[Any]:
        found: list[Any] = browser.execute_script("return document.getElementById('curves-1').data.map(curve => curve.visible)")
        return found

    assert visible().count("legendonly") == 0
    toggle = browser.find_element("css selector", "#curves-1 .legendtoggle")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", toggle)
    from selenium.webdriver import ActionChains

    ActionChains(browser).move_to_element(toggle).click().perform()  # a curve is switched off
    ends = time.monotonic() + 20
    while visible().count("legendonly") == 0 and time.monotonic() < ends:  # plotly waits for a second click
        time.sleep(0.1)
    assert visible().count("legendonly") == 1

    rows = [each.text.split() for each in browser.find_elements("css selector", "#diff tbody tr")]
    assert len(rows) > 1 and all(a != b for _, a, b, *_ in rows)
    assert browser.find_element("css selector", "#parallel-1 .parcoords")
    assert browser.find_element("css selector", "pre").get_attribute("textContent") == "To be, or not to be"
    requested = browser.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
    assert [each for each in requested if not each.startswith(("data:", "blob:"))] == []
    assert [each["message"] for each in browser.get_log("browser") if each["level"] == "SEVERE"] == []
