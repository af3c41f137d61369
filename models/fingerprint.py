"""A short name for what an encoder computes, so that a head can tell its own encoder from another."""

from __future__ import annotations

import hashlib

from models.bundle import EncoderBundle


def encoder_fingerprint(bundle: EncoderBundle) -> str:
    """Digest of everything row features depend on: codec, architecture, layout and weights (not the report)."""
    digest = hashlib.blake2b(b"rootstock.encoder.1", digest_size=16)
    digest.update(str(bundle.layout_version).encode())
    digest.update(bundle.config.model_dump_json().encode())
    digest.update(bundle.codec.model_dump_json().encode())
    for name, tensor in sorted(bundle.encoder.state_dict().items()):
        digest.update(f"{name}{tensor.dtype}{list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
