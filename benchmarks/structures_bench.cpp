// Structures alone, on simulated series: every scene is registered by the truth's own displacement
// and the true line (blurred as a trace is) is given, so that the figures speak of structures and
// track and of nothing before them.
//
//   structures_bench [--samples --posts|--places [--refined]] [--jitter M] [--set
//   KEY=VALUE] [--without shadow|looks] [--report FILE] [--looks FILE] SERIES…
//
// --without shadow: the sun's position is taken away; --without looks: every scene is scored alone.
// --looks: appends a line for every look at every object (series, kind, object, scene, score,
// stands now/at other times/never/not known, area, height, true height, what measure_building
// says, distance from the line in m, sides of the roof in m, how many true structures share its
// place): what fit_looks.py reads. SERIES: a folder of `fenceline
// simulate`. Prints the figures of `fenceline evaluate` that concern structures, per series and
// pooled, the reliability of the probabilities, and the time per scene.
// --samples: writes SERIES/posts.samples or SERIES/places.samples for train_structures.py
// instead; structures_bench --rio DATA/spacenet1_rio [--sun AZIMUTH ELEVATION]: pixel F1 on the
// real tiles beside the plain building index; with --samples FOLDER: FOLDER/places.samples of the
// tiles 50 … 54. --refined: with the places that the present model
// finds, so that the next one learns from its mistakes.
#include <fmt/format.h>
#include <gdal_priv.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <numbers>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "core/projection.h"
#include "evaluate/evaluate.h"
#include "input/image_io.h"
#include "input/scene_catalog.h"
#include "input/sites.h"
#include "input/truth.h"
#include "output/report_json.h"
#include "report_parts.h"
#include "stages/observe.h"
#include "stages/structures_maps.h"
#include "stages/structures_net.h"
#include "stages/track.h"

namespace {
using namespace fenceline;

/// Of the processor, all threads together: what a busy machine does not change.
double seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }
/// Of the clock on the wall: what a user waits for on an idle machine.
double wall_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

struct Options {
    bool samples = false, refined = false, posts = false, places = false, surfaces = false;
    double jitter_m = 1;
    bool no_shadow = false, single_looks = false;
    std::string report, looks;
    StructureOptions structures;
    TrackOptions track;
};

struct Series {
    std::string folder;
    Report truth;
    TruthFrames frames;
    Grid grid;
    Ring area_lonlat;
    std::vector<Scene> scenes;
    std::vector<Ring> lines;  ///< per scene, on the grid; empty: none
};

/// Where the grid's pixels are found in an image that is displaced like that.
Warp warp_of(const SceneDisplacement& d, const Grid& grid) {
    Warp warp;
    LocalField& field = warp.local;
    field.spacing_px = 32;
    field.columns = grid.width / 32 + 3;
    field.rows = grid.height / 32 + 3;
    for (int j = 0; j < field.rows; ++j)
        for (int i = 0; i < field.columns; ++i) {
            const Point map = grid.map_from_px({32.0 * i, 32.0 * j}), p = map - d.centre_map;
            Point shift{d.dx_m + d.linear[0] * p.x + d.linear[1] * p.y,
                        d.dy_m + d.linear[2] * p.x + d.linear[3] * p.y};
            if (d.lattice.columns > 0)
                shift = shift + d.lattice({map.x - d.origin_map.x, d.origin_map.y - map.y});
            field.dx.push_back(static_cast<float>(shift.x / grid.gsd()));
            field.dy.push_back(static_cast<float>(-shift.y / grid.gsd()));
        }
    return warp;
}

/// Is a roof of this length these cells' business; if not, is it so near to it that either answer
/// would do?
bool is_ours(std::size_t cell, double length_m) {
    return length_m >= kPlaceLengths_m[cell][0] && length_m <= kPlaceLengths_m[cell][1];
}
bool is_doubtful(std::size_t cell, double length_m) {
    return !is_ours(cell, length_m) && length_m >= 0.7 * kPlaceLengths_m[cell][0] &&
           length_m <= 1.4 * kPlaceLengths_m[cell][1];
}

/// A traced line: off by a smooth noise (1 sigma, correlated over some 20 m).
Ring blurred(const Ring& ring, double sigma_px, double step_px, unsigned seed) {
    Ring even = resample_ring(ring, step_px);
    const auto n = even.size();
    std::vector<double> noise(2 * n), smooth(2 * n);
    for (double& v : noise) {
        v = 0;
        for (int k = 0; k < 12; ++k) {
            seed = seed * 1664525U + 1013904223U;
            v += static_cast<double>(seed >> 8) / 16777216.0;
        }
        v -= 6;
    }
    constexpr int reach = 12;
    double weight2 = 0;
    for (int k = -reach; k <= reach; ++k) weight2 += std::exp(-k * k / 16.0);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t axis = 0; axis < 2; ++axis) {
            double sum = 0;
            for (int k = -reach; k <= reach; ++k)
                sum += std::exp(-k * k / 32.0) *
                       noise[2 * ((i + n + static_cast<std::size_t>(k + static_cast<int>(n))) % n) +
                             axis];
            smooth[2 * i + axis] = sigma_px * sum / std::sqrt(weight2);
        }
    for (std::size_t i = 0; i < n; ++i) even[i] = even[i] + Point{smooth[2 * i], smooth[2 * i + 1]};
    return even;
}

Series read_series(const std::string& folder, const Options& options) {
    namespace fs = std::filesystem;
    Series series;
    series.folder = folder;
    series.truth = read_report(folder + "/truth.json");
    series.frames = read_truth_frames(folder + "/truth.json");
    const GeorefOptions georef;
    std::vector<SceneInfo> infos = find_scenes(folder + "/collection.json", georef);
    std::erase_if(infos, [](const SceneInfo& info) { return !info.left_out.empty(); });
    series.area_lonlat = area_of_interest(read_sites(folder + "/sites.geojson").front());
    const ObserveOptions observing;
    series.grid = common_grid(series.area_lonlat, infos, observing);
    const GridProjection projection(series.grid);
    for (const SceneInfo& info : infos) {
        Warp warp;
        for (const auto& d : series.frames.displacements)
            if (d.scene == info.id) warp = warp_of(d, series.grid);
        GridImage image = read_on_grid(info, series.grid, warp, georef);
        series.scenes.push_back(observe(info, std::move(image.raster), std::move(image.masks),
                                        image.mask_given, series.area_lonlat, observing));
        Ring line;
        for (const auto& p : series.truth.perimeters)
            if (p.scene == info.id) line = projection.px_from_lonlat(p.geometry);
        // What two scenes share must be blurred alike, as one trace is.
        if (line.size() >= 3 && !series.lines.empty() && !series.lines.back().empty() &&
            std::abs(std::abs(signed_area(line)) /
                         std::abs(signed_area(projection.px_from_lonlat(
                             series.truth.perimeters[series.lines.size() - 1].geometry))) -
                     1) < 1e-3)
            line = series.lines.back();
        else if (line.size() >= 3)
            line = blurred(line, options.jitter_m / series.grid.gsd(), 4 / series.grid.gsd(),
                           static_cast<unsigned>(series.lines.size()) + 1);
        series.lines.push_back(std::move(line));
    }
    return series;
}

