#!/usr/bin/env bash
# A whole campaign by the commands alone, from the first batch to the page that tells its story.
#   examples/campaign/run.sh FOLDER [POOLWISE] [PYTHON]      python needs numpy; the data are Debian's dataset-fashion-mnist
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:?say where it may work: a folder that is not there yet} poolwise=${2:-poolwise} python=${3:-python3}
mkdir "$folder"
yours() { "$python" "$here/model.py" "$1" "$folder" "${@:2}"; }
campaign() { "$poolwise" campaign "$1" "$folder/clothes" "${@:2}"; }

yours prepare
campaign init --settings "$here/campaign.toml" --at 2026-09-01
"$poolwise" campaign pool add "$folder/clothes" --items "$folder/items.csv" --embeddings "$folder/features.npy" --at 2026-09-01

strategy=(--strategy kcenter) # before there is a model
for round in $(seq 1 40); do
  day=$(date --utc --date="2026-09-01 +$round days" +%Y-%m-%d)
  campaign query "${strategy[@]}" --at "${day}T08:00:00Z"
  yours answer "$folder/clothes/rounds/$(printf %04d "$round")/batch.csv" "$folder/answers.csv"
  campaign ingest --labels "$folder/answers.csv" --source shop --strict --at "${day}T16:00:00Z"
  campaign export labels --out "$folder/labels.csv"
  yours fit "$folder/labels.csv"
  mv "$folder/logits.npy" "$folder/logits-$round.npy" # the ledger knows it by its content: a replay reads it again
  campaign evaluate --logits "$folder/holdout_logits.npy" --holdout "$folder/holdout.csv" --at "${day}T17:00:00Z"
  code=0 && campaign stop --record --at "${day}T18:00:00Z" || code=$?
  if [ $code -eq 4 ]; then break; fi # it stops by its own rule
  [ $code -eq 0 ]
  strategy=(--logits "$folder/logits-$round.npy")
done

campaign status
campaign forecast
campaign evaluate --active
campaign drift
campaign verify
for again in $(seq 1 "$round"); do campaign replay "$again"; done
campaign report
echo "$round rounds; open $folder/clothes/report.html"
