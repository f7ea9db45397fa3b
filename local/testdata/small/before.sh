#!/bin/sh
# A hook `before`: it makes a parameter.
echo '{"Token": "made before"}'
