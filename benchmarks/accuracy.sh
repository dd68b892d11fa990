#!/usr/bin/env bash
# Accuracy on simulated series: draws the variants of a scenario family, runs the main job on each, scores all reports
# together. ./dev bench accuracy [--family F] [--series N] [--first-seed S] [--out DIR]
# Seeds from 9001 on are `report` seeds: never tuned on. Series that are already in DIR are not made again.
set -euo pipefail
cd "$(dirname "$0")/.."
family=camp25 series=10 first_seed=9001 out=
while [ $# -gt 0 ]; do
    case $1 in
        --family) family=$2 ;;
        --series) series=$2 ;;
        --first-seed) first_seed=$2 ;;
        --out) out=$2 ;;
        *) echo "accuracy: unknown option '$1'; allowed: --family, --series, --first-seed, --out" >&2; exit 2 ;;
    esac
    shift 2
done
scenario=configs/scenarios/$family.json
[ -f "$scenario" ] || { echo "accuracy: no family '$family'; allowed: $(cd configs/scenarios && ls *.json | sed 's/\.json//' | paste -sd' ')" >&2; exit 2; }
out=${out:-out/accuracy/$family}
fenceline=build/release/fenceline
mkdir -p "$out"
started=$(date +%s) reports=() truths=()
for ((seed = first_seed; seed < first_seed + series; ++seed)); do
    place=$out/$seed
    [ -f "$place/truth.json" ] || "$fenceline" simulate "$scenario" --seed "$seed" --out "$place" --overwrite --quiet
    site=$(sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' "$place/sites.geojson" | head -n 1)
    if [ ! -f "$place/report/report.json" ]; then
        code=0
        "$fenceline" run --sites "$place/sites.geojson" --site "$site" --images "$place/images" --out "$place/report" \
            --quiet >"$place/findings.txt" || code=$?
        [ $code -eq 0 ] || [ $code -eq 3 ] || { echo "accuracy: seed $seed ended with $code" >&2; continue; }
    fi
    reports+=(--report "$place/report/report.json")
    truths+=(--truth "$place/truth.json")
done
[ ${#reports[@]} -gt 0 ] || { echo "accuracy: no series could be run" >&2; exit 1; }
"$fenceline" evaluate "${reports[@]}" "${truths[@]}"
echo "accuracy: $((${#reports[@]} / 2)) series of $family, seeds from $first_seed, $(($(date +%s) - started)) s" >&2
