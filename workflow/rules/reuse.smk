# What overrides leave alone is made by the workflow without them, and taken over from its results.


module as_they_stand:
    snakefile:
        "../../Snakefile"
    config:
        config | {"overrides": []}


use rule instances from as_they_stand as unchanged_instances


use rule simulate from as_they_stand as unchanged_simulate


ruleorder: reuse > simulate
ruleorder: reuse_instances > instances


rule reuse:
    """Take over the runs of a job."""
    input:
        multiext(f"results{results_label(SCALE, [])}/{{run}}", ".parquet", ".parquet.json"),
    output:
        multiext(f"{RESULTS}/{{run}}", ".parquet", ".parquet.json"),
    wildcard_constraints:
        run="|".join(UNCHANGED_RUNS),
    localrule: True
    shell:
        "cp {input:q} $(dirname {output[0]:q})"


use rule reuse as reuse_instances with:
    input:
        f"results{results_label(SCALE, [])}/{{experiment}}/instances.npz",
    output:
        f"{RESULTS}/{{experiment}}/instances.npz",
    wildcard_constraints:
        experiment="|".join(UNCHANGED_INSTANCES),
