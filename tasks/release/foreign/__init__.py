"""A model from outside: what it takes and answers, and its form for boards."""
