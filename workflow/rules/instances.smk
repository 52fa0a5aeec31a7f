rule instances:
    """Draw ground truths and initial weights of one problem, for all seeds and shared by all methods."""
    input:
        "scripts/draw_instances.py",
        sources("layerwise.instances"),
    output:
        f"{RESULTS}/{{experiment}}/{{problem}}/instances.npz",
    log:
        f"{RESULTS}/{{experiment}}/{{problem}}/logs/instances.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/{{problem}}/benchmarks/instances.tsv"
    conda:
        "../envs/layerwise.yaml"
    params:
        problem=lambda wildcards: INSTANCES[wildcards.experiment, wildcards.problem],
    shell:
        "python scripts/draw_instances.py --problem {params.problem:q} --out {output:q} --log {log:q}"
