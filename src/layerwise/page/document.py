"""The page as one HTML file: parts, data, library and program, under a policy that lets nothing else in."""

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from string import Template

import vl_convert

from layerwise.page.about import ASSETS
from layerwise.page.claims import counts, forest
from layerwise.page.compare import comparison
from layerwise.page.decided import numbers_by_seed
from layerwise.page.experiment import Tables, experiment_json
from layerwise.page.explained import PAPER, glossary
from layerwise.page.figures import figures
from layerwise.page.folder import Folder
from layerwise.page.judged import judged_claims
from layerwise.page.looks import looks
from layerwise.page.runs import runs
from layerwise.page.text import escape
from layerwise.results.descriptions import ALONG, GRIDS, METRICS, SETTINGS
from layerwise.results.files import atomic_path, digest_of_text
from layerwise.results.kept import keep, kept

# The parts of style and program, in their order.
STYLE = ["base", "claims", "forest", "resamples", "explore", "pages", "narrow", "print"]
PROGRAM = [
    "base",
    "statistics",
    "state",
    "panels",
    "panel",
    "legend",
    "chart",
    "explore",
    "controls",
    "exports",
    "claims",
    "main",
]
# Before anything is shown: what needs scripts is there, and views are shown one at a time.
EARLY = 'document.documentElement.classList.add("scripts")'
VEGA_LITE = "6.1"  # of the versions there are; with 6.4 all that hovering says is "undefined"
LIBRARY = "window.vegaEmbed = vegaEmbed"  # all that the program uses of Vega-Lite's bundle
NO_CLAIMS = "<p>No claims were judged here: that takes all experiments together.</p>"


def write(folders: Sequence[Folder], out: Path) -> None:
    """Write the page of one or more folders of results."""
    page = document(folders)
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def document(folders: Sequence[Folder]) -> str:
    """The page of one or more folders of results. The first has the claims, figures and runs, and is
    compared with the others."""
    first, *others = folders
    claims = judged_claims(first)
    style = "".join(asset(f"{part}.css") for part in STYLE)
    library = f"(()=>{{{bundle()}}})()"
    program = "\n".join(asset(f"{part}.js") for part in PROGRAM)
    app = f'(()=>{{"use strict";\n{program}}})()'
    pairs = "".join(comparison(first, other) for other in others)
    content = {
        "title": "layerwise: what was reproduced",
        "policy": policy(scripts=[EARLY, library, app], styles=[style]),
        "banner": banner(first),
        "claims": Template(asset("claims.html")).substitute(
            counts=counts(claims),
            forest=forest(claims, first),
            paper=PAPER,
            glossary=glossary(),
        )
        if claims
        else NO_CLAIMS,
        "figures": figures(first),
        "runs": runs(first),
        "compared": '<a href="#compare">Compare</a>' if pairs else "",
        "compare": Template(asset("compare.html")).substitute(pairs=pairs) if pairs else "",
        "more": "" if pairs else asset("one.html"),
        "style": style,
        "early": EARLY,
        "data": "\n".join(data(folders)),
        "library": library,
        "app": app,
    }
    return Template(asset("template.html")).substitute(content)


def bundle() -> str:
    """Vega-Lite's program. It is kept, since putting it together takes longer than all else here."""
    made = f"{version('vl-convert-python')} {VEGA_LITE} {LIBRARY}"
    name = f"vega-lite-{digest_of_text(made)}.js"
    text = kept(name)
    if text is None:
        text = vl_convert.javascript_bundle(LIBRARY, VEGA_LITE)
        keep(text, name)
    return text


def asset(name: str) -> str:
    """A file of the page's own."""
    return (ASSETS / name).read_text(encoding="utf-8")


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Only these scripts and styles run, pictures come from the page itself, and nothing is fetched."""

    def allowed(texts: Sequence[str]) -> str:
        digests = (hashlib.sha256(text.encode()).digest() for text in texts)
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {allowed(scripts)}; style-src {allowed(styles)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def banner(folder: Folder) -> str:
    """What a reader must know before any verdict, where results are not those reported."""
    said = []
    if not folder.judges:
        said.append(
            f"<b>A look at the {escape(folder.about['scale'])} scale.</b> Fewer seeds, steps, problems and "
            "step sizes than reported: verdicts and numbers here judge nothing."
        )
    if folder.about["overrides"]:
        changed = " ".join(folder.about["overrides"])
        said.append(f"<b>With overrides</b> <code>{escape(changed)}</code>: not as reported.")
    return "".join(f'<p class="banner" role="note">{words}</p>' for words in said)


def data(folders: Sequence[Folder]) -> list[str]:
    """What the browser reads: the catalogue as it stands, the rest packed until it is needed."""
    packed: list[str] = []
    methods: dict[str, None] = {}
    catalogue = []
    labels: dict[str, str] = {}
    for place, folder in enumerate(folders):
        names = []
        for name, said in folder.experiments.items():
            tables = Tables(folder.results / name, said["select_by"])
            packed.append(pack(f"data-{place}-{name}", experiment_json(tables)))
            methods |= dict.fromkeys(tables.methods)
            names.append({"name": name, "question": said["question"], **folder.limits(name)})
        catalogue.append({"name": folder.name, "commit": folder.commit, "experiments": names})
        labels |= {key: value for key, value in folder.about["labels"].items() if key not in labels}
    meta = {
        "folders": catalogue,
        "looks": looks(methods, labels),
        "metrics": {
            name: {
                "label": value.label,
                "log": value.log,
                "better": value.better,
                "infinite": value.infinite,
                "predicted_by": value.predicted_by,
                "listed": value.listed,
                "at_end": value.at_end,
                "explained": value.explained,
            }
            for name, value in METRICS.items()
        },
        "settings": SETTINGS | ALONG | GRIDS,
    }
    # In a script's text only its end is special.
    catalogued = json.dumps(meta, ensure_ascii=False).replace("<", "\\u003c")
    return [
        f'<script type="application/json" id="meta">{catalogued}</script>',
        pack("data-claims", numbers_by_seed(folders[0])),
        *packed,
    ]


def pack(name: str, content: str) -> str:
    """A text that the browser unpacks when it is needed."""
    packed = base64.b64encode(zlib.compress(content.encode(), 9)).decode()
    return f'<script type="text/plain" id="{escape(name)}">{packed}</script>'
