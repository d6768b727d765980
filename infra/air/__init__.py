"""AIR, the graph format of MindSpore on Ascend: a portable writer and a reader, without Ascend and without MindSpore.

Portable, not verified on Huawei's ATC: field numbers and operators follow public definitions
(docs/reference/atc.md §3.6), and the reader here can execute the writer's files, but no real ATC has read one.
"""
