"""Signatures of releases: keys of this home, signing, and verification before a release leaves this machine."""
