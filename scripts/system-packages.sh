#!/bin/sh
# Programs that the tests use and pip cannot give. Installed where we may (root on Debian), else asked for in one line.
set -u
wanted=""
command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ] || wanted="$wanted mosquitto"
command -v ffprobe >/dev/null 2>&1 || wanted="$wanted ffmpeg"
command -v openssl >/dev/null 2>&1 || wanted="$wanted openssl"
if [ ! -x /usr/bin/gst-inspect-1.0 ] || ! /usr/bin/python3 -c "import gi; gi.require_version('GstRtspServer', '1.0')" 2>/dev/null; then
    wanted="$wanted python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav"
fi
[ -z "$wanted" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing:$wanted"
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted >/dev/null; then
        exit 0
    fi
fi
echo "Some tests will be skipped. To run them all: sudo apt-get install -y --no-install-recommends$wanted"
exit 0
