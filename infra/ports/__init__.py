"""The ports: a small Protocol for everything outside this process, and the values that cross it.

Each port has a real client and a stand-in, siblings that pass the same contract suite (`tests/contracts`). Every
method may raise the leaves of `infra.errors.AtlasFlowError`: `UserError` for a request that can never work,
`Refused` for a permanent refusal, `Transient` for a failure that may pass, `Corrupt` for bytes that do not match.
"""
