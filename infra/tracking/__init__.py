"""Trainings in Aim: an experiment tracker with pages of its own, which is optional."""
