"""Cost of DIC: time and memory, by stage and by size; printed by scripts/measure/speed.py."""
