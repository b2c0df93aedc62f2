"""Rules shared: into a folder, and through a local server that speaks the hub's protocol."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import innerloop
from helpers import SHAPE, learner, lstm, same
from innerloop import InnerloopError, fewshot
from innerloop.hub.card import IN_PYTORCH
from innerloop.rules.files import shipped_file
from innerloop.runtime.hub import download
from local_hub import TOKEN, serve

NEEDS = "needs huggingface_hub: pip install 'innerloop[hub]'"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The local server, as the library's endpoint, with a token and a cache of its own."""
    constants = pytest.importorskip("huggingface_hub.constants", reason=NEEDS)
    with serve() as (address, server):
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        server.address = address
        yield server


def downloads(hub):
    return [each for each in hub.asked if each.startswith("GET ") and "/resolve/" in each]


def card_in(folder):
    return (folder / "README.md").read_text()


def test_a_pushed_rule_is_loaded_again_bit_for_bit(hub):
    url = innerloop.push("tensorwise-mnist", "someone/a-rule", license="mit")
    assert url == f"{hub.address}/someone/a-rule"
    stored = hub.repositories["someone/a-rule"]
    assert sorted(stored) == ["README.md", "rule.safetensors"]
    assert stored["rule.safetensors"] == shipped_file("tensorwise-mnist").read_bytes()
    assert 'innerloop.load("hf://someone/a-rule")' in stored["README.md"].decode()
    loaded = innerloop.load("hf://someone/a-rule")
    assert same(loaded, innerloop.load("tensorwise-mnist"))
    assert same(loaded, innerloop.load(Path("hf://someone/a-rule")))
    assert len(downloads(hub)) == 1  # Once, into the cache.
    commit = download("hf://someone/a-rule", "rule.safetensors", 1 << 30).parent.name
    assert same(loaded, innerloop.load(f"hf://someone/a-rule@{commit}"))


def test_a_pushed_learner_is_loaded_again(hub, tmp_path):
    mine = learner("protonet", shape=SHAPE)
    fewshot.save(mine, tmp_path / "run" / "learner.safetensors")
    innerloop.push(tmp_path / "run", "hf://someone/a-learner")
    loaded = fewshot.load("hf://someone/a-learner")
    assert same(loaded.for_use(), fewshot.load(tmp_path / "run").for_use())
    with pytest.raises(InnerloopError, match=r"someone/a-learner has no rule\.safetensors"):
        innerloop.load("hf://someone/a-learner")


def test_pytorch_loads_from_the_hub(hub):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'innerloop[torch]'")
    import innerloop.torch
    from innerloop.torch._files import RULES

    innerloop.push("lstm-quadratic", "someone/a-rule")
    weights = [torch.nn.Parameter(torch.ones(3))]
    assert innerloop.torch.load("hf://someone/a-rule", weights).param_groups[0]["params"] == weights
    assert set(IN_PYTORCH) == {*RULES, "multi"}


def test_a_copy_in_the_cache_does_without_a_network(hub, monkeypatch):
    innerloop.push("lstm-quadratic", "someone/a-rule")
    loaded = innerloop.load("hf://someone/a-rule")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(loaded, innerloop.load("hf://someone/a-rule"))
    with pytest.raises(InnerloopError, match="cannot be reached, and rule"):
        innerloop.load("hf://someone/another")


def test_a_downloaded_file_is_checked_like_all_others(hub, tmp_path):
    innerloop.push("lstm-quadratic", "someone/a-rule")
    stored = hub.repositories["someone/a-rule"]
    good = stored["rule.safetensors"]
    for bad, message in {
        b"cos\nsystem\n(S'touch ran'\ntR.": "damaged or truncated",
        good[:-4]: "damaged or truncated",
        good.replace(b'\\"hidden\\": 20', b'\\"hidden\\": 21'): "arrays do not fit",
        good.replace(b'\\"rule\\": \\"lstm\\"', b'\\"rule\\": \\"nope\\"'): "needs the rule 'nope'",
    }.items():
        assert bad != good
        stored["rule.safetensors"] = bad
        with pytest.raises(InnerloopError, match=message):
            innerloop.load("hf://someone/a-rule")


def test_what_is_too_large_is_not_downloaded(hub):
    innerloop.push("lstm-quadratic", "someone/a-rule")
    hub.sizes["rule.safetensors"] = (1 << 30) + 1
    with pytest.raises(InnerloopError, match=r"rule\.safetensors of someone/a-rule is larger"):
        innerloop.load("hf://someone/a-rule")
    assert downloads(hub) == []


def test_what_the_hub_refuses_is_a_sentence(hub, monkeypatch):
    with pytest.raises(InnerloopError, match=r"has no repository someone/nothing, or it is pri"):
        innerloop.load("hf://someone/nothing")
    innerloop.push("lstm-quadratic", "someone/a-rule")
    with pytest.raises(InnerloopError, match="has no such branch, tag or commit"):
        innerloop.load("hf://someone/a-rule@v2")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(InnerloopError, match=r"does not allow this in someone/a-rule: log in"):
        innerloop.push("lstm-quadratic", "someone/a-rule")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(InnerloopError, match="someone/a-rule needs a token"):
        innerloop.push("lstm-quadratic", "someone/a-rule")


