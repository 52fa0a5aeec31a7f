"""What is kept: files, tables, records, and their reduction. No torch."""
