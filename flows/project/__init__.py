"""AtlasFlow from Python: `import atlasflow` in a script or a notebook (docs/python.md)."""
