"""`innerloop show`, `innerloop watch`, and the reports that other commands write."""

import json
import webbrowser

import pytest

from innerloop import cli
from innerloop.report import live
from report.pages import comparison, metrics


def innerloop(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["innerloop", *map(str, words)])
    cli.main()


def test_show_writes_a_report_and_opens_it_where_there_is_a_display(tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    (tmp_path / "results.json").write_text(json.dumps(comparison(problems=4, horizon=4).results()))
    monkeypatch.delenv("DISPLAY", raising=False)
    innerloop(monkeypatch, "show", tmp_path)
    report = tmp_path / "report.html"
    assert capsys.readouterr().out.strip() == str(report)
    assert "Comparison on quadratic" in report.read_text() and opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    report.write_text("kept")
    innerloop(monkeypatch, "show", tmp_path)
    assert opened == [report.as_uri()] and report.read_text() == "kept"


def test_show_follows_no_link(tmp_path, monkeypatch, capsys):
    (tmp_path / "report.html").symlink_to("/etc/passwd")
    with pytest.raises(SystemExit):
        innerloop(monkeypatch, "show", tmp_path)
    assert "symbolic link" in capsys.readouterr().err


def test_watch_says_where_the_page_is_and_ends_quietly(tmp_path, monkeypatch, capsys):
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in metrics()))

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(live.http.server.ThreadingHTTPServer, "serve_forever", interrupted)
    innerloop(monkeypatch, "watch", tmp_path)
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


def test_compare_and_train_write_reports_with_their_command(tmp_path, monkeypatch, capsys):
    out = tmp_path / "compared"
    words = (
        "compare",
        "lstm-quadratic",
        "--task",
        "quadratic",
        "--problems",
        "4",
        "--horizon",
        "3",
    )
    innerloop(monkeypatch, *words, "--baselines", "sgd", "--validation-problems", "4", "--out", out)
    text = (out / "report.html").read_text()
    assert "innerloop compare lstm-quadratic --task quadratic" in text and '\\"quadratic\\"' in text
    assert '"role":"learned"' in text
    run = tmp_path / "run"
    innerloop(monkeypatch, "train", "quadratic", "--steps", "2", "--out", run, "--rule.hidden", "2")
    text = (run / "report.html").read_text()
    assert "Training on quadratic" in text and "innerloop train quadratic --steps 2" in text