bool stands(const ReportStructure& s, const std::string& scene, bool& observable) {
    for (const auto& o : s.observations)
        if (o.scene == scene) {
            observable = o.seen != "not_observable";
            return o.seen == "present";
        }
    observable = true;
    return true;
}

/// Truth on the grid.
struct TruePost {
    Point centre_px;
    std::vector<char> present, observable;  ///< per scene
};
std::vector<TruePost> true_posts(const Series& series) {
    const GridProjection projection(series.grid);
    std::vector<TruePost> posts;
    for (const auto& s : series.truth.structures) {
        if (s.kind != "guard_post") continue;
        TruePost post;
        post.centre_px = projection.px_from_lonlat(s.position);
        for (const Scene& scene : series.scenes) {
            bool observable = true;
            post.present.push_back(stands(s, scene.info.id, observable));
            post.observable.push_back(observable);
        }
        posts.push_back(std::move(post));
    }
    return posts;
}

/// One sample of train_structures.py: 24 floats (scene, kind, label, 5 targets, extras; or 7 and
/// extras), then the patch as int8 in units of 1/32.
enum Kind { kRandom = 0, kFound = 1, kForced = 2 };
void write_sample(std::FILE* out, std::size_t scene, Kind kind, double label,
                  std::span<const float> targets, std::span<const float> extras,
                  const Patch& patch) {
    std::array<float, 24> head{};
    head[0] = static_cast<float>(scene);
    head[1] = static_cast<float>(kind);
    head[2] = static_cast<float>(label);
    std::copy(targets.begin(), targets.end(), head.begin() + 3);
    std::copy(extras.begin(), extras.end(), head.begin() + (targets.size() > 5 ? 10 : 8));
    std::vector<std::int8_t> bytes;
    bytes.reserve(patch.size());
    for (const float v : patch)
        bytes.push_back(static_cast<std::int8_t>(std::lround(std::clamp(v * 32, -127.0F, 127.0F))));
    std::fwrite(head.data(), sizeof(float), head.size(), out);
    std::fwrite(bytes.data(), 1, bytes.size(), out);
}

struct Random {
    unsigned state = 12345;
    double uniform(double low, double high) {
        state = state * 1664525U + 1013904223U;
        return low + (high - low) * static_cast<double>(state >> 8) / 16777216.0;
    }
};

void write_post_samples(const Series& series, const Options& options) {
    const double gsd = series.grid.gsd(), metre = 1 / gsd;
    const std::vector<TruePost> posts = true_posts(series);
    std::vector<Ring> lines;
    for (const Ring& line : series.lines)
        if (!line.empty()) lines.push_back(resample_ring(line, metre));
    if (lines.empty()) return;
    Random random;
    std::FILE* out = std::fopen((series.folder + "/posts.samples").c_str(), "wb");
    if (out == nullptr) return;
    StructureOptions eager = options.structures;
    eager.post_min_log_odds = -6;
    long count = 0;
    for (std::size_t i = 0; i < series.scenes.size(); ++i) {
        const Scene& scene = series.scenes[i];
        const StructureView view = structure_view(scene);
        const PostFrame frame = post_frame(view);
        const auto put = [&](Kind kind, Point at) {
            if (unseen_share(scene, at, 6 * metre) > 0.2) return;
            double nearest = 99, doubtful = 99;
            Point foot{};
            for (const TruePost& post : posts) {
                const double apart = distance(post.centre_px, at) * gsd;
                if (post.present[i] != 0 && post.observable[i] == 0)
                    doubtful = std::min(doubtful, apart);
                if (post.present[i] != 0 && post.observable[i] != 0 && apart < nearest)
                    nearest = apart, foot = post.centre_px;
            }
            // A window says "here" up to 2.2 m from the foot, "not here" from 4.2 m on.
            if (doubtful < 6 || (nearest > 2.2 && nearest < 4.2)) return;
            const Point off = gsd * (foot - at);
            const std::array<float, 2> targets{static_cast<float>(dot(off, gsd * frame.x) / 2),
                                               static_cast<float>(dot(off, gsd * frame.y) / 2)};
            Patch patch;
            post_patch(view, frame, at, patch);
            write_sample(out, i, kind, nearest < 2.2, targets, frame.extras, patch);
            ++count;
        };
        for (const TruePost& post : posts)
            for (int k = 0; k < 8; ++k) {
                const double angle = random.uniform(0, 6.283185307179586),
                             far = 2.15 * std::sqrt(random.uniform(0, 1)) * metre;
                put(kForced, post.centre_px + far * Point{std::cos(angle), std::sin(angle)});
            }
        for (int k = 0; k < 900; ++k) {
            const Ring& line = lines[static_cast<std::size_t>(
                random.uniform(0, static_cast<double>(lines.size())))];
            const Point on =
                line[static_cast<std::size_t>(random.uniform(0, static_cast<double>(line.size())))];
            const double reach = k % 3 == 0 ? 30 : k % 3 == 1 ? 4 : 14;
            put(kRandom,
                on + metre * Point{random.uniform(-reach, reach), random.uniform(-reach, reach)});
        }
        if (options.refined)
            for (const Detection& d : detect_posts(scene, lines, eager))
                for (int k = 0; k < 3; ++k)
                    put(kFound, d.centre_px + metre * Point{random.uniform(-1.2, 1.2),
                                                            random.uniform(-1.2, 1.2)});
    }
    std::fclose(out);
    fmt::print("{}: {} windows for posts\n", series.folder, count);
    std::fflush(stdout);
}

struct TrueBuilding {
    std::string id;
    std::vector<OrientedRectangle> roof;  ///< per scene, as the view shows it
    std::vector<char> present, observable;
};
std::vector<TrueBuilding> true_buildings(const Series& series,
                                         std::span<const StructureView> views) {
    const GridProjection projection(series.grid);
    std::vector<TrueBuilding> buildings;
    for (const auto& s : series.truth.structures) {
        if (s.kind != "building" || s.footprint.size() != 4) continue;
        TrueBuilding b;
        b.id = s.id;
        const OrientedRectangle walls = rectangle_of(projection.px_from_lonlat(s.footprint));
        for (std::size_t i = 0; i < series.scenes.size(); ++i) {
            bool observable = true;
            b.present.push_back(stands(s, series.scenes[i].info.id, observable));
            b.observable.push_back(observable);
            OrientedRectangle roof = walls;
            roof.centre = roof.centre + roof_shift(views[i], s.height_m);
            b.roof.push_back(roof);
        }
        buildings.push_back(std::move(b));
    }
    return buildings;
}

