#!/bin/bash
# Starts the application with an older name of Python, as scripts of "openGPU" applications do.
mkdir -p /opt/aws/panorama/storage/cache
export APP_MODE="$1"
python3.7 /panorama/differences.py --mode "$1"
