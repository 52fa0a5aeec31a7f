"""What a user may say: explaining, listing, running, and a new method's files. No torch."""
