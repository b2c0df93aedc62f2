"""Parameters that are spread over devices, by explicit axes, are moved as one device moves them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

NAMES = ["lstm", "lstm-gac", "meta-lstm", "tensorwise", "general-orthogonal", "multi"]
"""One of each way that a rule lays out its state; the others share the code of the first."""
PROGRAM = """
import json, sys
import jax, jax.numpy as jnp, numpy as np, optax
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_disable_most_optimizations", True)
from jax.sharding import NamedSharding, PartitionSpec as P
from helpers import RULES
import innerloop

values = {"w": np.linspace(-1, 1, 24).reshape(4, 6), "b": np.linspace(1, 2, 6)}
values["s"] = np.float64(0.5)
rules = {name: RULES[name]() for name in sys.argv[1:] if name in RULES}
rules["multi"] = innerloop.MultiRule({name: rules["lstm"] for name in values})
meshes = {"data": ((4,), ("data",)), "both": ((2, 2), ("data", "model"))}
EXPLICIT = jax.sharding.AxisType.Explicit  # JAX 0.8 makes axes automatic unless it is told.
layouts = {
    "FSDP": ("data", {"w": P("data"), "b": P(), "s": P()}),
    "tensor-parallel": ("both", {"w": P("data", "model"), "b": P("model"), "s": P()}),
}

def run(rule, params, steps=3):
    optimizer = rule.as_optax()

    def body(carry, _):
        params, state = carry
        grads = jax.tree.map(lambda leaf: 0.3 * leaf + 1, params)
        updates, state = optimizer.update(grads, state, params, value=jnp.asarray(1.0))
        return (optax.apply_updates(params, updates), state), None

    return jax.jit(
        lambda params: jax.lax.scan(body, (params, optimizer.init(params)), length=steps)[0]
    )(params)

found = {}
for name, rule in rules.items():
    alone, _ = run(rule, jax.tree.map(jnp.asarray, values))
    for layout, (axes, specs) in layouts.items():
        mesh = jax.make_mesh(*meshes[axes], axis_types=(EXPLICIT,) * len(meshes[axes][0]))
        laid = {
            leaf: jax.device_put(jnp.asarray(value), NamedSharding(mesh, specs[leaf]))
            for leaf, value in values.items()
        }
        try:
            with jax.set_mesh(mesh):
                spread, _ = run(rule, laid)
            kept = all(
                spread[leaf].sharding.is_equivalent_to(given.sharding, given.ndim)
                for leaf, given in laid.items()
            )
            distance = max(
                float(abs(np.asarray(spread[leaf]) - alone[leaf]).max()) for leaf in laid
            )
            found[f"{name} {layout}"] = [kept, distance]
        except Exception as error:
            found[f"{name} {layout}"] = [False, f"{type(error).__name__}: {error}"[:300]]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    # What is compiled once is there for the next run, as for the other tests.
    cache = {
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir or "",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *NAMES],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **cache},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("layout", ["FSDP", "tensor-parallel"])
@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_moved_as_on_one_device_and_stay_where_they_are(found, name, layout):
    kept, distance = found[f"{name} {layout}"]
    assert kept, distance
    # Three steps, of sums of 31 numbers or fewer, in single precision.
    assert distance < 1e-5
