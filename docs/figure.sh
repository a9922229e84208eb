#!/bin/sh
# Renews the README's picture: the learning curves of a report, 900 x 520, at twice the density.
# For maintainers; it needs Chromium. A reader of the report does not.
set -eu

if [ $# -ne 2 ]; then
  echo "usage: docs/figure.sh REPORT.html OUT.png" >&2
  exit 2
fi
browser=
for name in chromium chromium-browser google-chrome; do
  browser=$(command -v "$name") && break
done
if [ -z "$browser" ]; then
  echo "figure: no Chromium here; install it, for instance with apt-get install chromium" >&2
  exit 1
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$1" "$folder/report.html"  # whatever stands in its own name, this one needs no escape in an address
# Chromium's sandbox does not start for root.
sandbox=
[ "$(id -u)" -ne 0 ] || sandbox=--no-sandbox
# Virtual time: the picture is taken once the page has come to rest, however long drawing takes.
if ! "$browser" --headless ${sandbox:+"$sandbox"} --disable-gpu --hide-scrollbars --user-data-dir="$folder/profile" \
  --window-size=900,520 --force-device-scale-factor=2 --virtual-time-budget=15000 \
  --screenshot="$folder/picture.png" "file://$folder/report.html#figure" >"$folder/log" 2>&1 || [ ! -s "$folder/picture.png" ]; then
  cat "$folder/log" >&2
  exit 1
fi
mv "$folder/picture.png" "$2"
