"""Table 1 in the paper's layout."""

from innerloop.experiments import Choice
from innerloop.fewshot.files import shipped
from innerloop.reproduce import find_reproduction
from innerloop.reproduce._learners import settings_of
from innerloop.reproduce.ravi2017_table1 import markdown, rows


def result(method, data="miniimagenet", way=5, shot=1, accuracy=0.5):
    return {
        "method": method,
        "data": data,
        "way": way,
        "shot": shot,
        "accuracy": accuracy,
        "ci95": 0.01,
    }


def test_a_method_is_a_row_and_an_episode_a_column():
    columns, found = rows([result("meta-lstm", shot=5, accuracy=0.6123)], "miniimagenet")
    assert columns == ["5-way 1-shot", "5-way 5-shot"]
    by_method = {row[0]: row[1:] for row in found}
    assert by_method["meta-lstm"][0] == "–\n(43.44 ± 0.77)"
    assert by_method["meta-lstm"][1] == "61.23 ± 1.00\n(60.60 ± 0.71)"
    assert by_method["meta-lstm"][2] == "Ravi & Larochelle 2017"
    table_1 = ["finetune", "nearest-neighbour", "matching", "matching-fce", "meta-lstm"]
    assert [row[0] for row in found][:5] == table_1


def test_other_episodes_get_columns_of_their_own_and_what_nobody_has_no_row():
    columns, found = rows([result("lstm", "omniglot", way=20, shot=5)], "omniglot")
    assert columns == ["5-way 1-shot", "5-way 5-shot", "20-way 1-shot", "20-way 5-shot"]
    assert [row[0] for row in found] == ["maml", "meta-sgd", "lstm", "protonet"]
    assert found[2] == ("lstm", "–", "–", "–", "50.00 ± 1.00", "")


def test_data_of_ones_own_have_a_table_too():
    columns, found = rows([result("protonet", "flowers")], "flowers")
    assert columns == ["5-way 1-shot"] and found == [("protonet", "50.00 ± 1.00", "")]
    table = markdown([result("protonet", "flowers")], "flowers", "Today")
    assert "## Today: flowers" in table and "| protonet | 50.00 ± 1.00 |" in table


def test_the_best_of_a_method_is_in_its_row():
    several = [result("meta-lstm", accuracy=each) for each in (0.4, 0.5, 0.3)]
    assert {row[0]: row[1] for row in rows(several, "miniimagenet")[1]}["meta-lstm"].startswith(
        "50.00"
    )


def test_a_shipped_learners_settings_are_those_of_its_run():
    settings = settings_of("matching-fce-miniimagenet-5w-1s")
    assert settings.method == Choice("matching-fce", {"hidden": 64, "reads": 5})
    assert settings.episodes.training_way == 16 and settings.augment.shift == 8
    assert settings.loop.steps == 800 and settings.loop.learning_rate == 3e-4
    assert settings.init_from == "protonet-miniimagenet-5w-5s"
    for name in shipped():
        source = settings_of(name).init_from
        assert source is None or source in shipped()


def test_both_can_be_reproduced():
    for name in ("ravi2017-table1", "ravi2017-gates"):
        assert find_reproduction(name).source.startswith("Ravi & Larochelle 2017")
