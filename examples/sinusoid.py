from jax import numpy as jnp, random

import innerloop


class Sinusoid(innerloop.TaskFamily):
    def sample(self, *, key):  # one problem: the amplitude and the phase of a sinusoid
        return random.uniform(key, (2,), minval=0.1, maxval=3.0)

    def init(self, wave, *, key):  # the weights of a network with one hidden layer
        return random.normal(key, (3, 16)) / 2

    def loss(self, w, wave, *, key):  # on a minibatch of 32 points
        x = random.uniform(key, (32, 1), minval=-3, maxval=3)
        return jnp.mean((jnp.tanh(x * w[0] + w[1]) @ w[2] - wave[0] * jnp.sin(x.T + wave[1])) ** 2)
