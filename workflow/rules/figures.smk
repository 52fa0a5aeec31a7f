rule figure:
    """Draw a figure; the table that it draws lies beside it."""
    input:
        tables=lambda wildcards: expand(
            "{folder}/{experiment}/{table}",
            folder=RESULTS,
            experiment=FIGURE_OF[wildcards.figure].experiment.name,
            table=["summary.parquet", "scores.csv", "selection.csv", "traces.parquet"],
        ),
        script="scripts/plot.py",
        code=lambda wildcards: sources("layerwise.figures", f"layerwise.figures.{wildcards.figure}"),
    output:
        pdf=f"{DRAWN}/{{figure}}.pdf",
        png=report(
            f"{DRAWN}/{{figure}}.png",
            caption="../report/figure.rst",
            category="Linear representation learning",
            labels={"figure": "{figure}"},
        ),
        csv=f"{DRAWN}/{{figure}}.csv",
    log:
        f"{RESULTS}/logs/figure_{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure_{{figure}}.tsv"
    conda:
        "../envs/layerwise.yaml"
    params:
        folder=lambda wildcards: f"{RESULTS}/{FIGURE_OF[wildcards.figure].experiment.name}",
        labels=lambda wildcards: canonical(FIGURE_OF[wildcards.figure].labels),
        caption=lambda wildcards: FIGURE_OF[wildcards.figure].summary,
    shell:
        "python scripts/plot.py {wildcards.figure} --tables {params.folder:q}"
        " --labels {params.labels:q} --out {output.pdf:q} --log {log:q}"
