"""The page of a run that goes on, from a server of our own."""

import contextlib
import http.client
import json
import threading

import pytest

from innerloop.errors import InnerloopError
from innerloop.report.live import address_of, serve
from report.browser import show, troubles
from report.pages import metrics


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "secret.txt").write_text("secret")
    (folder / "run.toml").write_text("[loop]\nsteps = 800\n")
    write(folder, 200)
    return folder


@pytest.fixture
def server(run):
    opened = serve(run)
    thread = threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield opened
    opened.shutdown()
    thread.join()
    opened.server_close()


def write(folder, steps):
    lines = "".join(json.dumps(each) + "\n" for each in metrics(steps))
    (folder / "metrics.jsonl").write_text(lines)


def ask(server, path, host=None):
    with contextlib.closing(http.client.HTTPConnection(*server.server_address)) as connection:
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_the_page_and_its_data_are_served_and_no_file_is(server):
    assert server.server_address[0] == "127.0.0.1"
    status, text = ask(server, "/")
    assert status == 200 and "connect-src 'self'" in text
    status, text = ask(server, "/page.json")
    assert status == 200 and "After 200 of 800" in json.loads(text)["verdict"]["text"]
    for path in (
        "/secret.txt",
        "/metrics.jsonl",
        "/run.toml",
        "/../secret.txt",
        "//etc/passwd",
        "/%2e%2e/",
    ):
        assert ask(server, path)[0] == 404


def test_another_hosts_name_is_refused(server):
    status, text = ask(server, "/page.json", host="evil.example")
    assert status == 403 and "meta-steps" not in text
    assert ask(server, "/page.json", host=f"localhost:{server.server_address[1]}")[0] == 200


def test_a_run_that_was_removed_is_gone(server, run):
    (run / "metrics.jsonl").unlink()
    assert ask(server, "/")[0] == 410


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InnerloopError, match="holds no training run"):
        serve(tmp_path)


def test_a_port_that_is_not_to_be_had_is_refused(server, run):
    for port in (server.server_address[1], 70_000):
        with pytest.raises(InnerloopError, match=f"Cannot listen on port {port}"):
            serve(run, port)


def test_the_page_renews_itself_while_the_run_goes_on(browser, server, run):
    from selenium.webdriver.support.wait import WebDriverWait

    show(browser, address_of(server))
    verdict = browser.find_element("id", "verdict")
    assert "After 200 of 800" in verdict.text
    write(run, 300)
    WebDriverWait(browser, 10).until(lambda _: "After 300 of 800" in verdict.text)
    assert troubles(browser) == []
    browser.get("about:blank")  # It would go on asking the server, which goes now.
