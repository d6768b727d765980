"""One transfer of ours as a process of its own, for `tests.bench.object_storage`: digests and imports included.

It prints the seconds of the transfer alone: in the chain the digests of what is sent are known from its receipts.

python -m tests.bench.programs.transfer {put|get|archive|unarchive|sync} PATH KEY < settings as JSON
"""

import json
import sys
import time
from pathlib import Path

from infra.obs.client import connect
from infra.settings import ObsSettings
from infra.store.local_files import describe

operation, path, key = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
client = connect(ObsSettings(**json.load(sys.stdin)))
files = {file.name: describe(file) for file in path.iterdir()} if operation in ("archive", "sync") else {}
large = describe(path) if operation == "put" else None
begun = time.perf_counter()
if large is not None:
    client.put(key, large)
elif operation == "get":
    client.get(key, path)
elif operation == "archive":
    client.sync_archive(key, files)
elif operation == "unarchive":
    client.get_archive(key, path)
elif operation == "sync":
    client.sync(key, files)
else:
    raise SystemExit(f"no operation '{operation}'")
print(time.perf_counter() - begun)
