"""What a page has to keep to: valid, alone, and readable for those who do not see it. Raises AssertionError."""

from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "img", "input", "br", "hr", "line", "path", "rect"}
ONCE = ("header", "nav", "main", "footer", "h1", "title")


class Page(HTMLParser):
    """Tags, ids, headings and words of a page; tags have to be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.labels: list[str] = []  # ids that labels name
        self.wrapped = 0  # inputs inside of a label
        assert text.startswith("<!DOCTYPE html>")
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert len(found) == len(attrs), f"an attribute stands twice in {tag}"
        self.tags.append((tag, found))
        if tag == "input" and "label" in self.open:
            self.wrapped += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def checked(text: str) -> Page:
    """The page, after every rule was held against it."""
    page = Page(text)
    counts = Counter(name for name, _ in page.tags)
    assert all(counts[name] == 1 for name in ONCE), {name: counts[name] for name in ONCE}
    assert page.all("html")[0]["lang"] == "en"
    assert any("width=device-width" in (meta.get("content") or "") for meta in page.all("meta"))
    alone(page)
    headings = [int(name[1]) for name, _ in page.tags if name in ("h1", "h2", "h3", "h4")]
    assert headings[0] == 1 and all(b <= a + 1 for a, b in pairwise(headings)), headings
    for img in page.all("img"):
        assert img.get("alt") is not None and img.get("width") and img.get("height")
        assert img["alt"] or "layer" in (img.get("class") or ""), "a picture that is no layer has words"
    for svg in page.all("svg"):
        assert svg["role"] == "img" and svg["aria-label"]
    named = {label["for"] for label in page.all("label") if "for" in label}
    assert sum(one.get("id") in named for one in page.all("input")) + page.wrapped == counts["input"]
    return page


def alone(page: Page) -> None:
    """It asks nobody for anything, and its links lead somewhere inside."""
    ids = Counter(attrs["id"] for _, attrs in page.tags if "id" in attrs)
    assert not [name for name, n in ids.items() if n > 1]
    for _, attrs in page.tags:
        assert (attrs.get("src") or "data:").startswith("data:")
        link = attrs.get("href") or "data:"
        assert link.startswith("data:") or link[1:] in ids, link
        for key in ("data-copy", "for"):
            assert attrs.get(key) is None or attrs[key] in ids
        assert not any(key.startswith("on") for key in attrs)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'")
