#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/geodesic.h"
#include "core/projection.h"
#include "core/version.h"
#include "simulate/simulate.h"
#include "simulate/sky.h"

namespace fenceline::simulate {
namespace {

Point centre_of(const Scenario& scenario) {
    const Transform to_map("EPSG:4326", utm_crs(scenario.place_lonlat));
    const Point p = to_map(scenario.place_lonlat);
    return {std::round(p.x), std::round(p.y)};
}

}  // namespace

Point map_from_local(const Scenario& scenario, Point local) { return centre_of(scenario) + local; }

Point Displacement::operator()(Point map) const {
    const Point p = map - centre_map;
    Point out{dx_m + linear[0] * p.x + linear[1] * p.y, dy_m + linear[2] * p.x + linear[3] * p.y};
    if (local.columns > 0) out = out + local({map.x - origin_map.x, origin_map.y - map.y});
    return out;
}

SceneFrame frame_of(const World& world, int index) {
    const Scenario& scenario = world.scenario;
    const ScenarioScene& scene = scenario.scenes[static_cast<std::size_t>(index)];
    SceneFrame frame;
    const std::string crs = utm_crs(scenario.place_lonlat);
    frame.grid.crs_wkt = wkt_of(crs);
    const Point centre = centre_of(scenario);
    Draw draw(scenario.seed, fmt::format("frame {}", index));
    // Images start where they start: whole pixels of their own, never the same corner twice.
    const double half_x = 0.5 * scenario.width_m + scenario.margin_m,
                 half_y = 0.5 * scenario.height_m + scenario.margin_m;
    const double x0 =
        std::round((centre.x - half_x + draw.uniform(-8, 8)) / scene.gsd_m) * scene.gsd_m;
    const double y0 =
        std::round((centre.y + half_y + draw.uniform(-8, 8)) / scene.gsd_m) * scene.gsd_m;
    frame.grid.geotransform = {x0, scene.gsd_m, 0, y0, 0, -scene.gsd_m};
    frame.grid.width = static_cast<int>(std::ceil(2 * half_x / scene.gsd_m));
    frame.grid.height = static_cast<int>(std::ceil(2 * half_y / scene.gsd_m));
    frame.sun = sun_position(scene.datetime, scenario.place_lonlat);

    const ScenarioRegistration& error = scene.registration;
    Displacement& d = frame.displacement;
    d.centre_map = centre;
    d.dx_m = error.dx_m;
    d.dy_m = error.dy_m;
    const double turn = error.rotation_mrad * 1e-3, scale = error.scale_ppm * 1e-6,
                 shear = error.shear_mrad * 1e-3;
    d.linear = {scale, -turn + shear, turn, scale};
    if (error.local_px > 0) {
        constexpr double kSpacing = 100;
        d.local.spacing_px = kSpacing;
        d.origin_map = {centre.x - half_x - 2 * kSpacing, centre.y + half_y + 2 * kSpacing};
        d.local.columns = static_cast<int>((2 * half_x + 4 * kSpacing) / kSpacing) + 2;
        d.local.rows = static_cast<int>((2 * half_y + 4 * kSpacing) / kSpacing) + 2;
        const std::uint32_t s = seed_for(scenario.seed, fmt::format("local {}", index));
        // Waves of 350 m and longer; scaled to the wanted rms over the lattice.
        double square = 0;
        std::vector<double> dx, dy;
        for (int j = 0; j < d.local.rows; ++j)
            for (int i = 0; i < d.local.columns; ++i) {
                const double x = i * kSpacing / 420.0, y = j * kSpacing / 420.0;
                dx.push_back(static_cast<double>(fractal(s, x + 0.37, y + 0.71, 2, 0.4F)));
                dy.push_back(static_cast<double>(fractal(s + 1, x + 0.13, y + 0.29, 2, 0.4F)));
            }
        const auto n = static_cast<double>(dx.size());
        double mx = 0, my = 0;
        for (std::size_t k = 0; k < dx.size(); ++k) {
            mx += dx[k] / n;
            my += dy[k] / n;
        }
        for (std::size_t k = 0; k < dx.size(); ++k) {
            dx[k] -= mx;
            dy[k] -= my;
            square += (dx[k] * dx[k] + dy[k] * dy[k]) / n;
        }
        const double factor = error.local_px * scene.gsd_m / std::sqrt(std::max(square, 1e-12));
        for (std::size_t k = 0; k < dx.size(); ++k) {
            d.local.dx.push_back(static_cast<float>(factor * dx[k]));
            d.local.dy.push_back(static_cast<float>(factor * dy[k]));
        }
    }

    SceneInfo& info = frame.info;
    info.id = scene.id;
    info.datetime = scene.datetime;
    info.sensor = scene.sensor;
    info.gsd_m = scene.gsd_m;
    if (scene.bands == "pan") info.roles = {BandRole::pan};
    if (scene.bands == "rgb") info.roles = {BandRole::red, BandRole::green, BandRole::blue};
    if (scene.bands == "bgrn")
        info.roles = {BandRole::blue, BandRole::green, BandRole::red, BandRole::nir};
    info.band_count = static_cast<int>(info.roles.size());
    info.sun_azimuth_deg = frame.sun.azimuth_deg;
    info.sun_elevation_deg = frame.sun.elevation_deg;
    info.off_nadir_deg = scene.off_nadir_deg;
    info.view_azimuth_deg = scene.view_azimuth_deg;
    info.simulated = true;
    return frame;
}

Ring area_lonlat(const Scenario& scenario) {
    const Transform to_lonlat(utm_crs(scenario.place_lonlat), "EPSG:4326");
    const Point c = centre_of(scenario);
    const double a = 0.5 * scenario.width_m, b = 0.5 * scenario.height_m;
    return to_lonlat(
        Ring{{c.x - a, c.y - b}, {c.x + a, c.y - b}, {c.x + a, c.y + b}, {c.x - a, c.y + b}});
}

Ring digitised_line(const World& world) {
    if (world.epochs.empty()) return {};
    const Scenario& scenario = world.scenario;
    const Ring fine = resample_ring(world.epochs.front().ring, 22);
    const Point c = centre_of(scenario);
    const std::uint32_t s = seed_for(scenario.seed, "digitised");
    Ring map;
    for (const Point p : fine) {
        // Smooth along the line; sigma of this noise is about 0.4 per axis.
        const double dx = static_cast<double>(fractal(s, p.x / 90, p.y / 90, 2)),
                     dy = static_cast<double>(fractal(s + 7, p.x / 90, p.y / 90, 2));
        map.push_back(c + p + (scenario.line.known_error_m / 0.45) * Point{dx, dy});
    }
    const Transform to_lonlat(utm_crs(scenario.place_lonlat), "EPSG:4326");
    return to_lonlat(simplify_ring(map, 1.0));
}

Truth make_truth(const World& world) {
    const Scenario& scenario = world.scenario;
    Truth truth;
    const std::string crs = utm_crs(scenario.place_lonlat);
    const Transform to_lonlat(crs, "EPSG:4326");
    const Point centre = centre_of(scenario);
    const auto lonlat = [&](const Ring& local) {
        Ring map;
        for (const Point p : local) map.push_back(centre + p);
        return to_lonlat(map);
    };
    Report& report = truth.report;
    report.software = {"fenceline simulate", version(), ""};
    report.simulated = true;
    Site site;
    site.id = scenario.id;
    site.name = scenario.name;
    site.type = "political_prison_camp";
    site.status = "simulated";
    site.area_lonlat = area_lonlat(scenario);
    report.site = site;
    const auto scene_count = static_cast<int>(scenario.scenes.size());
    for (int s = 0; s < scene_count; ++s) {
        truth.frames.push_back(frame_of(world, s));
        const SceneFrame& frame = truth.frames.back();
        ReportScene scene;
        scene.id = frame.info.id;
        scene.datetime = frame.info.datetime;
        scene.sensor = frame.info.sensor;
        scene.gsd_m = frame.info.gsd_m;
        scene.bands = frame.info.band_count;
        scene.sun_azimuth = frame.info.sun_azimuth_deg;
        scene.sun_elevation = frame.info.sun_elevation_deg;
        scene.off_nadir = frame.info.off_nadir_deg;
        scene.source = "images/" + frame.info.id + ".tif";
        scene.role = s == 0 ? "reference" : "used";
        const Sky sky(world, s, frame);
        int clear = 0;
        constexpr int kProbe = 40;
        for (int j = 0; j < kProbe; ++j)
            for (int i = 0; i < kProbe; ++i)
                if (sky.cover_at(((i + 0.5) / kProbe - 0.5) * scenario.width_m,
                                 ((j + 0.5) / kProbe - 0.5) * scenario.height_m)
                        .cloud < 0.5F)
                    ++clear;
        scene.usable_fraction = static_cast<double>(clear) / (kProbe * kProbe);
        report.scenes.push_back(scene);
        if (const Ring* ring =
                world.line_at(scenario.scenes[static_cast<std::size_t>(s)].datetime)) {
            ReportPerimeter perimeter;
            perimeter.scene = scene.id;
            perimeter.datetime = *scene.datetime;
            perimeter.geometry = lonlat(*ring);
            const GeodesicMeasure measure = measure_ring(perimeter.geometry);
            perimeter.area_m2 = measure.area_m2;
            perimeter.length_m = measure.length_m;
            perimeter.area_ci = {measure.area_m2, measure.area_m2};
            perimeter.length_ci = {measure.length_m, measure.length_m};
            perimeter.supported_fraction = 1;
            perimeter.origin = "given";
            perimeter.segments = {{"seen", measure.length_m}};
            report.perimeters.push_back(perimeter);
        }
    }
    const Grid& grid = truth.frames.empty() ? Grid{} : truth.frames.front().grid;
    report.grid = {crs, grid.gsd(), grid.width, grid.height, grid.geotransform};
    truth.visibility.resize(static_cast<std::size_t>(scene_count));

    // Looks at a thing and its interval, as an ideal observer of this series would report them.
    const auto time_of = [&](int s) {
        return scenario.scenes[static_cast<std::size_t>(s)].datetime;
    };
    const auto interval_of = [&](const Lifetime& life, auto& entry) {
        for (int s = 0; s < scene_count; ++s) {
            const Time t = time_of(s);
            if (life.at(t)) {
                if (!entry.first_seen) entry.first_seen = t;
                entry.last_seen = t;
            } else if (!entry.first_seen) {
                entry.last_not_seen = t;
            } else if (!entry.first_not_seen) {
                entry.first_not_seen = t;
            }
        }
    };
    int posts = 0, buildings = 0, changes = 0;
    const auto add_change = [&](const char* kind, const ReportStructure& structure,
                                Time last_not_seen, Time first_seen) {
        ReportChange change;
        change.id = fmt::format("change-{:03}", ++changes);
        change.kind = kind;
        change.state = "confirmed";
        change.confidence = 1;
        change.footprint = structure.footprint;
        change.position = structure.position;
        change.area_m2 = structure.area_m2;
        change.last_not_seen = last_not_seen;
        change.first_seen = first_seen;
        change.structure = structure.id;
        report.changes.push_back(change);
    };
    for (std::size_t i = 0; i < world.things.size(); ++i) {
        const Thing& thing = world.things[i];
        if (!thing.truth) continue;
        if (std::abs(thing.centre.x) > 0.5 * scenario.width_m ||
            std::abs(thing.centre.y) > 0.5 * scenario.height_m)
            continue;
        ReportStructure structure;
        const bool post = thing.kind == Kind::guard_post;
        structure.kind = post ? "guard_post" : "building";
        structure.id =
            post ? fmt::format("post-{:03}", ++posts) : fmt::format("building-{:04}", ++buildings);
        structure.position = to_lonlat(centre + thing.centre);
        structure.footprint = lonlat(thing.footprint());
        structure.area_m2 = measure_ring(structure.footprint).area_m2;
        structure.height_m = static_cast<double>(thing.ridge);
        structure.height_ci = Interval{*structure.height_m, *structure.height_m};
        structure.confidence = 1;
        interval_of(thing.life, structure);
        if (!structure.first_seen) {
            post ? --posts : --buildings;
            continue;
        }
        for (int s = 0; s < scene_count; ++s) {
            const SceneFrame& frame = truth.frames[static_cast<std::size_t>(s)];
            Visibility v;
            v.present = thing.life.at(time_of(s));
            const Point map = centre + thing.centre,
                        px = frame.grid.px_from_map(map + frame.displacement(map));
            v.in_image =
                px.x > 2 && px.y > 2 && px.x < frame.grid.width - 2 && px.y < frame.grid.height - 2;
            const Sky::Cover cover = Sky(world, s, frame).cover_at(thing.centre.x, thing.centre.y);
            v.cloud = static_cast<double>(cover.cloud);
            v.cloud_shadow = static_cast<double>(cover.shadow);
            v.pixels_across = std::min(thing.length, thing.width) / frame.grid.gsd();
            v.observable = v.in_image && v.cloud < 0.5 && v.pixels_across >= 3;
            truth.visibility[static_cast<std::size_t>(s)].push_back(v);
            structure.observations.push_back({report.scenes[static_cast<std::size_t>(s)].id,
                                              !v.observable ? "not_observable"
                                              : v.present   ? "present"
                                                            : "absent",
                                              v.present ? 10.0 : -10.0});
        }
        if (structure.last_not_seen && structure.first_seen)
            add_change(post ? "new_guard_post" : "new_building", structure,
                       *structure.last_not_seen, *structure.first_seen);
        if (structure.last_seen && structure.first_not_seen)
            add_change(post ? "removed_guard_post" : "removed_building", structure,
                       *structure.last_seen, *structure.first_not_seen);
        if (post) structure.footprint.clear();
        report.structures.push_back(structure);
    }
    for (ReportChange& change : report.changes)
        if (change.kind.find("guard_post") != std::string::npos) change.footprint.clear();

    for (std::size_t k = 0; k + 1 < world.epochs.size(); ++k) {
        const Time at{world.epochs[k].life.to};
        ReportChange change;
        const Ring &before = world.epochs[k].ring, &after = world.epochs[k + 1].ring;
        const bool expansion = std::abs(signed_area(after)) > std::abs(signed_area(before));
        change.kind = expansion ? "perimeter_expansion" : "perimeter_contraction";
        for (int s = 0; s < scene_count; ++s) {
            if (time_of(s) < at) change.last_not_seen = time_of(s);
            if (time_of(s) >= at && !change.first_seen) change.first_seen = time_of(s);
        }
        if (!change.first_seen || !change.last_not_seen) continue;
        change.id = fmt::format("change-{:03}", ++changes);
        change.state = "confirmed";
        change.confidence = 1;
        // Ground between both lines: the moved stretch of the wider one, back along the other.
        const Ring &wide = expansion ? after : before, &narrow = expansion ? before : after;
        Ring region;
        const Ring fine = resample_ring(wide, 2);
        const std::size_t n = fine.size();
        std::vector<bool> off(n);
        for (std::size_t i = 0; i < n; ++i) off[i] = distance_to_ring(narrow, fine[i]) > 0.5;
        // The longest such stretch: near its ends the moved line may touch the other one.
        std::size_t begin = 0, longest = 0;
        for (std::size_t i = 0; i < n; ++i) {
            if (off[i] || !off[(i + 1) % n]) continue;
            std::size_t length = 1;
            while (off[(i + length) % n]) ++length;
            if (length < longest) continue;
            longest = length;
            begin = i;
        }
        for (std::size_t j = 0; j < n && (j == 0 || off[(begin + j) % n]); ++j)
            region.push_back(fine[(begin + j) % n]);
        if (region.size() > 2) {
            const Ring back = resample_ring(narrow, 2);
            const auto nearest = [&](Point p) {
                std::size_t best = 0;
                for (std::size_t i = 1; i < back.size(); ++i)
                    if (distance(back[i], p) < distance(back[best], p)) best = i;
                return best;
            };
            const std::size_t from = nearest(region.back()), to = nearest(region.front());
            for (std::size_t i = from; i != to; i = (i + back.size() - 1) % back.size())
                region.push_back(back[i]);
        }
        change.footprint = lonlat(simplify_ring(region, 0.2));
        change.position = to_lonlat(centre + centroid(region));
        change.area_m2 =
            std::abs(measure_ring(lonlat(wide)).area_m2 - measure_ring(lonlat(narrow)).area_m2);
        change.area_ci = Interval{change.area_m2, change.area_m2};
        report.changes.push_back(change);
    }
    return truth;
}

}  // namespace fenceline::simulate
