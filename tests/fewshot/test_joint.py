"""What joint training adds to the cross-entropy among all classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import helpers
from innerloop import InnerloopError, datasets, fewshot
from innerloop.fewshot.classifiers import unit
from innerloop.fewshot.methods.joint import cosines_without_itself, distillation
from innerloop.fewshot.teacher import Teacher

SHAPE = fewshot.Shape(way=3, shot=1, side=16, channels=1, classes=4)


def images(noise=40):
    """Four classes of six images, each around a pattern of its own."""
    random = np.random.default_rng(0)
    patterns = random.integers(60, 196, (4, 1, 16, 16, 1))
    pixels = patterns + random.integers(-noise, noise, (4, 6, 16, 16, 1))
    return datasets.ClassImages(
        pixels.reshape(24, 16, 16, 1).astype(np.uint8), (6,) * 4, tuple("abcd")
    )


def test_a_row_is_no_part_of_the_centroid_that_it_is_compared_with():
    random = np.random.default_rng(0)
    rows = np.asarray(unit(jnp.asarray(random.normal(size=(7, 5)))))
    labels = np.asarray([0, 0, 0, 1, 1, 3, 0])
    near, known = cosines_without_itself(jnp.asarray(rows), jnp.asarray(labels), 4)
    for i in range(7):
        for number in range(4):
            others = [j for j in range(7) if labels[j] == number and j != i]
            assert bool(known[i, number]) == bool(others)
            if others:
                centroid = rows[others].mean(0)
                expected = rows[i] @ centroid / np.linalg.norm(centroid)
                np.testing.assert_allclose(near[i, number], expected, atol=1e-4)


def test_the_episodic_loss_adds_to_the_other():
    batch = fewshot.BatchSampler(images(), batch=8, each=4).sample(key=jax.random.key(0))
    losses = [
        float(
            helpers.learner("joint", shape=SHAPE, episodic=weight).meta_loss(
                batch, 4, key=jax.random.key(0)
            )
        )
        for weight in (0.0, 1.0, 2.0)
    ]
    assert losses[1] > losses[0]
    np.testing.assert_allclose(losses[2] - losses[1], losses[1] - losses[0], rtol=1e-3)


def test_a_batch_has_as_many_images_of_each_class_as_are_asked():
    sampler = fewshot.BatchSampler(images(), batch=8, each=4)
    labels = np.asarray(sampler.sample(key=jax.random.key(1)).labels)
    assert sorted(np.unique(labels, return_counts=True)[1]) == [4, 4]
    with pytest.raises(InnerloopError, match="each is 0"):
        fewshot.BatchSampler(images(), batch=8, each=0)
    with pytest.raises(InnerloopError, match="5 classes cannot be drawn"):
        fewshot.BatchSampler(images(), batch=10, each=2)


def test_a_student_that_agrees_has_nothing_to_learn():
    taught = jnp.asarray([[1.0, -2, 0.5], [0, 3, 1]])
    slope = jax.grad(lambda logits: distillation(taught, logits))(taught + 5.0)
    np.testing.assert_allclose(slope, 0, atol=1e-6)
    assert float(distillation(taught, -taught)) > float(distillation(taught, taught))


def test_a_teacher_knows_the_classes_that_it_was_shown():
    data = images()
    teacher = Teacher(helpers.learner("protonet", shape=SHAPE), data)
    sampler = fewshot.BatchSampler(data, batch=24, teacher=teacher)
    batch = sampler.sample(key=jax.random.key(0))
    assert batch.targets.shape == (24, 4)
    np.testing.assert_array_equal(jnp.argmax(batch.targets, 1), batch.labels)


def test_a_teacher_takes_part_in_the_loss():
    data = images()
    teacher = Teacher(helpers.learner("protonet", shape=SHAPE), data)
    batch = fewshot.BatchSampler(data, batch=8, teacher=teacher).sample(key=jax.random.key(0))
    alone = fewshot.BatchSampler(data, batch=8).sample(key=jax.random.key(0))
    np.testing.assert_array_equal(batch.images, alone.images)

    def loss(batch, **settings):
        learner = helpers.learner("joint", shape=SHAPE, **settings)
        return float(learner.meta_loss(batch, 4, key=jax.random.key(0)))

    np.testing.assert_allclose(loss(batch, distilled=0.0), loss(alone), rtol=1e-5)
    assert loss(batch, distilled=1.0) != pytest.approx(loss(alone), rel=1e-3)


def test_a_teacher_has_an_embedding_that_stays_and_takes_these_images():
    with pytest.raises(InnerloopError, match="maml has none"):
        Teacher(helpers.learner("maml", shape=SHAPE), images())
    with pytest.raises(InnerloopError, match="those of training have 16×16×1"):
        other = fewshot.Shape(way=3, shot=1, side=20, channels=1, classes=4)
        Teacher(helpers.learner("protonet", shape=other), images())
