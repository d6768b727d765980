"""The program that runs on a board: Python 3.6 and later, with numpy, Pillow and `acl`, and nothing else.

A release folder holds `agent/` (these files and `preprocess.py`, the normalisation contract, and `parity.py`, the
comparison of logits), `model.om`,
`release.json` and `smoke/`. Run it there: `python3 agent/main.py COMMAND`, with one of the commands smoke, classify,
watch, bench, infer and info.
"""
