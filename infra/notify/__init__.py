"""Notifications: the Prefect server's automations call a relay on this machine, which tells people in the ways set."""
