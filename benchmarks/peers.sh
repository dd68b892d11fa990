#!/usr/bin/env bash
# One large pair, other programs and ours, one after the other in the same run: wall seconds, processor seconds, peak
# memory and ratios. ./dev bench peers [--size N] [--out DIR] [--runs N]
# The pair (uint16, 4 bands, 512 px deflate tiles, half a pixel and some gain apart) is drawn once into DIR and kept.
set -euo pipefail
cd "$(dirname "$0")/.."
size=8000 out=out/peers runs=1
while [ $# -gt 0 ]; do
    case $1 in
        --size) size=$2 ;;
        --out) out=$2 ;;
        --runs) runs=$2 ;;
        *) echo "peers: unknown option '$1'; allowed: --size, --out, --runs" >&2; exit 2 ;;
    esac
    shift 2
done
mkdir -p "$out"
before=$out/before-$size.tif after=$out/after-$size.tif
passes=build/release/pair_passes fenceline=build/release/fenceline
[ -f "$after" ] || { "$passes" make "$size" 4 "$before" "$out/unfinished.tif" >&2; mv "$out/unfinished.tif" "$after"; }

declare -A wall processor memory
# On a shared machine wall times say little; half of the processor seconds is what two idle cores would take at best.
printf '%-34s %10s %14s %14s %12s\n' what 'wall s' 'processor s' 'half of it' 'peak MiB'
measure() { # name command…: the fastest of the runs
    local name=$1 best= line
    shift
    for ((run = 0; run < runs; ++run)); do
        /usr/bin/time -o "$out/time.txt" -f '%e %U %S %M' "$@" >"$out/log.txt" 2>&1 ||
            { printf '%-34s failed: %s\n' "$name" "$(tail -n 1 "$out/log.txt")"; return 0; }
        line=$(awk '{printf "%.2f %.2f %.0f", $1, $2 + $3, $4 / 1024}' <(tail -n 1 "$out/time.txt"))
        if [ -z "$best" ] || awk "BEGIN {exit !(${line%% *} < ${best%% *})}"; then best=$line; fi
    done
    read -r "wall[$name]" "processor[$name]" "memory[$name]" <<<"$best"
    printf '%-34s %10s %14s %14s %12s\n' "$name" "${wall[$name]}" "${processor[$name]}" \
        "$(awk "BEGIN {print ${processor[$name]} / 2}")" "${memory[$name]}"
}
ratio() { # words, first, second
    [ -n "${wall[$2]:-}" ] && [ -n "${wall[$3]:-}" ] || return 0
    awk -v words="$1" -v w1="${wall[$2]}" -v w2="${wall[$3]}" -v p1="${processor[$2]}" -v p2="${processor[$3]}" \
        -v m1="${memory[$2]}" -v m2="${memory[$3]}" \
        'BEGIN {printf "%-50s wall %.2f, processor %.2f, memory %.2f\n", words, w1 / w2, p1 / p2, m1 / m2}'
}

measure "floor (decode both)" "$passes" floor "$before" "$after"
measure "gdal_calc absolute difference" gdal_calc.py --quiet --overwrite -A "$before" --A_band=1 -B "$after" --B_band=1 \
    -C "$before" --C_band=2 -D "$after" --D_band=2 -E "$before" --E_band=3 -F "$after" --F_band=3 \
    -G "$before" --G_band=4 -H "$after" --H_band=4 --type=Byte --outfile "$out/gdal_calc.tif" \
    --calc 'minimum((abs(A.astype(int32)-B)+abs(C.astype(int32)-D)+abs(E.astype(int32)-F)+abs(G.astype(int32)-H))>>6,255)'
measure "our absolute difference, to COG" "$passes" absdiff "$before" "$after" "$out/absdiff.tif"
measure "gdalwarp cubic" gdalwarp -q -overwrite -r cubic -multi -wo NUM_THREADS=ALL_CPUS -tr 0.5003 0.5003 "$after" \
    "$out/warped.tif"
measure "OTB MAD" otbcli_MultivariateAlterationDetector -in1 "$before" -in2 "$after" -out "$out/otb_mad.tif" float
measure "our plain MAD" "$passes" mad "$before" "$after" "$out/mad.tif"
measure "fenceline compare, whole chain" "$fenceline" compare "$before" "$after" --out "$out/compare" --overwrite --quiet
echo
ratio "OTB MAD / our plain MAD (bar 5, memory 3)" "OTB MAD" "our plain MAD"
ratio "our absolute difference / floor (bar 1.3)" "our absolute difference, to COG" "floor (decode both)"
ratio "gdal_calc / our absolute difference" "gdal_calc absolute difference" "our absolute difference, to COG"
ratio "our whole chain / OTB MAD" "fenceline compare, whole chain" "OTB MAD"
ratio "our whole chain / floor (about 10)" "fenceline compare, whole chain" "floor (decode both)"
if [ -f "$out/otb_mad.tif" ] && [ -f "$out/mad.tif" ]; then
    /usr/bin/python3 - "$out/otb_mad.tif" "$out/mad.tif" <<'PYTHON'
import sys
import numpy as np
from osgeo import gdal
gdal.UseExceptions()
theirs, ours = gdal.Open(sys.argv[1]), gdal.Open(sys.argv[2])
size = min(2000, ours.RasterXSize)
a, b = (image.ReadAsArray(0, 0, size, size).reshape(image.RasterCount, -1) for image in (theirs, ours))
# Sign and order of the components are free: each of theirs beside the one of ours that it follows best.
for k, x in enumerate(a):
    c = [np.corrcoef(x, y)[0, 1] for y in b]
    j = int(np.argmax(np.abs(c)))
    y = b[j] * np.sign(c[j])
    print("OTB component %d is our %d; largest difference %.1e of its standard deviation (bar 1e-4)"
          % (k, j, np.abs(x - y).max() / x.std()))
PYTHON
fi
