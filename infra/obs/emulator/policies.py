"""Bucket policies in OBS's form."""

import json


def problem(body: bytes, bucket: str) -> str:
    """Return what is wrong with a policy; empty for nothing."""
    try:
        statements = json.loads(body)["Statement"]
        if not isinstance(statements, list) or not statements:
            return "Statement must be a list."
        for statement in statements:
            resources = statement["Resource"] if "Resource" in statement else statement["NotResource"]
            for resource in [resources] if isinstance(resources, str) else resources:
                if resource.removeprefix("arn:aws:s3:::").split("/")[0] != bucket:
                    return f"the resource {resource} is not in this bucket."
            if statement["Effect"] not in ("Allow", "Deny") or not {"Action", "NotAction"} & statement.keys():
                return "a statement needs Effect (Allow or Deny) and Action."
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        return "Policies must be valid JSON with Statement, Effect, Resource and Action."
    return ""


def is_public(text: str) -> bool:
    """Whether a valid policy allows something to everybody; conditions are not looked at."""
    return any(
        statement["Effect"] == "Allow" and _everybody(statement.get("Principal"))
        for statement in json.loads(text)["Statement"]
    )


def _everybody(principal: object) -> bool:
    if isinstance(principal, dict):
        return any(_everybody(value) for value in principal.values())
    return "*" in principal if isinstance(principal, list) else principal == "*"
