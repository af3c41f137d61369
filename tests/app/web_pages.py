"""What every page that is handed out must be: no scripts, nothing from elsewhere, well-formed pictures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = {"meta", "br", "hr", "img", "link", "input", "wbr", "col"}
SAFE_TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "footer",
    "h1",
    "h2",
    "h3",
    "p",
    "ul",
    "li",
    "dl",
    "dt",
    "dd",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "div",
    "span",
    "figure",
    "figcaption",
    "bdi",
    "data",
    "svg",
    "desc",
    "line",
    "circle",
    "rect",
    "text",
    "polyline",
}
SAFE_ATTRIBUTES = {
    "lang",
    "charset",
    "name",
    "content",
    "class",
    "scope",
    "value",
    "colspan",
    "xmlns",
    "role",
    "viewbox",
    "width",
    "height",
    "x",
    "y",
    "x1",
    "y1",
    "x2",
    "y2",
    "cx",
    "cy",
    "r",
    "points",
    "text-anchor",
}


class Page(HTMLParser):
    """Reads a page, and fails on what does not belong into it."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.texts: list[str] = []
        self.numbers: list[float] = []
        self.headings: list[str] = []
        self.feed(content)
        self.close()
        assert not self.open, self.open
        for picture in re.findall(r"<svg.*?</svg>", content, re.DOTALL):
            root = ElementTree.fromstring(picture)
            names = [child.tag.rpartition("}")[2] for child in root][:2]
            assert names == ["title", "desc"]
            assert all(found.text for found in root[:2])
        assert not re.search(
            r"url\(|@import|expression\(|javascript:", content.lower().partition("</style>")[0]
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SAFE_TAGS, tag
        for name, value in attrs:
            assert name in SAFE_ATTRIBUTES, (tag, name)
            assert name != "xmlns" or value == "http://www.w3.org/2000/svg"
            if tag == "data" and name == "value" and value is not None:
                self.numbers.append(float(value))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))