void write_place_samples(const Series& series, const Options& options) {
    std::vector<StructureView> views;
    for (const Scene& scene : series.scenes) views.push_back(structure_view(scene));
    const std::vector<TrueBuilding> buildings = true_buildings(series, views);
    const GridProjection projection(series.grid);
    const Ring area_px = projection.px_from_lonlat(series.area_lonlat);
    Point low{1e18, 1e18}, high{-1e18, -1e18};
    for (const Point p : area_px) {
        low = {std::min(low.x, p.x), std::min(low.y, p.y)};
        high = {std::max(high.x, p.x), std::max(high.y, p.y)};
    }
    std::FILE* out = std::fopen((series.folder + "/places.samples").c_str(), "wb");
    if (out == nullptr) return;
    Random random;
    long count = 0;
    for (std::size_t i = 0; i < series.scenes.size(); ++i) {
        const StructureView& view = views[i];
        const PostFrame frame = post_frame(view);
        const double gsd = view.gsd_m;
        std::vector<Detection> found;
        if (options.refined) {
            StructureOptions eager = options.structures;
            eager.building_min_log_odds = -4;
            found = detect_buildings(view, area_px, eager);
        }
        for (std::size_t c = 0; c < kPlaceCells_m.size(); ++c) {
            const double cell_m = kPlaceCells_m[c];
            const auto extras = place_extras(view, frame, cell_m);
            const auto put = [&](Kind kind, Point at) {
                if (unseen_share(series.scenes[i], at, 10 * cell_m / gsd) > 0.3) return;
                double nearest = 1e9;
                bool doubtful = false;
                const OrientedRectangle* roof = nullptr;
                for (const TrueBuilding& b : buildings) {
                    if (b.present[i] == 0) continue;
                    const OrientedRectangle& r = b.roof[i];
                    const Point off = (gsd / cell_m) * (r.centre - at);
                    const double apart = std::max(std::abs(dot(off, gsd * frame.x)),
                                                  std::abs(dot(off, gsd * frame.y)));
                    const double length = 2 * gsd * std::max(r.half_a, r.half_b);
                    const bool ours = is_ours(c, length) && b.observable[i] != 0;
                    if (ours && apart < nearest) nearest = apart, roof = &r;
                    if (apart < 5 && (is_doubtful(c, length) || b.observable[i] == 0))
                        doubtful = true;
                }
                // Just beyond the windows' step it is neither here nor there.
                if (nearest > 2.6 && (nearest < 4.4 || doubtful)) return;
                std::array<float, 6> targets{};
                if (nearest <= 2.6) targets = outputs_for(frame, gsd, cell_m, at, *roof);
                Patch patch;
                place_patch(view, frame, cell_m, at, patch);
                write_sample(out, i, kind, nearest <= 2.6, targets, extras, patch);
                ++count;
            };
            for (const TrueBuilding& b : buildings) {
                if (b.present[i] == 0) continue;
                const double length = 2 * gsd * std::max(b.roof[i].half_a, b.roof[i].half_b);
                if (!is_ours(c, length)) {  // other cells' business
                    for (int k = 0; k < 2; ++k)
                        put(kFound, b.roof[i].centre + (random.uniform(-4, 4) * cell_m) * frame.x +
                                        (random.uniform(-4, 4) * cell_m) * frame.y);
                    continue;
                }
                const int times = c == 0 ? 3 : 6;
                for (int k = 0; k < times; ++k)
                    put(kForced, b.roof[i].centre + (random.uniform(-2.6, 2.6) * cell_m) * frame.x +
                                     (random.uniform(-2.6, 2.6) * cell_m) * frame.y);
                // Beside it: what the border of a roof, or the gap between two, looks like.
                for (int k = 0; k < 2; ++k)
                    put(kForced, b.roof[i].centre + (random.uniform(-9, 9) * cell_m) * frame.x +
                                     (random.uniform(-9, 9) * cell_m) * frame.y);
            }
            for (int k = 0; k < (c == 0 ? 900 : 400); ++k)
                put(kRandom, {random.uniform(low.x, high.x), random.uniform(low.y, high.y)});
            for (const Detection& d : found)
                for (int k = 0; k < 2; ++k)
                    put(kFound, d.centre_px + roof_shift(view, d.height_m) +
                                    (random.uniform(-2, 2) * cell_m) * frame.x +
                                    (random.uniform(-2, 2) * cell_m) * frame.y);
        }
    }
    std::fclose(out);
    fmt::print("{}: {} windows for places\n", series.folder, count);
    std::fflush(stdout);
}

struct Reliability {
    std::vector<double> said, sum_true, count;
    Reliability() : said(10, 0.0), sum_true(10, 0.0), count(10, 0.0) {}
    void add(double p, bool truth) {
        const auto k = static_cast<std::size_t>(std::clamp(p * 10, 0.0, 9.0));
        said[k] += p;
        sum_true[k] += truth;
        count[k] += 1;
    }
    void print(const std::string& what) const {
        double error = 0, all = 0;
        std::string bins;
        for (std::size_t k = 0; k < 10; ++k) {
            if (count[k] == 0) continue;
            error += std::abs(said[k] - sum_true[k]);
            all += count[k];
            bins += fmt::format(" {:.2f}/{:.2f}({:.0f})", said[k] / count[k],
                                sum_true[k] / count[k], count[k]);
        }
        if (all > 0)
            fmt::print("{}: ECE {:.3f} of {:.0f}; said/true(count):{}\n", what, error / all, all,
                       bins);
    }
};

/// Forced looks at what some scene has found: how often each score is said of what stands there,
/// of what stands there at other times, and of what never does.
struct ForcedLooks {
    std::vector<std::array<double, 3>> bins{std::vector<std::array<double, 3>>(12)};
    void add(double score, int which) {
        bins[static_cast<std::size_t>(std::clamp((score + 12) / 2, 0.0, 11.0))]
            [static_cast<std::size_t>(which)] += 1;
    }
    void print(const std::string& what) const {
        std::array<double, 3> sum{};
        for (const auto& bin : bins)
            for (std::size_t k = 0; k < 3; ++k) sum[k] += bin[k];
        fmt::print("forced looks, {}: score: there/not then/never: ln ratio there : not\n", what);
        for (std::size_t i = 0; i < bins.size(); ++i)
            fmt::print("   {:5.0f}: {:4.0f}/{:4.0f}/{:4.0f}: {:.2f}\n",
                       -11 + 2 * static_cast<double>(i), bins[i][0], bins[i][1], bins[i][2],
                       std::log((bins[i][0] + 0.5) / (sum[0] + 1)) -
                           std::log((bins[i][1] + bins[i][2] + 0.5) / (sum[1] + sum[2] + 1)));
    }
};

