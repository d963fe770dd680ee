"""What DIC costs: times, memory, where they go and how they grow; scripts/measure/speed.py prints it."""
