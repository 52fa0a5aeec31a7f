from layerwise.planning.resources import instances_mb


rule instances:
    """Draw ground truths and initial weights of an experiment's problems, shared by all its methods."""
    input:
        "scripts/draw_instances.py",
        sources("layerwise.data.instances"),
    output:
        f"{RESULTS}/{{experiment}}/instances.npz",
    log:
        f"{RESULTS}/{{experiment}}/logs/instances.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/benchmarks/instances.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * instances_mb(EXPERIMENTS[wildcards.experiment]),
        runtime=lambda wildcards, attempt: attempt * 10,
    params:
        problems=lambda wildcards: EXPERIMENTS[wildcards.experiment].instances,
    shell:
        "python scripts/draw_instances.py --problems {params.problems:q} --out {output:q} --log {log:q}"