struct Reliabilities {
    ForcedLooks post_forced, building_forced;
    Reliability post_look, building_look, post_object, building_object;
};

double overlap(const Ring& a, const Ring& b) {
    if (a.size() < 3 || b.size() < 3) return 0;
    const double reach = 200;
    if (distance(centroid(a), centroid(b)) > reach) return 0;
    return polygon_iou(a, b, 0.5);
}

SeriesScore score(const Series& series, const Options& options, Reliabilities& reliability) {
    const double gsd = series.grid.gsd();
    const GridProjection projection(series.grid);
    SeriesEvidence evidence;
    std::vector<Ring> rings;
    const Ring area_px = projection.px_from_lonlat(series.area_lonlat);
    for (std::size_t i = 0; i < series.scenes.size(); ++i) {
        const Scene& scene = series.scenes[i];
        evidence.scenes.push_back(scene.info);
        evidence.may_start_change.push_back(scene.may_start_change);
        if (series.lines[i].empty()) continue;
        TracedPerimeter traced;
        traced.scene = static_cast<int>(i);
        traced.ring_px = series.lines[i];
        evidence.perimeter.perimeters.push_back(traced);
        rings.push_back(series.lines[i]);
    }
    for (const auto& c : series.truth.changes) {
        if (c.kind != "perimeter_expansion" || !c.last_not_seen || !c.first_seen) continue;
        PerimeterChange change;
        change.region_px = projection.px_from_lonlat(c.footprint);
        for (std::size_t i = 0; i < series.scenes.size(); ++i) {
            const bool after = *series.scenes[i].info.datetime >= *c.first_seen;
            if (!after) change.last_before = static_cast<int>(i);
            if (after && change.first_after == 0) change.first_after = static_cast<int>(i);
            change.log_likelihood_ratios.emplace_back(static_cast<int>(i), after ? 4 : -4);
        }
        change.supported_fraction = 1;
        evidence.perimeter.changes.push_back(std::move(change));
    }
    std::vector<std::vector<Detection>> detections;
    std::vector<SurfaceMaps> maps;
    double map_s = 0, building_s = 0, post_s = 0, merge_s = 0, look_s = 0, wall_s = 0;
    const std::vector<TruePost> posts = true_posts(series);
    for (std::size_t i = 0; i < series.scenes.size(); ++i) {
        const Scene& scene = series.scenes[i];
        double t = seconds(), wall = wall_seconds();
        maps.push_back(surface_maps(scene, options.structures));
        map_s += seconds() - t;
        t = seconds();
        std::vector<Detection> buildings =
            detect_buildings(scene, maps.back(), area_px, options.structures);
        building_s += seconds() - t;
        t = seconds();
        std::vector<Detection> all = detect_posts(scene, rings, options.structures);
        post_s += seconds() - t;
        wall_s += wall_seconds() - wall;
        for (const Detection& d : all) {
            double nearest = 99;
            for (const TruePost& post : posts)
                if (post.present[i] != 0 && post.observable[i] != 0)
                    nearest = std::min(nearest, distance(post.centre_px, d.centre_px) * gsd);
            reliability.post_look.add(1 / (1 + std::exp(-d.log_odds)), nearest <= 3);
        }
        for (const Detection& d : buildings) {
            bool real = false;
            for (const auto& s : series.truth.structures) {
                bool observable = true;
                if (s.kind == "building" && stands(s, scene.info.id, observable))
                    real = real ||
                           overlap(projection.px_from_lonlat(s.footprint), d.footprint_px) >= 0.2;
            }
            reliability.building_look.add(1 / (1 + std::exp(-d.log_odds)), real);
            all.push_back(d);
        }
        detections.push_back(std::move(all));
    }
    double t = seconds(), wall = wall_seconds();
    evidence.objects = merge_detections(detections, gsd, options.structures);
    merge_s = seconds() - t;
    t = seconds();
    for (std::size_t i = 0; i < series.scenes.size(); ++i)
        evidence.looks.push_back(
            look_at(series.scenes[i], maps[i], evidence.objects, options.structures));
    look_s = seconds() - t;
    wall_s += wall_seconds() - wall;
    std::vector<StructureView> views;
    if (!options.looks.empty())
        for (const Scene& scene : series.scenes) {
            views.push_back(structure_view(scene));
            views.back().maps = maps[views.size() - 1].empty() ? nullptr : &maps[views.size() - 1];
        }
    std::FILE* dump = options.looks.empty() ? nullptr : std::fopen(options.looks.c_str(), "a");
    for (std::size_t k = 0; k < evidence.objects.size(); ++k) {
        const Detection& d = evidence.objects[k];
        const bool is_post = d.kind == StructureKind::guard_post;
        double line_m = 999;
        for (const Ring& ring : rings)
            line_m = std::min(line_m, distance_to_ring(ring, d.centre_px) * gsd);
        // 0: stands in this look, 1: at other times, 2: never, −1: the truth does not say
        std::vector<int> which(series.scenes.size(), 2);
        double true_height_m = 0, replaced = 0;  ///< by how many others it was overlapped in time
        for (const auto& s : series.truth.structures) {
            if ((s.kind == "guard_post") != is_post) continue;
            const bool same =
                is_post ? distance(projection.px_from_lonlat(s.position), d.centre_px) * gsd <= 3
                        : overlap(projection.px_from_lonlat(s.footprint), d.footprint_px) >= 0.2;
            if (!same) continue;
            true_height_m = s.height_m.value_or(0);
            ++replaced;
            for (std::size_t i = 0; i < series.scenes.size(); ++i) {
                bool observable = true;
                // Something else may stand there at other times.
                const int now = stands(s, series.scenes[i].info.id, observable) ? 0 : 1;
                if (now < which[i]) which[i] = now;
                if (!observable) which[i] = -1;
            }
        }
        for (std::size_t i = 0; i < series.scenes.size(); ++i) {
            const Look& look = evidence.looks[i][k];
            if (look.seen == Seen::not_observable) continue;
            if (which[i] >= 0)
                (is_post ? reliability.post_forced : reliability.building_forced)
                    .add(look.score, which[i]);
            if (dump == nullptr) continue;
            BuildingMeasure m;
            if (!is_post) {
                OrientedRectangle r = rectangle_of(d.footprint_px);
                r.centre = r.centre + roof_shift(views[i], d.height_m);
                m = measure_building(views[i], look_at_building(views[i], r).roof);
            }
            fmt::print(dump,
                       "{},{},{},{},{:.3f},{},{:.2f},{:.2f},{:.2f},{:.3f},{:.3f},{:.3f},{:.3f},"
                       "{:.3f},{:.3f},{:.3f},{:.1f},{:.2f},{:.2f},{:.0f}\n",
                       series.folder, is_post ? "post" : "building", k, i, look.score, which[i],
                       d.area_m2, look.height_m.value_or(0), true_height_m, m.shadow_depth,
                       m.shadow_cover, m.contrast, m.edge, m.weakest_edge, m.roughness,
                       views[i].shadow_px_per_m, line_m, look.longer_m, look.shorter_m, replaced);
        }
    }
    if (dump != nullptr) std::fclose(dump);
    t = seconds();
    Tracks tracks = track(evidence, series.grid, options.structures, options.track);
    const double track_s = seconds() - t;
    const auto n = static_cast<double>(series.scenes.size());
    fmt::print(
        "{}: processor seconds per scene: maps {:.2f}, buildings {:.2f}, posts {:.2f}, merge "
        "{:.2f}, look {:.2f}; all of them by the wall clock {:.2f}; track {:.2f}; {} objects\n",
        series.folder, map_s / n, building_s / n, post_s / n, merge_s / n, look_s / n, wall_s / n,
        track_s, evidence.objects.size());
    for (const auto& s : tracks.structures) {
        bool real = false;
        const Point px = projection.px_from_lonlat(s.position);
        const Ring ring = projection.px_from_lonlat(s.footprint);
        for (const auto& r : series.truth.structures)
            if (r.kind == s.kind)
                real = real || (s.kind == "guard_post"
                                    ? distance(projection.px_from_lonlat(r.position), px) * gsd <= 3
                                    : overlap(projection.px_from_lonlat(r.footprint), ring) >= 0.2);
        (s.kind == "guard_post" ? reliability.post_object : reliability.building_object)
            .add(s.confidence, real);
    }

    Report report;
    report.simulated = true;
    report.site = series.truth.site;
    report.grid = {short_crs_name(series.grid.crs_wkt), gsd, series.grid.width, series.grid.height,
                   series.grid.geotransform};
    for (const Scene& scene : series.scenes)
        report.scenes.push_back(report_scene(scene.info, scene.usable_fraction, false, {}, {}));
    report.structures = std::move(tracks.structures);
    report.changes = std::move(tracks.changes);
    if (!options.report.empty()) {
        if (std::FILE* out = std::fopen(options.report.c_str(), "w")) {
            fmt::print(out, "{}", report_json(report));
            std::fclose(out);
        }
    }
    return evaluate(report, series.truth, {}, series.frames.family);
}