def test_a_hub_that_is_not_there_is_a_sentence(hub, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants", reason=NEEDS)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InnerloopError, match=r"127\.0\.0\.1:9 cannot be reached"):
        innerloop.push("lstm-quadratic", "someone/a-rule")


def test_the_command_honours_the_librarys_variables(hub, tmp_path):
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.address,
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    words = [sys.executable, "-m", "innerloop", "push", "lstm-quadratic", "someone/a-rule"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"Written to {hub.address}/someone/a-rule\n")
    assert "rule.safetensors" in hub.repositories["someone/a-rule"]


def test_a_folder_gets_the_file_and_the_card(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert innerloop.push("tensorwise-mnist", "./shared") == "shared"
    folder = tmp_path / "shared"
    assert same(innerloop.load(folder), innerloop.load("tensorwise-mnist"))
    card = card_in(folder)
    assert card.startswith("---\nlibrary_name: innerloop\nlicense: unknown\ntags:\n- innerloop\n")
    assert "`per-tensor`, trained on `mnist`" in card
    assert 'innerloop.torch.load("rule.safetensors", model.parameters())' in card
    recipe = tomllib.loads(re.findall(r"```toml\n(.*?)```", card, re.DOTALL)[0])
    assert recipe["task"]["name"] == "mnist" and recipe["loop"]["steps"] == 240
    # The card is made anew; a file of somebody's own is kept.
    innerloop.push("lstm-quadratic", "./shared", license="mit")
    assert "license: mit" in card_in(folder)
    (folder / "README.md").write_text("# My work\n")
    with pytest.raises(InnerloopError, match=r"README\.md is no card of innerloop's"):
        innerloop.push("lstm-quadratic", "./shared")
    innerloop.push("lstm-quadratic", "./shared", card=False)
    assert card_in(folder) == "# My work\n"


def test_the_card_has_the_results_of_the_run(tmp_path):
    run = tmp_path / "run"
    innerloop.save(lstm(), run / "rule.safetensors", run={"note": "a|b"})
    row = {"final": 0.25, "ci95": 0.01}
    results = {"task": "quadratic", "horizon": 100, "problems": 8, "learned": row}
    results |= {"baselines": {"adam|`<b>": {**row, "final": 0.5}}, "best_baseline": "adam|`<b>"}
    (run / "results.json").write_text(json.dumps(results))
    card = card_in(Path(innerloop.push(run, tmp_path / "shared")))
    assert "| `learned` | 0.25 ± 0.01 |" in card and "| `adam/'<b>` | 0.5 ± 0.01 |" in card
    assert '"note": "a|b"' in card
    (run / "results.json").write_text("[1]")
    with pytest.raises(InnerloopError, match=r"results\.json is damaged"):
        innerloop.push(run, tmp_path / "shared")


def test_a_learners_card_has_its_accuracy(tmp_path):
    run = tmp_path / "run"
    fewshot.save(learner("protonet", shape=SHAPE), run / "learner.safetensors")
    row = {"method": "protonet", "data": "omniglot", "way": 5, "shot": 1}
    (run / "results.json").write_text(json.dumps({**row, "accuracy": 0.985, "ci95": 0.002}))
    card = card_in(Path(innerloop.push(run, tmp_path / "shared")))
    assert "| `protonet` | `omniglot` | 5-way 1-shot | 98.50 ± 0.20 |" in card
    assert 'fewshot.load("learner.safetensors")' in card


@pytest.mark.parametrize(
    "target",
    ["name", "a/b/c", "a/..", "../a@b", "a/b--c", "a/b@v/../../c", "a/b@", "hf://", "a/b c"],
)
def test_targets_that_are_none_are_refused(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InnerloopError, match="is no repository on the hub"):
        innerloop.load(f"hf://{target}" if "hf:" not in target else target)
    if not target.startswith(".."):
        with pytest.raises(InnerloopError, match="is no repository on the hub"):
            innerloop.push("lstm-quadratic", target)


def test_a_target_that_could_be_a_folder_is_asked_about(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    with pytest.raises(InnerloopError, match=r"write \./runs/mine or hf://runs/mine"):
        innerloop.push("lstm-quadratic", "runs/mine")
    with pytest.raises(InnerloopError, match="main branch of a/b, not to 'v2'"):
        innerloop.push("lstm-quadratic", "a/b@v2")
    with pytest.raises(InnerloopError, match="license is 'MIT licence'"):
        innerloop.push("lstm-quadratic", "./here", license="MIT licence")


def test_without_the_extra_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for ask in (
        lambda: innerloop.load("hf://a/b"),
        lambda: innerloop.push("lstm-quadratic", "a/b"),
    ):
        with pytest.raises(InnerloopError, match=re.escape("pip install 'innerloop[hub]'")):
            ask()
