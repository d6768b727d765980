"""The program that runs on a board: Python 3.6 and later, with numpy, Pillow and `acl`, and nothing else.

A release folder has `agent/` (these files with `preprocess.py`, the normalisation, and `parity.py`, the comparison of
logits), `model.om`, `release.json` and `smoke/`. Run it there: `python3 agent/main.py COMMAND`; the commands are smoke,
classify, watch, bench, infer and info.
"""