// --- real tiles without dates: buildings by pixel

struct Tile {
    Scene scene;
    Mask truth;
};
std::vector<Plane> read_planes(const std::string& path) {
    std::unique_ptr<GDALDataset, void (*)(GDALDataset*)> image(
        GDALDataset::Open(path.c_str(), GDAL_OF_RASTER | GDAL_OF_READONLY),
        [](GDALDataset* d) { GDALClose(d); });
    if (!image) throw std::runtime_error(path + ": " + CPLGetLastErrorMsg());
    std::vector<Plane> planes;
    for (int b = 1; b <= image->GetRasterCount(); ++b) {
        Plane plane(image->GetRasterXSize(), image->GetRasterYSize());
        for (int y = 0; y < plane.height(); ++y)
            if (image->GetRasterBand(b)->RasterIO(GF_Read, 0, y, plane.width(), 1, plane.row(y),
                                                  plane.width(), 1, GDT_Float32, 0, 0,
                                                  nullptr) != CE_None)
                throw std::runtime_error(path + ": " + CPLGetLastErrorMsg());
        planes.push_back(std::move(plane));
    }
    return planes;
}

Tile read_tile(const std::string& folder, int k) {
    Tile tile;
    std::vector<Plane> planes = read_planes(fmt::format("{}/images/img{}.tif", folder, k));
    planes.resize(std::min<std::size_t>(planes.size(), 3));
    const int width = planes[0].width(), height = planes[0].height();
    tile.scene.raster.grid.geotransform = {0, 0.5, 0, 0, 0, -0.5};
    tile.scene.raster.grid.width = width;
    tile.scene.raster.grid.height = height;
    tile.scene.raster.valid = Mask(width, height, 1);
    tile.scene.masks = Mask(width, height);
    tile.scene.raster.roles = {BandRole::red, BandRole::green, BandRole::blue};
    tile.scene.raster.bands = std::move(planes);
    tile.scene.usable_fraction = 1;
    const Plane label = read_planes(fmt::format("{}/building_masks/img{}.tif", folder, k))[0];
    tile.truth = Mask(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) tile.truth.at(x, y) = label.at(x, y) > 0;
    return tile;
}

/// Rectangles that a labelled shape is made of: its smallest one, or, where that is filled badly,
/// those of its two parts on either side of the cut across its longer side that leaves least empty.
void add_rectangles(const std::vector<cv::Point>& pixels, int depth,
                    std::vector<OrientedRectangle>& out) {
    if (pixels.size() < 60) return;
    const auto around = [](const std::vector<cv::Point>& some) {
        cv::RotatedRect r = cv::minAreaRect(some);
        r.size.width += 1, r.size.height += 1;
        return r;
    };
    const cv::RotatedRect whole = around(pixels);
    const double area = static_cast<double>(whole.size.area());
    if (depth < 3 && static_cast<double>(pixels.size()) < 0.78 * area && pixels.size() > 200) {
        const double turn = static_cast<double>(whole.angle) * std::numbers::pi / 180 +
                            (whole.size.width >= whole.size.height ? 0 : std::numbers::pi / 2);
        const double length = static_cast<double>(std::max(whole.size.width, whole.size.height));
        double least = area;
        std::vector<cv::Point> best[2];
        for (const double across : {0.0, std::numbers::pi / 2})
            for (double at = -0.35; at < 0.36; at += 0.05) {
                const Point along{std::cos(turn + across), std::sin(turn + across)};
                std::vector<cv::Point> part[2];
                for (const cv::Point p : pixels)
                    part[dot(Point{p.x - static_cast<double>(whole.center.x),
                                   p.y - static_cast<double>(whole.center.y)},
                             along) > at * length]
                        .push_back(p);
                if (part[0].size() < 60 || part[1].size() < 60) continue;
                const double sum = static_cast<double>(around(part[0]).size.area()) +
                                   static_cast<double>(around(part[1]).size.area());
                if (sum < least) least = sum, best[0] = part[0], best[1] = part[1];
            }
        if (least < 0.9 * area) {
            for (const auto& part : best) add_rectangles(part, depth + 1, out);
            return;
        }
    }
    OrientedRectangle r;
    r.centre = {static_cast<double>(whole.center.x) + 0.5,
                static_cast<double>(whole.center.y) + 0.5};
    r.half_a = 0.5 * static_cast<double>(whole.size.width);
    r.half_b = 0.5 * static_cast<double>(whole.size.height);
    r.angle_rad = static_cast<double>(whole.angle) * std::numbers::pi / 180;
    out.push_back(r);
}

