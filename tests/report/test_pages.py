"""What a page holds, before a browser has it."""

import base64
import hashlib
import json
import re
import warnings

import numpy as np
import pytest

from innerloop.errors import FileError
from innerloop.report import About, comparison_page, curves_of, fewshot_page, page_of, write_page
from innerloop.report.curves import _kept
from innerloop.report.page import embedded, render
from innerloop.report.training import read_metrics, training_page
from innerloop.report.verdict import verdict_of
from report.pages import ABOUT, HOSTILE, ROW, comparison, confused, metrics, pages


def test_curves_keep_the_horizon_and_what_is_not_finite_is_null():
    compared = comparison(problems=6, horizon=777, baselines=("sgd",))
    compared.baselines[0].losses[5, 2] = np.nan
    compared.baselines[0].losses[777, 1] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves = curves_of(compared)
    assert len(curves["steps"]) <= 400 and curves["steps"][-1] == 2 * 777
    assert 777 in _kept(1500, 777)  # Even spacing alone would step over it.
    learned, sgd = curves["runs"][:2]
    place = curves["steps"].index(777)
    assert learned["mean"][place] == pytest.approx(compared.learned.losses[777].mean(), rel=1e-3)
    assert learned["median"][place] is not None and len(learned["final"]) == 6
    assert sgd["final"][1] is None and sgd["mean"][place] is None
    json.dumps(curves, allow_nan=False)


def test_data_cannot_end_the_element_that_holds_it():
    text = embedded({"name": HOSTILE, "more": "<!-- & -->"})
    assert not set("<>&") & set(text) and json.loads(text)["name"] == HOSTILE


def test_the_policy_lets_our_two_scripts_run_and_nothing_load():
    text = render(pages()["training"])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert "connect-src 'none'" in policy
    for script in re.findall(r"<script>(.*?)</script>", text, re.S):
        digest = hashlib.sha256(script.encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy


@pytest.mark.parametrize("outcome", ["ahead", "level", "behind"])
def test_the_verdict_is_a_sentence(outcome):
    results = comparison(problems=4, horizon=4).results()
    results["verdict"]["steps"] = outcome
    found = verdict_of(results)
    assert found["outcome"] == found["label"] == outcome
    assert f"the learned rule is {outcome}" in found["text"] and "speed-up of" in found["text"]
    assert "seconds" not in found["text"]


def test_a_rule_that_is_ahead_in_steps_alone_is_not_called_ahead():
    results = comparison(problems=4, horizon=4).results()
    results["verdict"] = {"steps": "ahead", "seconds": "behind"}
    results["speedup"]["seconds"] = {"value": 0.2, "low": 0.1, "high": 0.3, "baseline": "nesterov"}
    found = verdict_of(results)
    assert found["outcome"] == "behind" and found["label"] == "ahead in steps, behind in seconds"
    assert "In seconds it is behind Nesterov, with a speed-up of 0.2 (0.1 to 0.3)." in found["text"]


def test_there_is_a_page_where_no_loss_is_finite():
    compared = comparison(problems=4, horizon=4, baselines=("sgd",))
    for run in (compared.learned, *compared.baselines):
        run.losses[:] = np.nan
    page = comparison_page(compared.results(), curves_of(compared))
    assert "none to beat" in page["verdict"]["text"] and render(page)


def test_a_training_page_says_how_far_it_is_and_skips_damaged_lines(tmp_path):
    lines = [json.dumps(each) for each in metrics()]
    lines += ["{", "[1]", '{"step": "3"}', '{"step": 410, "meta_loss": NaN}', '{"step": 42']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    page = training_page(read_metrics(tmp_path), steps=800)
    assert (
        "After 410 of 800 meta-steps the best validation loss is 0.4081" in page["verdict"]["text"]
    )
    assert [each["title"] for each in page["sections"]] == ["Training", "Norm of the meta-gradient"]
    assert training_page([])["verdict"]["text"] == "The run has reported nothing yet."


def test_a_long_training_run_keeps_its_validations():
    lines = metrics(50_000)
    page = training_page(lines)
    assert 500 < len(page["sections"][0]["x"]) <= 1000
    validation = page["sections"][0]["series"][1]["line"]
    assert validation[0] is not None and validation[-1] is not None


def test_the_classes_with_most_mistakes_are_in_the_matrix():
    found = confused(classes=30)
    counts = found.counts
    counts[:] = np.diag(np.full(30, 9))
    counts[7, 21] = 5
    matrix = fewshot_page([ROW], found)["sections"][2]
    assert len(matrix["names"]) == 20 and matrix["names"][:2] == [
        "alphabet/character 07",
        "alphabet/character 21",
    ]
    assert matrix["counts"][0][:2] == [9, 5]


def test_a_folder_without_a_report_gets_one_from_its_numbers(tmp_path):
    results = comparison(problems=4, horizon=4).results()
    for content, title in (
        (results, "Comparison on quadratic"),
        ([ROW], "meta-lstm on omniglot"),
        (ROW, "meta-lstm on omniglot"),
    ):
        (tmp_path / "results.json").write_text(json.dumps(content))
        assert page_of(tmp_path)["title"] == title
        assert write_page(page_of(tmp_path), tmp_path).name == "report.html"


@pytest.mark.parametrize(
    "content", ["{", "7", "{}", "null", '"x"', "[7]", '{"panels": 3}', "[" * 9999]
)
def test_a_damaged_results_file_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(FileError, match="is damaged"):
        page_of(tmp_path)


def test_an_empty_folder_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(FileError, match=r"no results\.json"):
        page_of(tmp_path)


def test_settings_and_command_are_at_the_end():
    sections = ABOUT.sections({"jax": "1"})
    assert [each["title"] for each in sections] == ["Command", "Settings", "Versions"]
    assert About().sections() == []
