from layerwise.planning.resources import simulate_mb, simulate_minutes


rule simulate:
    """Train methods on problems: seeds, step sizes and damping values in one tensor program each."""
    input:
        job=ancient("results{label}/{experiment}/jobs/{job}.json"),
        instances=drawn_for,
        script="scripts/simulate.py",
    output:
        table="results{label}/{experiment}/runs/{job}.parquet",
        record="results{label}/{experiment}/runs/{job}.parquet.json",
    log:
        "results{label}/{experiment}/logs/{job}.log",
    # The longest first, so that no long one is left to a single core in the end.
    priority: lambda wildcards: job_of(wildcards).job.run_steps
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * simulate_mb(job_of(wildcards).job),
        runtime=lambda wildcards, attempt: attempt * simulate_minutes(job_of(wildcards).job),
    params:
        code=lambda wildcards: job_of(wildcards).job.code,
        digest=lambda wildcards: job_of(wildcards).job.digest,
    shell:
        "python -I -S scripts/start.py scripts/simulate.py --job {input.job:q} --digest {params.digest}"
        " --instances {input.instances:q} --out {output.table:q} --log {log:q}"
