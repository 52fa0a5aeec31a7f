rule instances:
    """Draw ground truths and initial weights of one problem, for all seeds and shared by all methods."""
    output:
        f"{RESULTS}/{{experiment}}/{{problem}}/instances.npz",
    input:
        "scripts/draw_instances.py",
        sources("layerwise.instances"),
    params:
        problem=lambda wildcards: INSTANCES[wildcards.experiment, wildcards.problem],
    log:
        f"{RESULTS}/{{experiment}}/{{problem}}/logs/instances.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/{{problem}}/benchmarks/instances.tsv"
    conda:
        "../envs/layerwise.yaml"
    shell:
        "python scripts/draw_instances.py --problem {params.problem:q} --out {output:q} 2> {log:q} " + TELL
