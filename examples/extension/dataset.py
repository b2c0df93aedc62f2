"""A dataset of one's own for few-shot learning: bars, a class for each angle.

innerloop fewshot train protonet --data examples/extension/dataset.py:Bars
"""

import numpy as np

import innerloop

CLASSES = {"train": 24, "validation": 6, "test": 8}


@innerloop.register("bars")
class Bars(innerloop.datasets.Dataset):
    """Noisy grey images of a bar; a class is its angle and its width.

    Args:
        side: Height and width of an image, in pixels.
        each: Images of a class.
    """

    def __init__(self, side: int = 16, each: int = 12):
        self.side, self.each = side, each

    def load(self, split):
        classes, random = CLASSES[split], np.random.default_rng(list(CLASSES).index(split))
        angle, width = random.uniform(0, np.pi, classes), random.uniform(1, 4, classes)
        rows, columns = np.mgrid[: self.side, : self.side] - self.side / 2
        shape = (classes, self.each, 1, 1)
        shift = random.uniform(-2, 2, shape)
        angle, width = (each[:, None, None, None] for each in (angle, width))
        distance = np.abs(np.cos(angle) * rows + np.sin(angle) * columns + shift)
        pixels = 255 * (distance < width) * random.uniform(0.5, 1, (*shape[:2], *rows.shape))
        names = tuple(f"{split} {number}" for number in range(classes))
        images = pixels.astype(np.uint8).reshape(-1, self.side, self.side, 1)
        return innerloop.datasets.ClassImages(images, (self.each,) * classes, names)
