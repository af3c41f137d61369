"""Pre-norm Transformer blocks over the tokens of one row. `B` rows, `T` tokens, `D` width, `M` latents."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from models.layers.attention import Attention
from models.layers.linear import make_linear
from models.layers.training_attention import is_training_here, is_worthwhile
from models.layers.training_block import FeedForwardWeights, NormWeights, run_attention, run_feedforward

FEEDFORWARD_FACTOR = 2  # ×4 is slower and was no better on tables (RESEARCH: prototype)


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them, applied to each token.

    Shape: float32 [B, T, D] -> float32 [B, T, D].
    """

    def __init__(self, d_model: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.expand = make_linear(d_model, FEEDFORWARD_FACTOR * d_model, generator=generator)
        self.contract = make_linear(FEEDFORWARD_FACTOR * d_model, d_model, generator=generator)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Transform each token; shapes above."""
        transformed: torch.Tensor = self.contract(functional.gelu(self.expand(tokens)))
        return transformed

    def weights(self) -> FeedForwardWeights:
        """As the training form takes them."""
        expand, contract = self.expand, self.contract
        return FeedForwardWeights(expand.weight, expand.bias, contract.weight, contract.bias)


class SelfAttentionBlock(nn.Module):
    """Every token attends to every token: cost grows with T².

    Shape: float32 [B, T, D] -> float32 [B, T, D].

    Example:
        >>> block = SelfAttentionBlock(8, 2, generator=torch.Generator().manual_seed(0))
        >>> block(torch.zeros(3, 5, 8)).shape
        torch.Size([3, 5, 8])
    """

    def __init__(self, d_model: int, num_heads: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = Attention(d_model, num_heads, generator=generator)
        self.feedforward_norm = nn.LayerNorm(d_model)
        self.feedforward = FeedForward(d_model, generator=generator)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mix tokens, then transform each; shapes above."""
        return self.transform(self.mix(tokens))

    def mix(self, tokens: torch.Tensor) -> torch.Tensor:
        """The first half: what tokens of a row take from each other."""
        if is_worthwhile(tokens, tokens):
            norm = NormWeights(self.attention_norm.weight, self.attention_norm.bias)
            return run_attention(tokens, norm, self.attention.weights(), self.attention.num_heads)
        normed = self.attention_norm(tokens)
        mixed: torch.Tensor = tokens + self.attention(normed, normed)
        return mixed

    def transform(self, tokens: torch.Tensor) -> torch.Tensor:
        """The second half, of each token by itself: float32 [..., D], so of some tokens too."""
        return _transform(tokens, self.feedforward_norm, self.feedforward)


class LatentAttentionBlock(nn.Module):
    """Tokens exchange information through M latents: cost grows with T·M.

    The induced set attention block of the Set Transformer (arXiv 1810.00825, §3.1, ISAB), pre-norm; the latents are
    handed on to the next block instead of starting anew in each.

    Shape: tokens float32 [B, T, D], latents float32 [B, M, D] -> the same shapes.

    Example:
        >>> block = LatentAttentionBlock(8, 2, generator=torch.Generator().manual_seed(0))
        >>> tokens, latents = block(torch.zeros(3, 500, 8), torch.zeros(3, 4, 8))
        >>> tokens.shape, latents.shape
        (torch.Size([3, 500, 8]), torch.Size([3, 4, 8]))
    """

    def __init__(self, d_model: int, num_heads: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(d_model)
        self.latent_norm = nn.LayerNorm(d_model)
        self.read = Attention(d_model, num_heads, generator=generator)
        self.latent_block = SelfAttentionBlock(d_model, num_heads, generator=generator)
        self.written_norm = nn.LayerNorm(d_model)
        self.write = Attention(d_model, num_heads, generator=generator)
        self.feedforward_norm = nn.LayerNorm(d_model)
        self.feedforward = FeedForward(d_model, generator=generator)

    def forward(self, tokens: torch.Tensor, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix tokens through the latents, then transform each; shapes above."""
        tokens, latents = self.mix(tokens, latents)
        return self.transform(tokens), latents

    def mix(self, tokens: torch.Tensor, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All but the last half: what tokens take from each other through the latents."""
        normed = self.token_norm(tokens)
        latents = self.latent_block(latents + self.read(self.latent_norm(latents), normed))
        return tokens + self.write(normed, self.written_norm(latents)), latents

    def transform(self, tokens: torch.Tensor) -> torch.Tensor:
        """The last half, of each token by itself: float32 [..., D], so of some tokens too."""
        return _transform(tokens, self.feedforward_norm, self.feedforward)


def _transform(tokens: torch.Tensor, norm: nn.LayerNorm, feedforward: FeedForward) -> torch.Tensor:
    if is_training_here(tokens):
        return run_feedforward(tokens, NormWeights(norm.weight, norm.bias), feedforward.weights())
    transformed: torch.Tensor = tokens + feedforward(norm(tokens))
    return transformed
