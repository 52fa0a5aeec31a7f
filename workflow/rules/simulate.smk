rule simulate:
    """Train a method on a problem: seeds, step sizes and damping values in one tensor program."""
    input:
        instances=lambda wildcards: (
            f"{RESULTS}/{wildcards.experiment}/{wildcards.problem}/instances.npz"
            if INSTANCES[wildcards.experiment, wildcards.problem]
            else []
        ),
        script="scripts/simulate.py",
        code=lambda wildcards: sources(
            "layerwise.run",
            *CELLS[wildcards.experiment, wildcards.problem, wildcards.method].modules,
        ),
    output:
        table=f"{RESULTS}/{{experiment}}/{{problem}}/{{method}}.parquet",
        record=f"{RESULTS}/{{experiment}}/{{problem}}/{{method}}.parquet.json",
    log:
        f"{RESULTS}/{{experiment}}/{{problem}}/logs/{{method}}.log",
    benchmark:
        f"{RESULTS}/{{experiment}}/{{problem}}/benchmarks/{{method}}.tsv"
    conda:
        "../envs/layerwise.yaml"
    threads: 1
    params:
        cell=lambda wildcards: CELLS[
            wildcards.experiment, wildcards.problem, wildcards.method
        ].settings,
    shell:
        "python scripts/simulate.py --cell {params.cell:q} --instances {input.instances:q}"
        " --out {output.table:q} --log {log:q}"
