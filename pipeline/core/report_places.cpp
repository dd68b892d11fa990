#include "core/report_places.h"

#include "core/local_frame.h"

namespace fenceline {

bool stands_on_new_line(const Report& report, const ReportChange& post, double within_m) {
    const LocalFrame frame(post.position);
    for (const auto& c : report.changes) {
        const bool stands = c.state == "confirmed" || c.state == "provisional";
        if (c.kind != "perimeter_expansion" || !stands || c.footprint.size() < 3) continue;
        if (distance_to_ring(frame.metres_from_lonlat(c.footprint), {0, 0}) > within_m) continue;
        // The rim of the gained ground is half new line, half old line.
        const ReportPerimeter* old = nullptr;
        for (const auto& p : report.perimeters)
            if (c.last_not_seen && p.datetime <= *c.last_not_seen &&
                (old == nullptr || p.datetime > old->datetime))
                old = &p;
        if (old == nullptr || old->geometry.size() < 3 ||
            distance_to_ring(frame.metres_from_lonlat(old->geometry), {0, 0}) > within_m)
            return true;
    }
    return false;
}

}  // namespace fenceline
