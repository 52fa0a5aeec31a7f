rule figure:
    """Draw a figure; the table that it draws lies beside it."""
    input:
        tables=drawn_tables,
        script="scripts/plot.py",
    output:
        pdf=f"{DRAWN}/{{figure}}.pdf",
        png=report(
            f"{DRAWN}/{{figure}}.png",
            caption="../report/figure.rst",
            category=task_of_figure,
            labels={"figure": "{figure}"},
        ),
        csv=f"{DRAWN}/{{figure}}.csv",
    log:
        f"{RESULTS}/logs/figure_{{figure}}.log",
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2000,
        runtime=lambda wildcards, attempt: attempt * 10,
    params:
        figure=lambda wildcards: drawing_of(wildcards).figure,
        code=lambda wildcards: code_of(
            "layerwise.figures", f"layerwise.figures.{drawing_of(wildcards).figure}"
        ),
        labels=lambda wildcards: canonical(EXPERIMENTS[drawing_of(wildcards).experiment].labels),
        caption=lambda wildcards: EXPERIMENTS[drawing_of(wildcards).experiment].summary,
    shell:
        "python -I -S scripts/start.py scripts/plot.py {params.figure} --tables {input.tables:q}"
        " --labels {params.labels:q} --out {output.pdf:q} --log {log:q}"
