"""Prints what sam reads from each parameter_overrides in a JSON list."""

import json
import sys

from samcli.cli.types import CfnParameterOverridesType

print(json.dumps([CfnParameterOverridesType().convert(v, None, None) for v in json.loads(sys.argv[1])]))
