rule aggregate:
    """Reduce an experiment's tables: summary, step-size selection, traces of what was selected."""
    input:
        tables=lambda wildcards: [
            f"{RESULTS}/{cell.experiment}/{cell.problem}/{cell.method}.parquet"
            for cell in EXPERIMENTS[wildcards.experiment].cells
        ],
        script="scripts/aggregate.py",
        code=sources("layerwise.aggregate"),
    output:
        multiext(
            f"{RESULTS}/{{experiment}}/",
            "summary.parquet",
            "scores.csv",
            "selection.csv",
            "traces.parquet",
        ),
    log:
        f"{RESULTS}/{{experiment}}/logs/aggregate.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/benchmarks/aggregate.tsv"
    conda:
        "../envs/layerwise.yaml"
    params:
        how=lambda wildcards: EXPERIMENTS[wildcards.experiment].reduction,
        folder=lambda wildcards: f"{RESULTS}/{wildcards.experiment}",
    shell:
        "python scripts/aggregate.py --how {params.how:q} --out {params.folder:q}"
        " {input.tables:q} --log {log:q}"
