"""Lightning: `configure_optimizers` returns a learned rule; checkpoints hold its state."""

import lightning
import torch

import innerloop.torch


class Sum(lightning.LightningModule):
    """Learns the sum of four numbers."""

    def __init__(self):
        super().__init__()
        self.layer, self.losses = torch.nn.Linear(4, 1), []

    def training_step(self, batch, number):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        return innerloop.torch.load("tensorwise-mnist", self.parameters())


def train(folder: str, epochs: int = 20) -> list[float]:
    """The loss of each step; a checkpoint is in `folder`."""
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", default_root_dir=folder, **quiet
    )
    module = Sum()
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=32))
    trainer.save_checkpoint(f"{folder}/last.ckpt")
    return module.losses


if __name__ == "__main__":
    print(train("runs/lightning")[-1])
