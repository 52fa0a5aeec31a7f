import os

from layerwise.command.catalogue import about as about_option
from layerwise.page.about import ASSETS, about

PAGE = f"{DRAWN}/page.html"


rule page:
    """Put claims, data, figures and runs on one page that opens offline."""
    input:
        tables=[path for plan in EXPERIMENTS.values() for path in reduced(plan.experiment)],
        records=[
            f"{RESULTS}/{experiment}/runs/{method}-{part}.parquet.json"
            for experiment, method, part in JOBS
        ],
        claims=EVIDENCE if CLAIMS else [],
        figures=expand("{folder}/{figure}.png", folder=DRAWN, figure=FIGURE_OF),
        script="scripts/page.py",
        code=sources("layerwise.page.document"),
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
        results=RESULTS,
        about=canonical(
            about(EXPERIMENTS, SCALE, OVERRIDES, lambda name: about_option("experiment", name))
        ),
    shell:
        "python scripts/page.py {params.results:q} --about {params.about:q} --out {output.page:q}"
        " --log {log:q}"
