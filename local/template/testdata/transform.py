"""Prints what aws-sam-translator makes of a template, as JSON.

transform.py TEMPLATE PARAMETERS_AS_JSON

CodeUri becomes s3://local/<CodeUri>, because the transform takes no folders:
`sam package` puts an S3 address there before it.
"""

import json
import os
import sys

os.environ["AWS_DEFAULT_REGION"] = "ap-northeast-2"

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    def load(self):
        return {}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        template = yaml_parse(file.read())
    holders = [
        resource.setdefault("Properties", {})
        for resource in template["Resources"].values()
        if resource.get("Type") == "AWS::Serverless::Function"
    ]
    holders.append(template.get("Globals", {}).get("Function", {}))
    for properties in holders:
        if "CodeUri" in properties:
            properties["CodeUri"] = "s3://local/" + properties["CodeUri"]
    print(json.dumps(transform(template, json.loads(sys.argv[2]), NoManagedPolicies())))


main()