/// Windows of the tune tiles (50 … 54), without a sun, and so with cells turned any way round.
void write_rio_samples(const std::string& folder, const std::string& path) {
    std::FILE* out = std::fopen(path.c_str(), "wb");
    if (out == nullptr) throw std::runtime_error(path + ": cannot be written");
    Random random;
    long count = 0, roofs = 0;
    for (int k = 50; k < 55; ++k) {
        const Tile tile = read_tile(folder, k);
        const int width = tile.truth.width(), height = tile.truth.height();
        cv::Mat1b shown(height, width, std::uint8_t{0});
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) shown(y, x) = tile.truth.at(x, y);
        cv::Mat1i labels;
        const int shapes = cv::connectedComponents(shown, labels, 4);
        std::vector<std::vector<cv::Point>> pixels(static_cast<std::size_t>(shapes));
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x)
                pixels[static_cast<std::size_t>(labels(y, x))].push_back({x, y});
        std::vector<OrientedRectangle> rectangles;
        for (std::size_t s = 1; s < pixels.size(); ++s) add_rectangles(pixels[s], 0, rectangles);
        roofs += static_cast<long>(rectangles.size());
        const StructureView view = structure_view(tile.scene);
        constexpr int turns = 8;
        for (int turned = 0; turned < turns; ++turned)
            for (std::size_t c = 0; c < kPlaceCells_m.size(); ++c) {
                PostFrame frame = post_frame(view);
                const double angle = 2 * std::numbers::pi * (turned + random.uniform(0, 1)) / turns;
                frame.y = (1 / view.gsd_m) * Point{std::cos(angle), std::sin(angle)};
                frame.x = {-frame.y.y, frame.y.x};
                const double cell_m = kPlaceCells_m[c], metre = 1 / view.gsd_m;
                const auto extras = place_extras(view, frame, cell_m);
                const auto put = [&](Kind kind, Point at) {
                    if (unseen_share(tile.scene, at, 10 * cell_m * metre) > 0.3) return;
                    double nearest = 1e9;
                    bool doubtful = false;
                    const OrientedRectangle* roof = nullptr;
                    for (const OrientedRectangle& r : rectangles) {
                        const Point off = (view.gsd_m / cell_m) * (r.centre - at);
                        const double apart = std::max(std::abs(dot(off, view.gsd_m * frame.x)),
                                                      std::abs(dot(off, view.gsd_m * frame.y)));
                        const double length = 2 * view.gsd_m * std::max(r.half_a, r.half_b);
                        const bool ours = is_ours(c, length);
                        if (ours && apart < nearest) nearest = apart, roof = &r;
                        if (apart < 5 && is_doubtful(c, length)) doubtful = true;
                    }
                    if (nearest > 2.6 && (nearest < 4.4 || doubtful)) return;
                    std::array<float, 6> targets{};
                    if (nearest <= 2.6) targets = outputs_for(frame, view.gsd_m, cell_m, at, *roof);
                    Patch patch;
                    place_patch(view, frame, cell_m, at, patch);
                    write_sample(out, static_cast<std::size_t>(k), kind, nearest <= 2.6, targets,
                                 extras, patch);
                    ++count;
                };
                for (const OrientedRectangle& r : rectangles)
                    for (int n = 0; n < 5; ++n) {
                        const double far = n < 3 ? 2.6 : 9;
                        put(kForced, r.centre + (random.uniform(-far, far) * cell_m) * frame.x +
                                         (random.uniform(-far, far) * cell_m) * frame.y);
                    }
                for (int n = 0; n < 250; ++n)
                    put(kRandom, {random.uniform(0, width), random.uniform(0, height)});
            }
    }
    std::fclose(out);
    fmt::print("{}: {} windows for places, {} roofs\n", path, count, roofs);
}

struct PixelCount {
    double hit = 0, false_hit = 0, missed = 0;
    void add(const Mask& truth, const Mask& said) {
        for (int y = 0; y < truth.height(); ++y)
            for (int x = 0; x < truth.width(); ++x) {
                hit += truth.at(x, y) != 0 && said.at(x, y) != 0;
                false_hit += truth.at(x, y) == 0 && said.at(x, y) != 0;
                missed += truth.at(x, y) != 0 && said.at(x, y) == 0;
            }
    }
    double f1() const { return 2 * hit / std::max(1.0, 2 * hit + false_hit + missed); }
};

Mask painted(const std::vector<Detection>& found, double from, int width, int height) {
    Mask mask(width, height);
    for (const Detection& d : found) {
        if (d.log_odds < from) continue;
        Point low{1e9, 1e9}, high{-1e9, -1e9};
        for (const Point p : d.footprint_px) {
            low = {std::min(low.x, p.x), std::min(low.y, p.y)};
            high = {std::max(high.x, p.x), std::max(high.y, p.y)};
        }
        for (int y = std::max(0, static_cast<int>(low.y));
             y <= std::min(height - 1, static_cast<int>(high.y)); ++y)
            for (int x = std::max(0, static_cast<int>(low.x));
                 x <= std::min(width - 1, static_cast<int>(high.x)); ++x)
                if (contains(d.footprint_px, {x + 0.5, y + 0.5})) mask.at(x, y) = 1;
    }
    return mask;
}

