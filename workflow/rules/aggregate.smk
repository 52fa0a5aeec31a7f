from layerwise.planning.resources import reduce_mb


rule aggregate:
    """Reduce an experiment's tables: summary, step-size selection, traces of what was selected."""
    input:
        tables=run_tables,
        script="scripts/aggregate.py",
        code=sources("layerwise.results.aggregate"),
    output:
        multiext(
            f"{RESULTS}/{{experiment}}/",
            *SELECTED,
            "selection.csv",
        ),
    log:
        f"{RESULTS}/{{experiment}}/logs/aggregate.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/benchmarks/aggregate.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * reduce_mb(EXPERIMENTS[wildcards.experiment]),
        runtime=lambda wildcards, attempt: attempt * 60,
    params:
        how=lambda wildcards: EXPERIMENTS[wildcards.experiment].reduction,
        folder=lambda wildcards: f"{RESULTS}/{wildcards.experiment}",
    shell:
        "python scripts/aggregate.py --how {params.how:q} --out {params.folder:q}"
        " {input.tables:q} --log {log:q}"


use rule aggregate as collect with:
    output:
        multiext(f"{RESULTS}/{{experiment}}/", *COLLECTED),
    log:
        f"{RESULTS}/{{experiment}}/logs/collect.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/benchmarks/collect.tsv"
