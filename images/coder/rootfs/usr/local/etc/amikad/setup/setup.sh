#!/bin/sh
# Amika: no setup.
exit 0
