"""What the README shows is run as it stands there."""

import re

import pytest


def blocks(root, language):
    return re.findall(rf"```{language}\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5])
def test_the_readmes_python_runs(root, number):
    block, names = blocks(root, "python")[number], {}
    if "torch" in block:
        pytest.importorskip("torch", reason="needs PyTorch: pip install 'innerloop[torch]'")
    exec(compile(block, "README.md", "exec"), names)
    if number < 2:  # The loops of the first two have solved their problems.
        assert names["loss"].item() < 1.0


def test_the_readmes_task_is_the_example(root):
    assert blocks(root, "python")[4] == (root / "examples" / "sinusoid.py").read_text()


def test_every_command_the_readme_names_exists(root):
    text = "\n".join(blocks(root, "sh"))
    commands = set(re.findall(r"^innerloop (\w+)", text, re.MULTILINE))
    assert commands == {"train", "compare", "export", "reproduce", "inspect", "fewshot"}
    targets = set(re.findall(r"^make ([\w-]+)", text, re.MULTILINE))
    makefile = (root / "Makefile").read_text()
    assert targets == {"demo", "demo-fewshot", "test"} and all(
        f"\n{target}:" in makefile for target in targets
    )


def test_every_link_in_the_documents_leads_to_a_file_of_a_checkout(root):
    lost = []
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    for page in pages:
        text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text):
            if not (page.parent / target).exists():
                lost.append((page.name, target))
    assert len(pages) > 20 and lost == []
