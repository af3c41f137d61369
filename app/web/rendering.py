"""Templates to text: autoescaped, and refused where a name is not there."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from app.web import words


def _clean(value: Any) -> Any:
    """Every text that a template prints, without what neither HTML nor UTF-8 can carry."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return words.short(value, words.MAX_TEXT_CHARS)


_ENVIRONMENT = Environment(
    loader=PackageLoader("app.web", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_clean,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_ENVIRONMENT.filters.update(
    name=words.name,
    names=words.names,
    number=words.number,
    percent=words.percent,
    moment=words.moment,
    num_bytes=words.num_bytes,
    metric_word=words.metric_word,
    part_word=words.part_word,
    baseline_word=words.baseline_word,
)
_ENVIRONMENT.globals.update(count=words.count)


def render(template: str, **values: Any) -> str:
    return _ENVIRONMENT.get_template(template).render(
        rootstock=version("rootstock"), rendered_at=datetime.now(UTC), **values
    )
