"""Muon, the optimizer of the base: steps of matrices, made orthogonal.

torch has it for matrices alone; most of a UNet's parameters are convolutions, which it takes here as
matrices `[out, in × height × width]`. After Jordan et al., "Muon: an optimizer for hidden layers in neural
networks" (2024), with the step's size matched to AdamW's as in Liu et al., "Muon is scalable for LLM
training" (2025).
"""

import torch

#: The coefficients of the quintic iteration, which bring singular values near 1 within five rounds.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """About U·Vᵀ of the matrix U·S·Vᵀ, in bfloat16."""
    value = matrix.bfloat16()
    if matrix.shape[0] > matrix.shape[1]:
        value = value.T
    value = value / (value.norm() + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        square = value @ value.T
        value = a * value + (b * square + c * square @ square) @ value
    return value.T if matrix.shape[0] > matrix.shape[1] else value


class Muon(torch.optim.Optimizer):
    """For weights of two or more dimensions. The learning rate and the decay mean what they mean to AdamW."""

    def __init__(self, parameters, lr: float, weight_decay: float = 0.0, momentum: float = 0.95):
        super().__init__(parameters, dict(lr=lr, weight_decay=weight_decay, momentum=momentum))

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                average = state["momentum"]
                average.lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(average, group["momentum"]).flatten(1)
                update = orthogonal(ahead).to(parameter.dtype) * 0.2 * max(ahead.shape) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"])


def split(named_parameters) -> tuple[list, list]:
    """The parameters for Muon, and those for AdamW: vectors, embeddings and what touches the input and output."""
    matrices, others = [], []
    for name, parameter in named_parameters:
        hidden = parameter.ndim >= 2 and not any(part in name for part in ("embedding", "conv_in", "conv_out"))
        (matrices if hidden or "time_embedding" in name or "add_embedding" in name else others).append(parameter)
    vectors = [parameter for parameter in matrices if parameter.ndim < 2]
    return [parameter for parameter in matrices if parameter.ndim >= 2], others + vectors
