"""Aim's ASGI application behind the home's secret; `infra/tracking/server.py` lets uvicorn import it."""

import os

from aim.web.run import app as aim

from infra.tracking.repository import TOKEN
from infra.web.access import Access

app = Access(aim, os.environ.pop(TOKEN), "127.0.0.1")
