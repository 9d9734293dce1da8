#!/bin/bash
set -e

apt-get update
apt-get install -y ripgrep
pip install numpy
