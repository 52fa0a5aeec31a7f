"""What takes long to make is kept from one process to the next, and made anew where that fails."""

from pathlib import Path

import pytest

from layerwise.page import document
from layerwise.planning import sources
from layerwise.results.kept import keep, kept

TEXT = "ж\r\none\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty cache, which is made when something is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "layerwise"


def test_a_text_is_kept_as_it_is(cache: Path) -> None:
    assert kept("a.js") is None
    keep(TEXT, "a.js")
    assert kept("a.js") == TEXT
    assert [path.name for path in cache.iterdir()] == ["a.js"]


@pytest.mark.parametrize("damaged", [b"", b"\xff\n", b"GIF89a", slice(-1), slice(70)])
def test_a_damaged_text_is_none(cache: Path, damaged: bytes | slice) -> None:
    keep(TEXT, "a.js")
    content = (cache / "a.js").read_bytes()
    (cache / "a.js").write_bytes(content[damaged] if isinstance(damaged, slice) else damaged)
    assert kept("a.js") is None


def test_where_nothing_can_be_kept_all_is_made(cache: Path) -> None:
    cache.write_text("a file in the place of the folder")
    keep(TEXT, "a.js")
    assert kept("a.js") is None
    assert "window.vegaEmbed=" in document.bundle()
    assert cache.read_text() == "a file in the place of the folder"


def test_the_pages_library_is_put_together_once(cache: Path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        document.vl_convert, "javascript_bundle", lambda *of: asked.append(of) or "the library"
    )
    assert [document.bundle(), document.bundle()] == ["the library"] * 2
    assert asked == [(document.LIBRARY, document.VEGA_LITE)]
    monkeypatch.setattr(document, "VEGA_LITE", "6.4")
    assert document.bundle() == "the library" and len(asked) == 2


def test_codes_are_the_same_whether_they_are_known(cache: Path, monkeypatch) -> None:
    def code(module: str) -> str:
        for one in (sources._code_of, sources._said, sources._known):
            one.cache_clear()
        return sources.code_of(module)

    first, more = code("layerwise.theory.one_step"), code("layerwise.theory")
    (file,) = cache.iterdir()
    parsed = []
    parse = sources.ast.parse
    monkeypatch.setattr(sources.ast, "parse", lambda text: parsed.append(text) or parse(text))
    assert code("layerwise.theory.one_step") == first and parsed == []
    file.unlink()
    assert code("layerwise.theory") == more and len(parsed) > 0
    code("layerwise.theory.one_step")
    assert kept(file.name) is not None
