"""Free text as its length, its share of digits and a few numbers of hashed n-grams.

`n` rows, `H` hash buckets, `T` topics.
"""

from __future__ import annotations

import base64
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, model_validator

from models.features.casting import cast_or_null
from models.features.derived.base import BaseDerivation, Part
from models.features.schema import StorageType

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

NUM_BUCKETS = 1_024
MAX_TOPICS = 8
MAX_FIT_ROWS = 20_000
MAX_CHARS = 2_000  # of a text, for n-grams: bounds the time one cell can take
_CHUNK_ROWS = 10_000
_WORDS_PER_VALUE = 2.5  # from here on words say more than their letters
_SEED = 0
_NUMBERS = ("length", "words", "digits")


class TextDerivation(BaseDerivation):
    """Numbers of characters and words, the share of digits, and latent semantic analysis of hashed n-grams: words and
    pairs of words, or two to four letters where values are short or written without blanks.

    No vocabulary is kept: n-grams are hashed (MurmurHash3, signed) into `num_buckets`, and `components`, float16 [T, H] in
    base64, reduces these to T topics (truncated singular value decomposition, Halko et al., arXiv 0909.4061).
    """

    kind: Literal["text"] = "text"
    analyzer: Literal["word", "char_wb"] = "word"
    num_buckets: int = Field(default=NUM_BUCKETS, ge=1, le=1 << 20)
    num_topics: int = Field(default=0, ge=0, le=256)
    components: str = ""

    @model_validator(mode="after")
    def _components_fit(self) -> Self:
        num_bytes = len(base64.b64decode(self.components, validate=True))
        if num_bytes != 2 * self.num_topics * self.num_buckets:
            raise ValueError(f"components have {num_bytes} bytes, not those of {self.num_topics} topics.")
        if self.num_topics:
            _ = self._vectorizer  # slow to import: when an encoder is loaded rather than at its first row
        return self

    @classmethod
    def fit(cls, series: pl.Series, storage_type: StorageType) -> Self:
        """As `BaseDerivation.fit`; topics come from at most 20,000 rows, evenly spaced."""
        texts = cast_or_null(series, pl.String()).drop_nulls()
        texts = texts.gather_every(max(1, -(-len(texts) // MAX_FIT_ROWS)))
        mean_words = texts.str.count_matches(r"\S+").mean() if len(texts) else None
        is_wordy = isinstance(mean_words, float) and mean_words >= _WORDS_PER_VALUE
        unfitted = cls(source=series.name, analyzer="word" if is_wordy else "char_wb")
        num_topics = min(MAX_TOPICS, texts.n_unique() - 1)
        if num_topics < 1:
            return unfitted
        from sklearn.decomposition import TruncatedSVD  # slow to import: only tables with text pay for it

        hashed = unfitted._vectorizer.transform(texts.str.head(MAX_CHARS).to_list())
        if hashed.nnz == 0:
            return unfitted
        decomposition = TruncatedSVD(num_topics, random_state=_SEED).fit(hashed)
        # Half precision: a rounding wider than what the order of sums changes, so that fits repeat.
        components = np.ascontiguousarray(decomposition.components_, dtype="<f2")
        return unfitted.model_copy(
            update={"num_topics": num_topics, "components": base64.b64encode(components.tobytes()).decode()}
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        names = (*_NUMBERS, *(f"topic_{topic + 1}" for topic in range(self.num_topics)))
        return tuple(Part(name, "float", False) for name in names)

    def apply(self, series: pl.Series) -> list[pl.Series]:
        texts = cast_or_null(series, pl.String())
        text = pl.col("text")
        length = text.str.len_chars().cast(pl.Float64)
        numbers = texts.to_frame("text").select_seq(
            length.alias("length"),
            text.str.count_matches(r"\S+").cast(pl.Float64).alias("words"),
            (text.str.count_matches(r"\d").cast(pl.Float64) / length.clip(1.0)).alias("digits"),
        )
        topics = self._topics(texts.to_list())
        return [*numbers.get_columns(), *(pl.Series(topics[:, topic]) for topic in range(self.num_topics))]

    def _topics(self, texts: list[str | None]) -> npt.NDArray[np.float64]:
        """Topics float64 [n, T], NaN where there is no text; a row's sum runs over its own n-grams, in their order."""
        found = np.full((len(texts), self.num_topics), np.nan)
        if not self.num_topics:
            return found
        for start in range(0, len(texts), _CHUNK_ROWS):
            chunk = texts[start : start + _CHUNK_ROWS]
            hashed = self._vectorizer.transform([(text or "")[:MAX_CHARS] for text in chunk])
            is_missing = np.array([text is None for text in chunk])
            found[start : start + len(chunk)] = np.where(
                is_missing[:, None], np.nan, hashed @ self._transposed
            )
        return found

    @cached_property
    def _transposed(self) -> npt.NDArray[np.float64]:
        """Components, float64 [H, T]."""
        flat = np.frombuffer(base64.b64decode(self.components), dtype="<f2")
        return np.ascontiguousarray(flat.reshape(self.num_topics, self.num_buckets).T, dtype=np.float64)

    @cached_property
    def _vectorizer(self) -> HashingVectorizer:
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer(
            n_features=self.num_buckets,
            analyzer=self.analyzer,
            ngram_range=(1, 2) if self.analyzer == "word" else (2, 4),
            token_pattern=r"(?u)\b\w+\b" if self.analyzer == "word" else None,
        )
