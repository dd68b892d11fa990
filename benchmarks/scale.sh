#!/usr/bin/env bash
# How time and memory grow: `fenceline compare` on drawn pairs of growing size, with one thread and with all.
# ./dev bench scale [--sizes "1000 2000 4000 8000 16000 50000"] [--bands N] [--max-memory MIB] [--out DIR]
#                   [--both N]
# Prints processor seconds, wall seconds and peak memory, the exponent of processor time in pixels (least squares over
# the logarithms of both, sizes from 8000 on, all threads: in smaller pairs buildings are looked for, which takes six
# times as long a pixel) and the gain of the second thread. Pairs larger than 4096 repeat a drawn one and lie in small
# files whose every tile is decoded (benchmarks/pair_passes.cpp). Sizes over --both (default 8000) run with all threads
# only. Pairs and results are deleted one after the other, but for the table.
set -euo pipefail
cd "$(dirname "$0")/.."
sizes="1000 2000 4000 8000 16000 50000" bands=3 memory=2048 out=out/scale both=8000
while [ $# -gt 0 ]; do
    case $1 in
        --sizes) sizes=$2 ;;
        --bands) bands=$2 ;;
        --max-memory) memory=$2 ;;
        --out) out=$2 ;;
        --both) both=$2 ;;
        *) echo "scale: unknown option '$1'; allowed: --sizes, --bands, --max-memory, --out, --both" >&2; exit 2 ;;
    esac
    shift 2
done
mkdir -p "$out"
table=$out/table.txt
: >"$table"
printf '%8s %8s %10s %14s %16s %10s\n' side threads 'wall s' 'processor s' 'ns/pixel (proc)' 'peak MiB'
for size in $sizes; do
    build/release/pair_passes repeat "$size" "$bands" "$out/before.tif" "$out/after.tif" >/dev/null
    for threads in 1 "$(nproc)"; do
        [ "$threads" -gt 1 ] || [ "$size" -le "$both" ] || continue
        if /usr/bin/time -o "$out/time.txt" -f '%e %U %S %M' build/release/fenceline compare "$out/before.tif" \
            "$out/after.tif" --out "$out/compare" --overwrite --quiet --jobs "$threads" --max-memory "$memory" \
            >/dev/null 2>"$out/log.txt"; then
            awk -v n="$size" -v t="$threads" \
                '{printf "%8d %8d %10.2f %14.2f %16.0f %10.0f\n", n, t, $1, $2 + $3, ($2 + $3) / n / n * 1e9, $4 / 1024}' \
                <(tail -n 1 "$out/time.txt") | tee -a "$table"
        else
            printf '%8d %8d failed: %s\n' "$size" "$threads" "$(tail -n 1 "$out/log.txt")"
        fi
    done
    rm -rf "$out/before.tif" "$out/after.tif" "$out/compare"
done
awk '
    $2 == 1 {one[$1] = $3; processor[$1] = $4}
    $2 > 1 && ($1 in one) {gain = one[$1] / $3; extra = $4 / processor[$1]; threads = $2; largest = $1}
    $2 > 1 && $1 >= 8000 {x = 2 * log($1); y = log($4); n++; sx += x; sy += y; sxx += x * x; sxy += x * y}
    END {
        if (n > 1) printf "exponent of processor time in pixels: %.3f (bar 1.05)\n", (n * sxy - sx * sy) / (n * sxx - sx * sx)
        if (largest) printf "all threads against one at %d: %.2f (bar 1.8); the same in processor time: %.2f\n", largest, gain, extra
    }' "$table"
