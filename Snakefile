# The pipeline: instances → simulate → aggregate → figures, claims → page.
#
#   snakemake --cores 2                          every figure, at the paper's scale
#   snakemake --cores 2 --config scale=quick     the same in about a minute
#   snakemake --cores 2 figures/head_to_head.pdf one figure
#
# config/README.md tells how Hydra overrides reach it.


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/instances.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/page.smk"


rule all:
    default_target: True
    input:
        TABLES,  # those that a failed job removed are made again, though all figures are there
        FIGURES,
        f"{RESULTS}/{CLAIMS}.csv",
        f"{DRAWN}/{CLAIMS}.md",
        f"{DRAWN}/runs.html",
        PAGE,
