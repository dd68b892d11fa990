#include "output/tie_points_csv.h"

#include <fmt/format.h>

#include "output/escape.h"
#include "output/staged_output.h"

namespace fenceline {

void write_tie_points_csv(const std::string& path, std::span<const TiePointRecord> tie_points) {
    std::string text = "scene,longitude,latitude,dx_m,dy_m,residual_m,kept\r\n";
    for (const TiePointRecord& p : tie_points)
        text += fmt::format("{},{:.8f},{:.8f},{:.4f},{:.4f},{:.4f},{}\r\n", csv_text(p.scene),
                            p.lon, p.lat, p.dx_m, p.dy_m, p.residual_m, p.kept ? 1 : 0);
    write_file(path, text);
}

}  // namespace fenceline
