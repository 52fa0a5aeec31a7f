# What decided each claim, for the page of results.
EVIDENCE = multiext(f"{RESULTS}/claims", ".parquet", "_resamples.parquet", "_seeds.parquet")


rule claims:
    """Judge the claims on every experiment's reduced tables."""
    input:
        tables=judged_tables,
        script="scripts/claims.py",
        code=sources("layerwise.claims"),
    output:
        csv=f"{RESULTS}/claims.csv",
        evidence=EVIDENCE,
        readable=f"{DRAWN}/claims.md",
        page=report(f"{DRAWN}/claims.html", caption="../report/claims.rst", category="Claims"),
    log:
        f"{RESULTS}/logs/claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 10,
    shell:
        "python scripts/claims.py {input.tables:q} --csv {output.csv:q}"
        " --readable {output.readable:q} --report {output.page:q} --log {log:q}"


rule runs_page:
    """Gather the settings, versions and wall times of all runs for the report."""
    input:
        records=[
            f"{RESULTS}/{experiment}/runs/{method}-{part}.parquet.json"
            for experiment, method, part in JOBS
        ],
        script="scripts/runs_page.py",
        code=sources("layerwise.results.pages"),
    output:
        report(f"{DRAWN}/runs.html", caption="../report/runs.rst", category="What was run"),
    log:
        f"{RESULTS}/logs/runs_page.log",
    benchmark:
        f"{RESULTS}/benchmarks/runs_page.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 10,
    shell:
        "python scripts/runs_page.py {input.records:q} --out {output:q} --log {log:q}"
