# What decided each claim, for the page of results.
EVIDENCE = multiext(f"{RESULTS}/claims", ".parquet", "_resamples.parquet", "_seeds.parquet")


rule claims:
    """Judge the claims on every experiment's reduced tables."""
    input:
        tables=judged_tables,
        script="scripts/claims.py",
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
    params:
        code=code_of("layerwise.claims"),
    shell:
        "python scripts/claims.py {input.tables:q} --csv {output.csv:q}"
        " --readable {output.readable:q} --report {output.page:q} --log {log:q}"


rule runs_page:
    """Gather the settings, versions and wall times of all runs for the report."""
    input:
        plans=[ancient(PIPELINE.plan_file(name)) for name in EXPERIMENTS],
        records=[record for name in EXPERIMENTS for record in records_of(name)],
        script="scripts/runs_page.py",
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
    params:
        code=code_of("layerwise.results.pages"),
    shell:
        "python scripts/runs_page.py {input.plans:q} --out {output:q} --log {log:q}"
