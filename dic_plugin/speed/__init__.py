"""What DIC costs: times, memory, where they go and how they grow; scripts/benchmark_speed.py prints it."""
