# What decided each claim, for the page of results.
EVIDENCE = multiext(f"{RESULTS}/{CLAIMS}", ".parquet", "_resamples.parquet", "_seeds.parquet")


rule claims:
    """Judge the claims on the reduced tables of the experiments that are asked for."""
    input:
        tables=judged_tables,
        script="scripts/claims.py",
    output:
        csv=f"{RESULTS}/{CLAIMS}.csv",
        evidence=EVIDENCE,
        readable=f"{DRAWN}/{CLAIMS}.md",
        page=report(f"{DRAWN}/{CLAIMS}.html", caption="../report/claims.rst", category="Claims"),
    log:
        f"{RESULTS}/logs/{CLAIMS}.log",
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 10,
    params:
        code=code_of("layerwise.claims"),
        note=PIPELINE.note,
    shell:
        "python -I -S scripts/start.py scripts/claims.py {input.tables:q} --csv {output.csv:q}"
        " --readable {output.readable:q} --report {output.page:q} --note={params.note:q} --log {log:q}"


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
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 10,
    params:
        code=code_of("layerwise.results.pages"),
    shell:
        "python -I -S scripts/start.py scripts/runs_page.py {input.plans:q} --out {output:q} --log {log:q}"
