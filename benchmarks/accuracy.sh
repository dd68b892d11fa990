#!/usr/bin/env bash
# Accuracy on simulated series: draws the variants of scenario families, runs the main job on each, scores all reports
# together, by family, with intervals from resampling the series.
#   ./dev bench accuracy [--family F]... [--split report|tune] [--series N] [--first-seed S] [--scale X] [--workers W] [--out DIR]
# F: a file of configs/scenarios, or `all` (all but wide_area, which takes an hour). Seeds: `report` starts at 9001 and is
# never tuned on, `tune` at 101; both are never mixed in one table. Series that are already in DIR are not made again.
# camp25 is drawn at 0.55 of its size, which makes its images as many pixels as 1500 x 1500, like the other families';
# --scale 1 gives the published one. $FENCELINE: another program than build/release/fenceline. W series at a time (default: one per core), each on one thread.
set -euo pipefail
cd "$(dirname "$0")/.."
families=() series=10 first_seed= split=report out= scale= workers=$(nproc)
while [ $# -gt 0 ]; do
    case $1 in
        --family) families+=("$2") ;;
        --series) series=$2 ;;
        --first-seed) first_seed=$2 ;;
        --split) split=$2 ;;
        --scale) scale=$2 ;;
        --workers) workers=$2 ;;
        --out) out=$2 ;;
        *) echo "accuracy: unknown option '$1'; allowed: --family, --series, --first-seed, --split, --scale, --workers, --out" >&2; exit 2 ;;
    esac
    shift 2
done
known=$(cd configs/scenarios && ls -- *.json | sed 's/\.json//')
[ ${#families[@]} -gt 0 ] || families=(camp25)
[ "${families[*]}" != all ] || mapfile -t families < <(grep -v wide_area <<<"$known")
for family in "${families[@]}"; do
    grep -qx "$family" <<<"$known" || { echo "accuracy: no family '$family'; allowed: all, $(paste -sd, <<<"$known" | sed 's/,/, /g')" >&2; exit 2; }
done
case $split in
    report) first_seed=${first_seed:-9001}; [ "$first_seed" -ge 9001 ] || { echo "accuracy: --split report begins at seed 9001" >&2; exit 2; } ;;
    tune) first_seed=${first_seed:-101}; [ "$((first_seed + series))" -le 9001 ] || { echo "accuracy: --split tune ends before seed 9001" >&2; exit 2; } ;;
    *) echo "accuracy: --split is '$split'; allowed: report, tune" >&2; exit 2 ;;
esac
out=${out:-out/accuracy/$split}
mkdir -p "$out"

# One series from scenario to report.json. Its processor seconds go to the series' `seconds` file.
one_series() { # family seed
    local family=$1 seed=$2 place=$out/$1/$2 size=${scale:-1} TIMEFORMAT='%U %S'
    [ -n "$scale" ] || [ "$family" != camp25 ] || size=0.55
    mkdir -p "$out/$family"
    if [ ! -f "$place/truth.json" ]; then
        { time "$fenceline" simulate "configs/scenarios/$family.json" --seed "$seed" --scale "$size" --out "$place" --overwrite \
            --quiet --jobs 1 >/dev/null; } 2>"$place.simulate" || { echo "accuracy: $family $seed could not be simulated: $(head -n 1 "$place.simulate")" >&2; return 0; }
        mv "$place.simulate" "$place/seconds.simulate"
    fi
    [ ! -f "$place/report/report.json" ] || return 0
    local site code=0
    site=$(sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' "$place/sites.geojson" | head -n 1)
    { time "$fenceline" run --sites "$place/sites.geojson" --site "$site" --images "$place/images" --out "$place/report" \
        --quiet --jobs 1 >"$place/findings.txt" 2>"$place/run.err" || code=$?; } 2>"$place/seconds.run"
    [ $code -eq 0 ] || [ $code -eq 3 ] || echo "accuracy: $family $seed ended with $code: $(head -n 1 "$place/run.err")" >&2
}
export -f one_series
fenceline=${FENCELINE:-build/release/fenceline}
export out scale fenceline

started=$(date +%s)
for family in "${families[@]}"; do
    for ((seed = first_seed; seed < first_seed + series; ++seed)); do echo "$family $seed"; done
done | xargs -P "$workers" -L 1 bash -c 'one_series "$0" "$1"'

reports=() done_series=0 asked=0
for family in "${families[@]}"; do
    for ((seed = first_seed; seed < first_seed + series; ++seed)); do
        asked=$((asked + 1)) place=$out/$family/$seed
        [ -f "$place/report/report.json" ] || continue
        reports+=(--report "$place/report/report.json" --truth "$place/truth.json")
        done_series=$((done_series + 1))
    done
done
[ $done_series -gt 0 ] || { echo "accuracy: no series could be run" >&2; exit 1; }
echo "$split seeds $first_seed-$((first_seed + series - 1)); $done_series of $asked series"
"$fenceline" evaluate "${reports[@]}" | tee "$out/table.txt"
"$fenceline" evaluate "${reports[@]}" --json >"$out/score.json"
for step in simulate run; do
    cat "$out"/*/*/seconds.$step 2>/dev/null | awk -v step=$step 'NF == 2 {s += $1 + $2; n++} END {if (n) printf "accuracy: %s: %.0f processor seconds a series (%d series)\n", step, s / n, n}' >&2
done
echo "accuracy: $(($(date +%s) - started)) s" >&2
