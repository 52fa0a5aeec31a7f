rule claims:
    """Judge the claims on every experiment's reduced tables."""
    input:
        tables=judged_tables,
        script="scripts/claims.py",
        code=sources("layerwise.claims"),
    output:
        csv=report(f"{RESULTS}/claims.csv", caption="../report/claims.rst", category="Claims"),
        readable=f"{DRAWN}/claims.md",
    log:
        f"{RESULTS}/logs/claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims.tsv"
    conda:
        "../envs/layerwise.yaml"
    shell:
        "python scripts/claims.py {input.tables:q} --csv {output.csv:q}"
        " --readable {output.readable:q} --log {log:q}"
