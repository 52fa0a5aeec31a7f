from layerwise.planning.resources import simulate_mb, simulate_minutes


rule simulate:
    """Train methods on problems: seeds, step sizes and damping values in one tensor program each."""
    input:
        instances=lambda wildcards: (
            []
            if EXPERIMENTS[wildcards.experiment].instances == "[]"
            else f"{RESULTS}/{wildcards.experiment}/instances.npz"
        ),
        script="scripts/simulate.py",
        code=lambda wildcards: sources("layerwise.tasks.run", *job_of(wildcards).modules),
    output:
        table=f"{RESULTS}/{{experiment}}/runs/{{method}}-{{part}}.parquet",
        record=f"{RESULTS}/{{experiment}}/runs/{{method}}-{{part}}.parquet.json",
    log:
        f"{RESULTS}/{{experiment}}/logs/{{method}}-{{part}}.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/benchmarks/{{method}}-{{part}}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * simulate_mb(job_of(wildcards)),
        runtime=lambda wildcards, attempt: attempt * simulate_minutes(job_of(wildcards)),
    params:
        job=lambda wildcards: job_of(wildcards).content,
    shell:
        "python scripts/simulate.py --job {params.job:q} --instances {input.instances:q}"
        " --out {output.table:q} --log {log:q}"