/// SpaceNet 1 (Rio): tiles img50 … img54 tune, img55 … img59 report. Thresholds are chosen on the
/// former and kept.
void score_rio(const std::string& folder, double azimuth_deg, double elevation_deg,
               const StructureOptions& given) {
    struct Answer {
        Mask truth;
        Plane plain;
        double scale = 1;
        std::vector<Detection> found;
    };
    std::vector<Answer> answers;
    StructureOptions options = given;
    options.building_min_log_odds = -6;
    for (int k = 50; k < 60; ++k) {
        Tile tile = read_tile(folder, k);
        Scene& scene = tile.scene;
        const int width = tile.truth.width(), height = tile.truth.height();
        if (elevation_deg > 0) {
            scene.info.sun_azimuth_deg = azimuth_deg;
            scene.info.sun_elevation_deg = elevation_deg;
        }
        Answer answer;
        answer.truth = std::move(tile.truth);
        const auto w = static_cast<double>(width), h = static_cast<double>(height);
        answer.scale = structure_view(scene).scale;
        answer.plain = building_index(brightness(scene.raster), scene.masks, 0.5, 1).plain;
        answer.found = detect_buildings(scene, surface_maps(scene, options),
                                        {{0, 0}, {w, 0}, {w, h}, {0, h}}, options);
        answers.push_back(std::move(answer));
    }
    const auto index_f1 = [&](std::size_t from, std::size_t to, double level) {
        PixelCount n;
        for (std::size_t i = from; i < to; ++i) {
            const Plane& plain = answers[i].plain;
            Mask said(plain.width(), plain.height());
            for (int y = 0; y < plain.height(); ++y)
                for (int x = 0; x < plain.width(); ++x)
                    said.at(x, y) = static_cast<double>(plain.at(x, y)) > level * answers[i].scale;
            n.add(answers[i].truth, said);
        }
        return n.f1();
    };
    const auto detector_f1 = [&](std::size_t from, std::size_t to, double level) {
        PixelCount n;
        for (std::size_t i = from; i < to; ++i)
            n.add(answers[i].truth, painted(answers[i].found, level, answers[i].truth.width(),
                                            answers[i].truth.height()));
        return n.f1();
    };
    const auto chosen = [](const auto& f1, std::initializer_list<double> levels) {
        double best = 0, level = 0;
        for (const double l : levels)
            if (const double value = f1(0, 5, l); value > best) best = value, level = l;
        return level;
    };
    const double level =
        chosen(index_f1, {0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.1, 1.4, 1.8});
    const double log_odds = chosen(
        detector_f1, {-5.5, -5.0, -4.5, -4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 1.0});
    fmt::print("plain building index, level {}: pixel F1 tune {:.3f}, report {:.3f}\n", level,
               index_f1(0, 5, level), index_f1(5, 10, level));
    fmt::print(
        "detector, log-odds {}: pixel F1 tune {:.3f}, report {:.3f}; as shipped ({}): {:.3f}, "
        "{:.3f}\n",
        log_odds, detector_f1(0, 5, log_odds), detector_f1(5, 10, log_odds),
        given.building_min_log_odds, detector_f1(0, 5, given.building_min_log_odds),
        detector_f1(5, 10, given.building_min_log_odds));
}

// --- what the network of surfaces learns from: whole scenes in cells, with labels

enum SurfaceLabel : std::uint8_t {
    kRoofLabel = 1,
    kBorderLabel = 2,
    kLineLabel = 4,
    kPostLabel = 8,
    kNoLabel = 16,    ///< nobody knows
    kRoofsOnly = 32,  ///< lines and posts are not labelled here
};

/// One scene of train_surfaces.py: width, height (int32), the extras (float), 1 with colour, else 0
/// (float); then the channels (128 + 32 value) and the labels, a byte each, plane by plane.
void write_surface(const std::string& path, const StructureView& view, const cv::Mat1b& labels) {
    std::FILE* out = std::fopen(path.c_str(), "wb");
    if (out == nullptr) throw std::runtime_error(path + ": cannot be written");
    const int size[2] = {labels.cols, labels.rows};
    std::fwrite(size, sizeof(int), 2, out);
    const auto extras = surface_extras(view);
    std::fwrite(extras.data(), sizeof(float), extras.size(), out);
    const float colour = view.scene->raster.bands.size() >= 3 ? 1.0F : 0.0F;
    std::fwrite(&colour, sizeof colour, 1, out);
    const auto n = static_cast<std::size_t>(labels.cols);
    std::vector<float> row(kSurfaceImages * n);
    cv::Mat1b image(kSurfaceImages * labels.rows, labels.cols);
    for (int y = 0; y < labels.rows; ++y) {
        surface_row(view, 0, y, labels.cols, row.data());
        for (int c = 0; c < kSurfaceImages; ++c)
            for (int x = 0; x < labels.cols; ++x)
                image(c * labels.rows + y, x) = static_cast<std::uint8_t>(std::lround(std::clamp(
                    128 + 32 * row[static_cast<std::size_t>(c) * n + static_cast<std::size_t>(x)],
                    0.0F, 255.0F)));
    }
    std::fwrite(image.data, 1, image.total(), out);
    std::fwrite(labels.data, 1, labels.total(), out);
    std::fclose(out);
}

void write_surface_samples(const Series& series) {
    const double gsd = series.grid.gsd(), per_cell = gsd / kSurfaceCell_m;
    const GridProjection projection(series.grid);
    constexpr int kShift = 4;
    const auto fixed = [&](Point px) {  // the middle of a cell is a whole number there
        return cv::Point(static_cast<int>(std::lround((px.x * per_cell - 0.5) * (1 << kShift))),
                         static_cast<int>(std::lround((px.y * per_cell - 0.5) * (1 << kShift))));
    };
    const auto ring = [&](const Ring& px) {
        std::vector<cv::Point> points;
        for (const Point p : px) points.push_back(fixed(p));
        return points;
    };
    for (std::size_t i = 0; i < series.scenes.size(); ++i) {
        const Scene& scene = series.scenes[i];
        const StructureView view = structure_view(scene);
        const int width = surface_cells(series.grid.width, gsd),
                  height = surface_cells(series.grid.height, gsd);
        cv::Mat1b labels(height, width, std::uint8_t{0}), drawn(height, width);
        const auto add = [&](std::uint8_t bits) { cv::bitwise_or(labels, bits, labels, drawn); };
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                const int u = std::min(series.grid.width - 1,
                                       static_cast<int>((x + .5) / per_cell)),
                          v = std::min(series.grid.height - 1,
                                       static_cast<int>((y + .5) / per_cell));
                if (!scene.seen(u, v)) labels(y, x) = kNoLabel;
            }
        for (const auto& s : series.truth.structures) {
            bool observable = true;
            if (!stands(s, scene.info.id, observable)) {
                if (observable) continue;
            }
            drawn = std::uint8_t{0};
            if (s.kind == "guard_post") {
                const Point at = projection.px_from_lonlat(s.position);
                cv::circle(
                    drawn, fixed(at),
                    static_cast<int>((observable ? 1.3 : 4) / kSurfaceCell_m * (1 << kShift)), 255,
                    cv::FILLED, cv::LINE_8, kShift);
                add(observable ? kPostLabel : kNoLabel);
                continue;
            }
            if (s.footprint.size() < 3) continue;
            Ring roof = projection.px_from_lonlat(s.footprint);
            for (Point& p : roof) p = p + roof_shift(view, s.height_m);
            const std::vector<cv::Point> points = ring(roof);
            cv::fillPoly(drawn, std::vector<std::vector<cv::Point>>{points}, 255, cv::LINE_8,
                         kShift);
            if (!observable) {
                cv::dilate(drawn, drawn, cv::Mat::ones(7, 7, CV_8U));
                add(kNoLabel);
                continue;
            }
            add(kRoofLabel);
            drawn = std::uint8_t{0};
            cv::polylines(drawn, std::vector<std::vector<cv::Point>>{points}, true, 255, 3,
                          cv::LINE_8, kShift);
            add(kBorderLabel);
        }
        for (const auto& p : series.truth.perimeters) {
            if (p.scene != scene.info.id || p.geometry.size() < 3) continue;
            drawn = std::uint8_t{0};
            cv::polylines(
                drawn,
                std::vector<std::vector<cv::Point>>{ring(projection.px_from_lonlat(p.geometry))},
                true, 255, 3, cv::LINE_8, kShift);
            add(kLineLabel);
        }
        write_surface(fmt::format("{}/surface_{}.bin", series.folder, i), view, labels);
    }
    fmt::print("{}: {} scenes of surfaces\n", series.folder, series.scenes.size());
    std::fflush(stdout);
}

