"""Writes tests/parity/values/torch_files/: files as torch saves them, and what is in those that are read.

Usage: python tools/reference/torch_files.py

The tensors of `<case>.pt` are in expected.safetensors as `<case>/<name>`. Of the files that have none there,
each is one that is refused. No file is opened with torch's own unpickler after it was written.
"""

import collections
import os
import pickle
import zipfile

import torch
from common import VALUES, reproducible
from safetensors.torch import save_file

FOLDER = VALUES / "torch_files"

LINEAR = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
CONV = "lora_unet_up_blocks_0_resnets_0_conv1"


class Calls:
    """Is pickled as a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def adapter(dtype: torch.dtype, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """A Concept Slider's layers and spelling, with fewer channels."""

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    return {
        f"{LINEAR}.alpha": torch.tensor(1.0, dtype=dtype),
        f"{LINEAR}.lora_down.weight": values(4, 24),
        f"{LINEAR}.lora_up.weight": values(24, 4),
        f"{CONV}.alpha": torch.tensor(1.0, dtype=dtype),
        f"{CONV}.lora_down.weight": values(4, 8, 3, 3),
        f"{CONV}.lora_up.weight": values(8, 4, 1, 1),
    }


def views(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Tensors that share a storage, or lie in it in another order than their values'."""
    shared = torch.randn(6, 4, generator=generator)
    conv = torch.randn(2, 3, 3, 3, generator=generator).to(torch.float16)
    return {
        "whole": shared,
        "rows": shared[2:4],
        "columns": shared[:, 1:3],
        "every_second": shared.flatten()[1::2],
        "transposed": shared.T,
        "permuted": conv.permute(2, 0, 3, 1),
        "channels_last": conv.contiguous(memory_format=torch.channels_last),
        "scalar": shared[3, 2],
        "empty": shared[:0],
        "one_row": shared.T[:, :1],
    }


def repacked(
    source: str, target: str, change=lambda name, data: data, compression=zipfile.ZIP_STORED
) -> None:
    """Another zip program's archive of the same members; those that change into None are left out."""
    with zipfile.ZipFile(FOLDER / source) as read, zipfile.ZipFile(FOLDER / target, "w") as write:
        for name in read.namelist():
            data = change(name, read.read(name))
            if data is not None:
                write.writestr(zipfile.ZipInfo(name), data, compression)


def main() -> None:
    reproducible()
    torch.manual_seed(0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator("cpu").manual_seed(0)
    slider = adapter(torch.bfloat16, generator)
    read = {
        "slider": slider,
        "half": collections.OrderedDict(adapter(torch.float16, generator)),
        "single": adapter(torch.float32, generator),
        "dtypes": {
            "double.weight": torch.randn(3, generator=generator, dtype=torch.float64),
            "num_updates": torch.tensor(2**40),
            "int.alpha": torch.tensor(4, dtype=torch.int32),
            "mask": torch.tensor([True, False, True]),
            "half.weight": torch.randn(3, generator=generator).half(),
        },
        "views": views(generator),
    }
    for name, tensors in read.items():
        torch.save(tensors, FOLDER / f"{name}.pt")
    torch.save(slider, FOLDER / "protocol-5.pt", pickle_protocol=5)
    read["protocol-5"] = slider

    # A training program's checkpoint: parameters, and all that it needs to go on.
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(module.parameters())
    checkpoint = {
        "epoch": 3,
        "global_step": 2**40,
        "seed": 2**80,
        "learning_rates": [1e-4, 5e-5],
        "resumed": None,
        "state_dict": dict(module.named_parameters()) | {"model": module.state_dict()},
        "optimizer_states": [optimizer.state_dict()],
        "ema": {"0.weight": torch.zeros(2, 3)},
    }
    torch.save(checkpoint, FOLDER / "checkpoint.pt")
    read["checkpoint"] = dict(module.named_parameters())
    read["checkpoint"] |= {f"model.{name}": value for name, value in module.state_dict().items()}
    # Its attribute `_metadata` goes with it.
    torch.save(module.state_dict(), FOLDER / "module.pt")
    read["module"] = module.state_dict()

    # As torch 1.6 wrote it, without the members of later versions, and as another program packs it.
    later = (".format_version", ".storage_alignment", "byteorder", ".data/serialization_id")
    repacked("slider.pt", "repacked.pt", lambda name, data: None if name.endswith(later) else data)
    read["repacked"] = slider

    def big_endian(name: str, data: bytes) -> bytes:
        return b"big" if name.endswith("byteorder") else data

    repacked("slider.pt", "big-endian.pt", big_endian)
    repacked("slider.pt", "deflated.pt", compression=zipfile.ZIP_DEFLATED)
    repacked("slider.pt", "no-pickle.pt", lambda name, data: None if name.endswith("pkl") else data)
    # Storages are numbered by their addresses there, which differ from run to run.
    torch.save({}, FOLDER / "old-format.pt", _use_new_zipfile_serialization=False)
    (FOLDER / "plain-pickle.pt").write_bytes(pickle.dumps({"weight": [1.0]}, protocol=4))
    torch.save(slider | {"z": Calls(os.system, "echo called")}, FOLDER / "calls-system.pt")
    torch.save(
        slider | {"z": Calls(eval, "1")}, FOLDER / "calls-eval-protocol-4.pt", pickle_protocol=4
    )
    torch.save({"counts": collections.Counter("ab")}, FOLDER / "calls-counter.pt")
    torch.save(module, FOLDER / "whole-module.pt")
    torch.save({"a.weight": torch.ones(1).expand(3)}, FOLDER / "expanded.pt")
    torch.save([torch.ones(2)], FOLDER / "list.pt")

    expected = {
        f"{case}/{name}": value.detach().clone(memory_format=torch.contiguous_format)
        for case, tensors in read.items()
        for name, value in tensors.items()
    }
    save_file(expected, FOLDER / "expected.safetensors")
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.stat().st_size:>9} {path.relative_to(VALUES)}")


if __name__ == "__main__":
    main()
