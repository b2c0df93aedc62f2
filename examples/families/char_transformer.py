"""A tiny transformer on the characters of languages that are random Markov chains.

innerloop train examples/families/char_transformer.py:CharTransformer
"""

import jax
import jax.numpy as jnp

import innerloop

LETTERS, LENGTH, WIDTH = 12, 16, 16


class CharTransformer(innerloop.TaskFamily):
    """Next-character cross-entropy (nats) of one block of attention; a problem is a language."""

    def sample(self, *, key):
        return 3.0 * jax.random.normal(key, (LETTERS, LETTERS))  # logits of the next letter

    def init(self, problem, *, key):
        shapes = {
            "letters": (LETTERS, WIDTH),
            "places": (LENGTH, WIDTH),
            "query": (WIDTH, WIDTH),
            "key": (WIDTH, WIDTH),
            "value": (WIDTH, WIDTH),
            "up": (WIDTH, 2 * WIDTH),
            "down": (2 * WIDTH, WIDTH),
            "output": (WIDTH, LETTERS),
        }
        keys = jax.random.split(key, len(shapes))
        return {
            name: jax.random.normal(key, shape) / jnp.sqrt(shape[0])
            for key, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    def loss(self, params, problem, *, key):
        text = jax.vmap(lambda key: self.text(problem, key))(jax.random.split(key, 8))
        return jnp.mean(jax.vmap(lambda text: self.surprise(params, text))(text))

    def text(self, problem, key):
        first, *_ = keys = jax.random.split(key, LENGTH + 1)

        def following(letter, key):
            letter = jax.random.categorical(key, problem[letter])
            return letter, letter

        start = jax.random.randint(first, (), 0, LETTERS)
        _, rest = jax.lax.scan(following, start, keys[1:])
        return jnp.concatenate([start[None], rest])

    def surprise(self, params, text):
        x = params["letters"][text[:-1]] + params["places"]
        scores = (x @ params["query"]) @ (x @ params["key"]).T / jnp.sqrt(WIDTH)
        past = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
        x = x + jax.nn.softmax(jnp.where(past, scores, -jnp.inf)) @ (x @ params["value"])
        x = x + jax.nn.relu(x @ params["up"]) @ params["down"]
        logs = jax.nn.log_softmax(x @ params["output"])
        return -jnp.mean(jnp.take_along_axis(logs, text[1:, None], axis=1))
