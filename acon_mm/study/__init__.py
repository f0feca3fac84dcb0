"""Which activation is better for the same budget: trainings and their table.
"""
