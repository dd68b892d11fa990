// The perimeter stage alone, on the evidence of a registered series that is kept in a file, so that
// the stage can be measured (and its registration shaken) without running what comes before it.
//
//   perimeter_bench keep FILE SITES ID IMAGES [JITTER_PX COPIES]
//       registers the series as `fenceline run` does and keeps its line evidence in FILE. With
//       JITTER_PX: also FILE.1 … FILE.COPIES, every scene but the first moved by a Gaussian of that
//       many pixels of the sensor, each axis.
//   perimeter_bench trace [--without SCENE] [--known DX_M DY_M] [--unknown] [--undrawn]
//   [--truth TRUTH.json] [--draw PREFIX] FILE…
//       traces each and prints areas, changes and processor seconds; --without leaves a scene out
//       ("each": one after the other), --known moves the known line, --unknown takes it away,
//       --undrawn what the network has read.
//       --draw PREFIX: the first and the last perimeter's scene as PREFIX.SCENE.pgm, with the
//       traced and the true ring in its pixels as text.
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "core/plane_memory.h"
#include "core/projection.h"
#include "input/image_io.h"
#include "input/scene_catalog.h"
#include "input/sites.h"
#include "output/report_json.h"
#include "stages/align.h"
#include "stages/observe.h"
#include "stages/perimeter.h"
#include "stages/structures.h"

