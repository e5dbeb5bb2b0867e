"""Lets half of the requests name what there is: made-up ids would only ever meet 404."""

import json
import os

import schemathesis

KNOWN = json.loads(os.environ["KNOWN"])


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    for name, values in KNOWN.items():
        value = (path_parameters or {}).get(name)
        # Which half: by what was made up, so that a run can be repeated.
        digest = sum(str(value).encode())
        if isinstance(values, list) and value is not None and digest % 2 == 0:
            path_parameters[name] = values[digest // 2 % len(values)]
    return path_parameters
