import os

from layerwise.command.catalogue import about as about_option
from layerwise.page.about import ASSETS, about

PAGE = f"{DRAWN}/page.html"
REQUEST = requested(config)


rule page:
    """Put claims, data, figures and runs on one page that opens offline."""
    input:
        plans=[ancient(PIPELINE.plan_file(name)) for name in EXPERIMENTS],
        tables=[path for name in EXPERIMENTS for path in reduced(name, TABLES_OF[name])],
        records=[record for name in EXPERIMENTS for record in records_of(name)],
        claims=EVIDENCE if CLAIMS else [],
        figures=expand("{folder}/{figure}.png", folder=DRAWN, figure=PIPELINE.figures),
        script="scripts/page.py",
        assets=sorted(os.path.relpath(path) for path in ASSETS.iterdir()),
    output:
        page=PAGE,
        about=f"{RESULTS}/about.json",
    log:
        f"{RESULTS}/logs/page.log",
    benchmark:
        f"{RESULTS}/benchmarks/page.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 10,
    params:
        code=code_of("layerwise.page.document"),
        results=RESULTS,
        about=canonical(
            about(
                EXPERIMENTS,
                REQUEST.scale,
                REQUEST.overrides,
                lambda name: about_option("experiment", name),
            )
        ),
    shell:
        "python scripts/page.py {params.results:q} --about {params.about:q} --out {output.page:q}"
        " --log {log:q}"
