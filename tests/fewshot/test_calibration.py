"""Temperatures, and the expected calibration error."""

import numpy as np
import pytest

from innerloop.fewshot import calibration_error, fit_temperature
from innerloop.predict.doubts import softmax


def answers(temperature, n=4000, way=4):
    """(logits that are `temperature` times those of the classes' true chances, classes)."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(n, way))
    chances = softmax(logits)
    labels = np.asarray([random.choice(way, p=row) for row in chances])
    return temperature * logits, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_the_fitted_temperature_is_the_one_that_was_put_in(temperature):
    logits, labels = answers(temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.12)
    assert calibration_error(softmax(logits / found), labels) < 0.03
    assert calibration_error(softmax(logits / found / 4), labels) > 0.2


def test_a_few_right_answers_do_not_ask_for_certainty():
    logits, labels = np.eye(4), np.arange(4)
    found = fit_temperature(logits, labels)
    # Of four right answers and two smoothed ones 5/6 is right.
    assert softmax(logits / found).max() == pytest.approx(5 / 6, abs=0.02)


def test_an_expected_temperature_keeps_a_few_images_near_it():
    logits, labels = np.eye(4), np.arange(4)
    assert 0.5 < fit_temperature(logits, labels, expected=1.0) < 1.0
    wrong = fit_temperature(logits, (labels + 1) % 4, expected=1.0)
    assert 1.0 < wrong < 2.0
    many, truth = answers(5.0)
    assert fit_temperature(many, truth, expected=1.0) == pytest.approx(5.0, rel=0.12)


def test_the_calibration_error_by_hand():
    probabilities = np.asarray([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.35, 0.65]])
    # 0.9 with one of two right, and 0.6 and 0.65 with both right.
    found = calibration_error(probabilities, np.asarray([0, 1, 1, 1]))
    assert found == pytest.approx(0.5 * 0.4 + 0.5 * (1 - 0.625))
    assert calibration_error(probabilities, np.asarray([0, 1, 1, 1]), 1) == pytest.approx(0.0125)
