from layerwise.planning.resources import instances_mb


rule instances:
    """Draw ground truths and initial weights that jobs of an experiment share, for all its methods."""
    input:
        problems=ancient("results{label}/{experiment}/instances/{part}.json"),
        script="scripts/draw_instances.py",
    output:
        "results{label}/{experiment}/instances/{part}.npz",
    log:
        "results{label}/{experiment}/logs/instances-{part}.log",
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * instances_mb(part_of(wildcards)),
        runtime=lambda wildcards, attempt: attempt * 10,
    params:
        code=lambda wildcards: part_of(wildcards).code,
        digest=lambda wildcards: part_of(wildcards).digest,
    shell:
        "python -I -S scripts/start.py scripts/draw_instances.py --problems {input.problems:q} --digest {params.digest}"
        " --out {output:q} --log {log:q}"
