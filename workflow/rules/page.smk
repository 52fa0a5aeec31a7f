from pathlib import Path

from layerwise.command.catalogue import about as about_option
from layerwise.page.about import ASSETS, about
from layerwise.planning.request import requested
from layerwise.results.files import digest_of, write_if_other

# Of some experiments it is a page of its own, as the claims are.
PART = CLAIMS.removeprefix("claims")
PAGE = f"{DRAWN}/page{PART}.html"
ABOUT_FILE = f"{RESULTS}/about{PART}.json"
# What the page says beside the tables; by a file, since overrides may be long.
ABOUT = about(
    EXPERIMENTS,
    requested(config).scale,
    PIPELINE.overrides,
    lambda name: about_option("experiment", name),
)
if workflow.is_main_process:
    write_if_other(canonical(ABOUT) + "\n", Path(ABOUT_FILE))


rule page:
    """Put claims, data, figures and runs on one page that opens offline."""
    input:
        about=ancient(ABOUT_FILE),
        tables=[path for name in EXPERIMENTS for path in reduced(name, TABLES_OF[name])],
        records=[record for name in EXPERIMENTS for record in records_of(name)],
        claims=EVIDENCE,
        figures=expand("{folder}/{figure}.png", folder=DRAWN, figure=PIPELINE.figures),
        script="scripts/page.py",
        assets=sorted(os.path.relpath(path) for path in ASSETS.iterdir()),
    output:
        PAGE,
    log:
        f"{RESULTS}/logs/page.log",
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 10,
    params:
        about=digest_of(ABOUT),
        code=code_of("layerwise.page.document"),
    shell:
        "python -I -S scripts/start.py scripts/page.py {input.about:q} --out {output:q} --log {log:q}"