namespace {
using namespace fenceline;

double seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

struct Kept {
    Grid grid;
    std::vector<SceneInfo> infos;
    std::vector<LineEvidence> evidence;
    std::vector<double> sigma_m;
    KnownLine known;
};

/// Values one after the other in this machine's byte order: the file is for this machine.
struct Out {
    std::ofstream stream;
    template <class T>
    void put(const T& value) {
        stream.write(reinterpret_cast<const char*>(&value), sizeof value);
    }
    void text(const std::string& value) {
        put(value.size());
        stream.write(value.data(), static_cast<std::streamsize>(value.size()));
    }
    void plane(const PlaneOf<std::uint8_t>& plane) {
        put(plane.width());
        put(plane.height());
        for (int y = 0; y < plane.height(); ++y)
            stream.write(reinterpret_cast<const char*>(plane.row(y)), plane.width());
    }
};
struct In {
    std::ifstream stream;
    template <class T>
    T get() {
        T value{};
        stream.read(reinterpret_cast<char*>(&value), sizeof value);
        return value;
    }
    std::string text() {
        std::string value(get<std::size_t>(), ' ');
        stream.read(value.data(), static_cast<std::streamsize>(value.size()));
        return value;
    }
    PlaneOf<std::uint8_t> plane() {
        const int width = get<int>(), height = get<int>();
        PlaneOf<std::uint8_t> plane(width, height);
        for (int y = 0; y < height; ++y) stream.read(reinterpret_cast<char*>(plane.row(y)), width);
        return plane;
    }
};

void write(const Kept& kept, const std::string& path) {
    Out out{std::ofstream(path, std::ios::binary)};
    out.text(kept.grid.crs_wkt);
    out.put(kept.grid.geotransform);
    out.put(kept.grid.width);
    out.put(kept.grid.height);
    out.put(kept.infos.size());
    for (std::size_t i = 0; i < kept.infos.size(); ++i) {
        const LineEvidence& e = kept.evidence[i];
        out.text(kept.infos[i].id);
        out.put(kept.infos[i].datetime);
        out.put(kept.infos[i].sun_azimuth_deg);
        out.put(kept.sigma_m[i]);
        out.put(e.usable);
        out.put(e.effective_gsd_m);
        out.put(e.unit_m);
        out.put(e.luminance_step_px);
        out.put(e.search_step_px);
        out.plane(e.luminance);
        out.plane(e.hidden);
        out.plane(e.drawn);
    }
    out.put(kept.known.ring_px.size());
    for (const Point p : kept.known.ring_px) out.put(p);
    out.put(kept.known.date);
}

Kept read(const std::string& path) {
    In in{std::ifstream(path, std::ios::binary)};
    Kept kept;
    kept.grid.crs_wkt = in.text();
    kept.grid.geotransform = in.get<std::array<double, 6>>();
    kept.grid.width = in.get<int>();
    kept.grid.height = in.get<int>();
    const auto count = in.get<std::size_t>();
    for (std::size_t i = 0; i < count; ++i) {
        SceneInfo info;
        LineEvidence e;
        info.id = in.text();
        info.datetime = in.get<std::optional<Time>>();
        info.sun_azimuth_deg = in.get<std::optional<double>>();
        kept.sigma_m.push_back(in.get<double>());
        e.usable = in.get<bool>();
        e.effective_gsd_m = in.get<double>();
        e.unit_m = in.get<double>();
        e.luminance_step_px = in.get<int>();
        e.search_step_px = in.get<int>();
        e.luminance = in.plane();
        e.hidden = in.plane();
        e.drawn = in.plane();
        kept.infos.push_back(info);
        kept.evidence.push_back(std::move(e));
    }
    const auto corners = in.get<std::size_t>();
    for (std::size_t k = 0; k < corners; ++k) kept.known.ring_px.push_back(in.get<Point>());
    kept.known.date = in.get<std::optional<Time>>();
    if (!in.stream) throw std::runtime_error(path + " is not a file of perimeter_bench keep");
    return kept;
}

int keep(const std::vector<std::string>& arguments) {
    const std::string file = arguments.at(0);
    Site site;
    for (const Site& s : read_sites(arguments.at(1)))
        if (s.id == arguments.at(2)) site = s;
    const double jitter_px = arguments.size() > 4 ? std::stod(arguments[4]) : 0;
    const int copies = arguments.size() > 5 ? std::stoi(arguments[5]) : 0;
    const GeorefOptions georef;
    const ObserveOptions observing;
    std::vector<SceneInfo> infos = find_scenes(arguments.at(3), georef);
    std::erase_if(infos, [](const SceneInfo& info) { return !info.left_out.empty(); });
    Kept kept;
    const Ring area = area_of_interest(site);
    kept.grid = common_grid(area, infos, observing);
    if (site.perimeter_lonlat.size() >= 3)
        kept.known = {GridProjection(kept.grid).px_from_lonlat(site.perimeter_lonlat),
                      site.perimeter_date};
    const auto scene_at = [&](const SceneInfo& info, const Warp& warp) {
        GridImage image = read_on_grid(info, kept.grid, warp, georef);
        return observe(info, std::move(image.raster), std::move(image.masks), image.mask_given,
                       area, observing);
    };
    const std::size_t middle = infos.size() / 2;
    const AlignImage reference = prepare_image(scene_at(infos[middle], {}));
    std::vector<Warp> warps(infos.size());
    std::vector<double> sensor_m(infos.size(), 0.0);
    std::set<std::size_t> failed;  // the program would leave them out
    for (std::size_t i = 0; i < infos.size(); ++i) {
        if (i == middle) {
            kept.sigma_m.push_back(0);
            continue;
        }
        const Alignment found = align(scene_at(infos[i], {}), reference, {});
        warps[i] = found.target_from_reference;
        sensor_m[i] = found.effective_gsd_m;
        kept.sigma_m.push_back(found.rmse_m);
        if (found.status == RegistrationStatus::fail) failed.insert(i);
    }
    double evidence_s = 0;
    for (int copy = 0; copy <= copies; ++copy) {
        std::mt19937 random(static_cast<unsigned>(1000 + copy));
        std::normal_distribution<double> normal;
        kept.infos.clear();
        kept.evidence.clear();
        for (std::size_t i = 0; i < infos.size(); ++i) {
            Warp warp = warps[i];
            if (copy > 0 && i > 0) {
                const double sigma_px = jitter_px * sensor_m[i] / kept.grid.gsd();
                const Point shift{sigma_px * normal(random), sigma_px * normal(random)};
                warp.affine.a[0] += shift.x;
                warp.affine.a[3] += shift.y;
            }
            const Scene scene = scene_at(infos[i], warp);
            const SurfaceMaps maps = surface_maps(scene, {});
            const double start = seconds();
            kept.evidence.push_back(line_evidence(scene, maps, {}));
            evidence_s += seconds() - start;
            kept.evidence.back().usable = kept.evidence.back().usable && !failed.contains(i);
            kept.infos.push_back(scene.info);
        }
        fmt::print("evidence of {} scenes: {:.1f} processor s\n", infos.size(), evidence_s);
        write(kept, copy == 0 ? file : fmt::format("{}.{}", file, copy));
    }
    return 0;
}

const char* held(const Interval& interval, double value) {
    return interval.low <= value && value <= interval.high ? "held" : "NOT HELD";
}

void draw(const Kept& kept, const TracedPerimeter& p, const Report* truth,
          const std::string& prefix) {
    const auto i = static_cast<std::size_t>(p.scene);
    const LineEvidence& e = kept.evidence[i];
    const auto& plane = e.luminance;
    const std::string name = prefix + "." + kept.infos[i].id;
    std::ofstream picture(name + ".pgm", std::ios::binary);
    picture << "P5\n" << plane.width() << " " << plane.height() << "\n255\n";
    for (int y = 0; y < plane.height(); ++y)
        picture.write(reinterpret_cast<const char*>(plane.row(y)), plane.width());
    if (e.drawn.width() > 0) {
        std::ofstream drawn(name + ".drawn.pgm", std::ios::binary);
        drawn << "P5\n" << e.drawn.width() << " " << e.drawn.height() << "\n255\n";
        for (int y = 0; y < e.drawn.height(); ++y)
            drawn.write(reinterpret_cast<const char*>(e.drawn.row(y)), e.drawn.width());
    }
    std::ofstream rings(name + ".txt");
    const auto put = [&](const char* what, const Ring& ring) {
        rings << what;
        for (const Point q : ring)
            rings << " " << q.x / e.luminance_step_px << "," << q.y / e.luminance_step_px;
        rings << "\n";
    };
    put("traced", p.ring_px);
    if (truth == nullptr) return;
    for (const auto& t : truth->perimeters)
        if (t.scene == kept.infos[i].id)
            put("true", GridProjection(kept.grid).px_from_lonlat(t.geometry));
}

void trace(Kept& kept, const std::string& name, const Report* truth, const std::string& prefix) {
    const double start = seconds();
    const PerimeterResult result =
        trace_perimeters(kept.grid, kept.infos, kept.evidence, kept.sigma_m, kept.known, {});
    fmt::print("{}: {:.1f} processor s\n", name, seconds() - start);
    for (const auto& [scene, shift_m] : result.settled)
        fmt::print("  {} moved by {:.1f}, {:.1f} m\n",
                   kept.infos[static_cast<std::size_t>(scene)].id, shift_m.x, shift_m.y);
    const GridProjection projection(kept.grid);
    for (const auto& p : result.perimeters) {
        fmt::print("  {} area {:.0f} ({:.0f}–{:.0f}) length {:.0f} seen {:.2f} corners {}",
                   kept.infos[static_cast<std::size_t>(p.scene)].id, p.area_m2, p.area_ci.low,
                   p.area_ci.high, p.length_m, p.supported_fraction, p.ring_px.size());
        if (truth != nullptr)
            for (const auto& t : truth->perimeters)
                if (t.scene == kept.infos[static_cast<std::size_t>(p.scene)].id)
                    fmt::print(" of the truth: area {:.4f} {}, length {:.4f} {}",
                               p.area_m2 / t.area_m2, held(p.area_ci, t.area_m2),
                               p.length_m / t.length_m, held(p.length_ci, t.length_m));
        fmt::print("\n");
    }
    for (std::size_t i = 0; i < result.changes.size(); ++i) {
        const auto& c = result.changes[i];
        fmt::print(
            "  {} {} → {} {:.0f} m² ({:.0f}–{:.0f}), seen {:.2f}; ratio {:.4f} ({:.4f}–{:.4f})\n",
            c.expansion ? "expansion" : "contraction",
            kept.infos[static_cast<std::size_t>(c.last_before)].id,
            kept.infos[static_cast<std::size_t>(c.first_after)].id, c.area_m2, c.area_ci.low,
            c.area_ci.high, c.supported_fraction, result.growth[i].area_ratio,
            result.growth[i].area_ratio_ci.low, result.growth[i].area_ratio_ci.high);
    }
    if (!result.perimeters.empty() && !prefix.empty())
        for (const TracedPerimeter* p : {&result.perimeters.front(), &result.perimeters.back()})
            draw(kept, *p, truth, prefix);
    if (result.found) fmt::print("  {}\n", result.found->how);
    for (const std::string& note : result.notes) fmt::print("  {}\n", note);
    std::fflush(stdout);
}

int trace_all(const std::vector<std::string>& arguments) {
    std::string without, prefix;
    Point shift_m{};
    bool unknown = false, undrawn = false;
    std::optional<Report> truth;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (arguments[i] == "--without") {
            without = arguments.at(++i);
        } else if (arguments[i] == "--known") {
            shift_m = {std::stod(arguments.at(i + 1)), std::stod(arguments.at(i + 2))};
            i += 2;
        } else if (arguments[i] == "--draw") {
            prefix = arguments.at(++i);
        } else if (arguments[i] == "--unknown") {
            unknown = true;
        } else if (arguments[i] == "--undrawn") {
            undrawn = true;
        } else if (arguments[i] == "--truth") {
            truth = read_report(arguments.at(++i));
        } else {
            Kept kept = read(arguments[i]);
            for (Point& p : kept.known.ring_px)
                p = p + (1 / kept.grid.gsd()) * Point{shift_m.x, -shift_m.y};
            if (unknown) kept.known = {};
            if (undrawn)
                for (LineEvidence& e : kept.evidence) e.drawn = {};
            const Report* known_truth = truth ? &*truth : nullptr;
            if (without.empty()) {
                trace(kept, arguments[i], known_truth, prefix);
                continue;
            }
            for (std::size_t k = 0; k < kept.infos.size(); ++k) {
                if (without != "each" && kept.infos[k].id != without) continue;
                Kept fewer = kept;
                const auto at = static_cast<std::ptrdiff_t>(k);
                fewer.infos.erase(fewer.infos.begin() + at);
                fewer.evidence.erase(fewer.evidence.begin() + at);
                fewer.sigma_m.erase(fewer.sigma_m.begin() + at);
                trace(fewer, arguments[i] + " without " + kept.infos[k].id, known_truth, prefix);
            }
        }
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    try {
        initialise_gdal();
        keep_freed_memory();  // as the program does
        if (arguments.size() >= 5 && arguments[0] == "keep")
            return keep({arguments.begin() + 1, arguments.end()});
        if (arguments.size() >= 2 && arguments[0] == "trace")
            return trace_all({arguments.begin() + 1, arguments.end()});
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
    fmt::print(
        stderr,
        "perimeter_bench keep FILE SITES ID IMAGES [JITTER_PX COPIES]\n"
        "perimeter_bench trace [--without SCENE|each] [--known DX_M DY_M] [--unknown] [--undrawn] "
        "[--truth FILE] "
        "[--draw PREFIX] FILE…\n");
    return 2;
}
