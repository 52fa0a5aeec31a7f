"""What follows from settings: composition, cells and jobs, their sources and sizes. No torch."""
