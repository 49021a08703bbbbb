"""Writes test/fixtures/quantization/dynamic-code.json: the values of the dynamic 8-bit code, from the algorithm that bitsandbytes
publishes as functional.create_dynamic_map, in torch's own fp32 arithmetic. Bits of each value as an unsigned integer, ascending.

    python scripts/make-dynamic-code.py
"""

import json
from pathlib import Path

import torch

EXPONENT_BITS = 7
TARGET = Path(__file__).resolve().parent.parent / "test/fixtures/quantization/dynamic-code.json"


def values(signed: bool) -> torch.Tensor:
    magnitudes = []
    for i in range(EXPONENT_BITS):
        boundaries = torch.linspace(0.1, 1, 2 ** (i if signed else i + 1) + 1, dtype=torch.float32)
        means = (boundaries[:-1] + boundaries[1:]) / 2
        magnitudes += (10 ** (i - (EXPONENT_BITS - 1)) * means).tolist()
    both = [-m for m in magnitudes] if signed else []
    return torch.tensor(sorted(magnitudes + both + [0.0, 1.0]), dtype=torch.float32)


def bits(table: torch.Tensor) -> list[int]:
    assert table.numel() == 256
    return [int(b) & 0xFFFFFFFF for b in table.view(torch.int32).tolist()]


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps({"signed": bits(values(True)), "unsigned": bits(values(False))}, separators=(",", ":")) + "\n")
