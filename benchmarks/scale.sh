#!/usr/bin/env bash
# How time and memory grow: `fenceline compare` on drawn pairs of growing size, with one thread and with all.
# ./dev bench scale [--sizes "1000 2000 4000 8000"] [--bands N] [--max-memory MIB] [--out DIR]
# Prints processor seconds, wall seconds and peak memory, the exponent of time in pixels (least squares over the log of
# both, sizes from 2000 on) and the gain of the second thread. Pairs are drawn, used and deleted one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
sizes="1000 2000 4000 8000" bands=3 memory=2048 out=out/scale
while [ $# -gt 0 ]; do
    case $1 in
        --sizes) sizes=$2 ;;
        --bands) bands=$2 ;;
        --max-memory) memory=$2 ;;
        --out) out=$2 ;;
        *) echo "scale: unknown option '$1'; allowed: --sizes, --bands, --max-memory, --out" >&2; exit 2 ;;
    esac
    shift 2
done
mkdir -p "$out"
table=$out/table.txt
: >"$table"
printf '%8s %8s %10s %14s %10s\n' side threads 'wall s' 'processor s' 'peak MiB'
for size in $sizes; do
    build/release/pair_passes make "$size" "$bands" "$out/before.tif" "$out/after.tif" >/dev/null
    for threads in 1 "$(nproc)"; do
        if /usr/bin/time -o "$out/time.txt" -f '%e %U %S %M' build/release/fenceline compare "$out/before.tif" \
            "$out/after.tif" --out "$out/compare" --overwrite --quiet --jobs "$threads" --max-memory "$memory" \
            >/dev/null 2>"$out/log.txt"; then
            awk -v n="$size" -v t="$threads" '{printf "%8d %8d %10.2f %14.2f %10.0f\n", n, t, $1, $2 + $3, $4 / 1024}' \
                <(tail -n 1 "$out/time.txt") | tee -a "$table"
        else
            printf '%8d %8d failed: %s\n' "$size" "$threads" "$(tail -n 1 "$out/log.txt")"
        fi
    done
    rm -f "$out/before.tif" "$out/after.tif"
done
awk '
    $2 == 1 {one[$1] = $3}
    $2 > 1 && ($1 in one) {gain = one[$1] / $3; largest = $1}
    $2 == 1 && $1 >= 2000 {x = 2 * log($1); y = log($4); n++; sx += x; sy += y; sxx += x * x; sxy += x * y}
    END {
        if (n > 1) printf "exponent of processor time in pixels: %.2f (bar 1.05)\n", (n * sxy - sx * sy) / (n * sxx - sx * sx)
        if (largest) printf "all threads against one at %d: %.2f (bar 1.8)\n", largest, gain
    }' "$table"