void write_rio_surfaces(const std::string& folder, const std::string& out) {
    for (int k = 50; k < 60; ++k) {
        const Tile tile = read_tile(folder, k);
        const StructureView view = structure_view(tile.scene);
        const double per_cell = view.gsd_m / kSurfaceCell_m;
        const int width = surface_cells(tile.truth.width(), view.gsd_m),
                  height = surface_cells(tile.truth.height(), view.gsd_m);
        cv::Mat1b labels(height, width);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x)
                labels(y, x) = static_cast<std::uint8_t>(
                    kRoofsOnly |
                    (tile.truth.at(
                         std::min(tile.truth.width() - 1, static_cast<int>((x + .5) / per_cell)),
                         std::min(tile.truth.height() - 1,
                                  static_cast<int>((y + .5) / per_cell))) != 0
                         ? kRoofLabel
                         : 0));
        cv::Mat1b roof, outer, inner;
        cv::bitwise_and(labels, kRoofLabel, roof);
        cv::dilate(roof, outer, cv::Mat::ones(3, 3, CV_8U));
        cv::erode(roof, inner, cv::Mat::ones(3, 3, CV_8U));
        cv::bitwise_or(labels, kBorderLabel, labels, outer != inner);
        write_surface(fmt::format("{}/surface_{}.bin", out, k), view, labels);
    }
}

void print_figures(const std::vector<FamilyScore>& families) {
    for (const auto& family : families)
        for (const auto& f : family.figures)
            for (const char* wanted : {"post", "building", "height", "dat", "false"})
                if (f.name.find(wanted) != std::string::npos && f.cases > 0) {
                    fmt::print("   {:28} {:8.3f} of {:.0f}\n", f.name, f.value, f.cases);
                    break;
                }
}

}  // namespace

int main(int count, char** words) try {
    initialise_gdal();
    Options options;
    std::vector<std::string> folders;
    std::string rio;
    double azimuth_deg = 0, elevation_deg = 0;
    for (int i = 1; i < count; ++i) {
        const std::string word = words[i];
        const auto next = [&] { return std::string(i + 1 < count ? words[++i] : ""); };
        if (word == "--samples") {
            options.samples = true;
        } else if (word == "--posts" || word == "--places") {
            (word == "--posts" ? options.posts : options.places) = true;
        } else if (word == "--surfaces") {
            options.surfaces = true;
        } else if (word == "--refined") {
            options.refined = true;
        } else if (word == "--jitter") {
            options.jitter_m = std::stod(next());
        } else if (word == "--without") {
            const std::string what = next();
            if (what != "shadow" && what != "looks")
                throw std::runtime_error("--without: allowed are shadow and looks");
            (what == "shadow" ? options.no_shadow : options.single_looks) = true;
        } else if (word == "--report") {
            options.report = next();
        } else if (word == "--looks") {
            options.looks = next();
        } else if (word == "--rio") {
            rio = next();
        } else if (word == "--sun") {
            azimuth_deg = std::stod(next());
            elevation_deg = std::stod(next());
        } else if (word == "--set") {
            const std::string pair = next(), key = pair.substr(0, pair.find('=')),
                              value = pair.substr(pair.find('=') + 1);
            const auto set = [&](const std::string& name, auto& field, auto&&...) {
                if (name == key)
                    field = static_cast<std::decay_t<decltype(field)>>(std::stod(value));
            };
            describe(options.structures, set);
            describe(options.track, set);
        } else {
            folders.push_back(word);
        }
    }
    if (!rio.empty() && options.samples && options.surfaces)
        write_rio_surfaces(rio, folders.empty() ? "." : folders[0]);
    else if (!rio.empty() && options.samples)
        write_rio_samples(rio, folders.empty() ? "places.samples" : folders[0] + "/places.samples");
    else if (!rio.empty())
        score_rio(rio, azimuth_deg, elevation_deg, options.structures);
    if (folders.empty() || !rio.empty()) return 0;
    std::vector<SeriesScore> scores;
    Reliabilities reliability;
    for (const std::string& folder : folders) {
        Series series = read_series(folder, options);
        if (options.no_shadow)
            for (Scene& scene : series.scenes) {
                scene.info.sun_azimuth_deg.reset();
                scene.info.sun_elevation_deg.reset();
            }
        if (options.single_looks) {
            for (std::size_t i = 0; i < series.scenes.size(); ++i) {
                Series one;
                one.folder = series.folder;
                one.truth = series.truth;
                one.frames = series.frames;
                one.grid = series.grid;
                one.area_lonlat = series.area_lonlat;
                std::erase_if(one.truth.scenes, [&](const ReportScene& s) {
                    return s.id != series.scenes[i].info.id;
                });
                one.scenes.push_back(std::move(series.scenes[i]));
                one.lines.push_back(series.lines[i]);
                scores.push_back(score(one, options, reliability));
            }
            continue;
        }
        if (options.samples) {
            if (options.posts) write_post_samples(series, options);
            if (options.places) write_place_samples(series, options);
            if (options.surfaces) write_surface_samples(series);
            continue;
        }
        scores.push_back(score(series, options, reliability));
        EvaluateOptions quick;
        quick.bootstrap_rounds = 0;
        print_figures(aggregate(std::span(&scores.back(), 1), quick));
        std::fflush(stdout);
    }
    if (options.samples) return 0;
    if (scores.size() > 1) {
        for (SeriesScore& s : scores) s.family = "all";
        fmt::print("pooled\n");
        print_figures(aggregate(scores, {}));
    }
    reliability.post_forced.print("posts");
    reliability.building_forced.print("buildings");
    reliability.post_look.print("one look, posts");
    reliability.building_look.print("one look, buildings (IoU >= 0.2)");
    reliability.post_object.print("series, posts");
    reliability.building_object.print("series, buildings (IoU >= 0.2)");
    return 0;
} catch (const std::exception& error) {
    fmt::print(stderr, "structures_bench: {}\n", error.what());
    return 1;
}
