from layerwise.planning.resources import reduce_mb


rule aggregate:
    """Reduce an experiment's tables: summary, step-size selection, traces of what was selected."""
    input:
        plan=ancient(f"{RESULTS}/{{experiment}}/plan.json"),
        tables=lambda wildcards: tables_of(wildcards.experiment),
        records=lambda wildcards: records_of(wildcards.experiment),
        script="scripts/aggregate.py",
    output:
        multiext(
            f"{RESULTS}/{{experiment}}/",
            *[f"{table}.parquet" for table in SELECTED],
            "selection.csv",
        ),
    log:
        f"{RESULTS}/{{experiment}}/logs/aggregate.log",
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * reduce_mb(jobs_of(wildcards.experiment)),
        runtime=lambda wildcards, attempt: attempt * 60,
    params:
        code=code_of("layerwise.results.aggregate", "layerwise.results.provenance"),
        digest=lambda wildcards: PIPELINE.plan_digest(wildcards.experiment),
        folder=lambda wildcards: f"{RESULTS}/{wildcards.experiment}",
    shell:
        "python -I -S scripts/start.py scripts/aggregate.py --plan {input.plan:q} --digest {params.digest}"
        " --out {params.folder:q} --log {log:q}"


use rule aggregate as collect with:
    output:
        multiext(f"{RESULTS}/{{experiment}}/", *[f"{table}.parquet" for table in COLLECTED]),
    log:
        f"{RESULTS}/{{experiment}}/logs/collect.log",
