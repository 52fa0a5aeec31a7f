"""What may be set, typed, with refusals in one sentence. No torch."""
