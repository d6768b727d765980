"""Stages as Prefect tasks, with limits, automations, events and progress."""
