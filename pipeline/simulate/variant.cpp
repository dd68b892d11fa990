#include "simulate/variant.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "simulate/noise.h"

namespace fenceline::simulate {
namespace {

/// Another number of things, a tenth or a third more or fewer; what is there stays there.
int some(Draw& draw, int count, double relative) {
    const double drawn = count * (1 + draw.uniform(-relative, relative));
    return count <= 0 ? count : std::max(1, static_cast<int>(std::lround(drawn)));
}

void draw_scene(ScenarioScene& scene, const ScenarioVariants& v, Draw& draw) {
    const auto around = [&](double value, double half_range, double low, double high) {
        return std::clamp(value + draw.uniform(-half_range, half_range), low, high);
    };
    const auto about = [&](double value, double relative, double low, double high) {
        return std::clamp(value * (1 + draw.uniform(-relative, relative)), low, high);
    };
    const double minutes =
        draw.uniform(-v.minutes, v.minutes) + 24 * 60 * std::round(draw.uniform(-v.days, v.days));
    scene.datetime.microseconds += static_cast<std::int64_t>(minutes * 60) * 1000000;
    scene.gsd_m = std::round(about(scene.gsd_m, v.gsd, 0.2, 5) * 100) / 100;
    scene.off_nadir_deg = around(scene.off_nadir_deg, v.off_nadir_deg, 0, 40);
    scene.view_azimuth_deg = std::fmod(
        scene.view_azimuth_deg + draw.uniform(-v.view_azimuth_deg, v.view_azimuth_deg) + 360, 360);
    scene.haze = around(scene.haze, v.haze, 0, 1);
    // A clear winter day does not turn cloudy, nor a summer's day snowy: only what is there varies.
    const double cloud = around(scene.cloud, v.cloud, 0.02, 1),
                 snow = around(scene.snow, v.snow, 0.02, 1);
    if (scene.cloud > 0) scene.cloud = cloud;
    if (scene.snow > 0) scene.snow = snow;
    scene.soil_moisture = around(scene.soil_moisture, v.soil_moisture, 0, 1);
    scene.blur_px = around(scene.blur_px, v.blur_px, 0.2, 3);
    scene.noise = about(scene.noise, v.noise, 0, 20);
    const double gain = 1 + draw.uniform(-v.gain, v.gain);
    if (scene.gain.empty() && v.gain > 0)
        scene.gain.assign(scene.bands == "pan" ? 1 : scene.bands == "rgb" ? 3 : 4, 1.0);
    for (double& g : scene.gain) g = std::clamp(g * gain, 0.05, 20.0);
    ScenarioRegistration& r = scene.registration;
    r.dx_m = around(r.dx_m, v.shift_m, -100, 100);
    r.dy_m = around(r.dy_m, v.shift_m, -100, 100);
    r.rotation_mrad = around(r.rotation_mrad, v.rotation_mrad, -20, 20);
    r.scale_ppm = around(r.scale_ppm, v.scale_ppm, -20000, 20000);
    r.local_px = around(r.local_px, v.local_px, 0, 5);
}

int times(int count, double factor) {
    return count <= 0 ? count : std::max(1, static_cast<int>(std::lround(count * factor)));
}

}  // namespace

Scenario draw_variant(const Scenario& scenario, std::uint64_t seed) {
    Scenario out = scenario;
    if (seed == scenario.seed) return out;
    out.seed = seed;
    const ScenarioVariants& v = out.variants;
    for (std::size_t i = 0; i < out.scenes.size(); ++i) {
        // A stream per scene: one more scene at the end changes none before it.
        Draw draw(seed, fmt::format("variant of scene {}", i));
        draw_scene(out.scenes[i], v, draw);
        if (i > 0 && out.scenes[i].datetime <= out.scenes[i - 1].datetime)
            out.scenes[i].datetime.microseconds =
                out.scenes[i - 1].datetime.microseconds + 3600LL * 1000000;
    }
    Draw land(seed, "variant of the land");
    out.land.texture =
        std::clamp(out.land.texture * (1 + land.uniform(-v.texture, v.texture)), 0.2, 3.0);

    Draw things(seed, "variant of the objects");
    out.line.posts = some(things, out.line.posts, v.counts);
    for (auto& change : out.line_changes) change.posts = some(things, change.posts, v.counts);
    for (auto& change : out.post_changes) {
        change.added = some(things, change.added, v.counts);
        // Never more than the fewest that may stand.
        change.removed = std::min(change.removed, some(things, change.removed, v.counts));
    }
    auto& b = out.buildings;
    for (int* count : {&b.barracks, &b.workshops, &b.houses, &b.offices})
        *count = some(things, *count, v.counts);
    for (auto& change : out.building_changes) {
        change.added = some(things, change.added, v.counts);
        change.removed = std::min(change.removed, some(things, change.removed, v.counts));
    }
    auto& d = out.distractors;
    for (int* count :
         {&d.vehicles, &d.haystacks, &d.ponds, &d.repainted_roofs, &d.felled_patches, &d.pylons})
        *count = some(things, *count, v.counts);

    // A line of given vertices is given; a drawn one gets another size, and its changes another
    // extent. Lengths follow as the shape's: with the root of the area.
    if (out.line.vertices.empty() && v.size > 0) {
        Draw line(seed, "variant of the line");
        const double before = out.line.area_m2;
        const double factor = 1 + line.uniform(-v.size, 0.3 * v.size);  // it must fit into the area
        out.line.area_m2 *= factor;
        out.line.length_m *= std::sqrt(factor);
        double file_area = before, area = out.line.area_m2;
        for (auto& change : out.line_changes) {
            const double growth =
                (change.area_m2 / file_area - 1) * (1 + line.uniform(-v.size, 0.3 * v.size));
            file_area = change.area_m2;
            change.area_m2 = area * (1 + growth);
            if (change.length_m > 0) change.length_m *= std::sqrt(change.area_m2 / file_area);
            area = change.area_m2;
            change.direction_deg = line.uniform(0, 360);
        }
    }
    return out;
}

Scenario scaled(const Scenario& scenario, double factor) {
    Scenario out = scenario;
    if (factor == 1) return out;
    const double square = factor * factor;
    out.width_m *= factor;
    out.height_m *= factor;
    out.land.relief_m *= factor;
    out.land.villages = times(out.land.villages, square);
    out.line.area_m2 *= square;
    out.line.length_m *= factor;
    for (Point& p : out.line.vertices) p = factor * p;
    out.line.posts = times(out.line.posts, factor);
    for (auto& change : out.line_changes) {
        change.area_m2 *= square;
        change.length_m *= factor;
        change.posts = times(change.posts, factor);
    }
    for (auto& change : out.post_changes) {
        change.added = times(change.added, factor);
        change.removed = times(change.removed, factor);
    }
    auto& b = out.buildings;
    for (int* count : {&b.barracks, &b.workshops, &b.houses, &b.offices})
        *count = times(*count, square);
    for (auto& change : out.building_changes) {
        change.added = times(change.added, square);
        change.removed = times(change.removed, square);
        change.rebuilt = times(change.rebuilt, square);
    }
    auto& d = out.distractors;
    for (int* count :
         {&d.vehicles, &d.haystacks, &d.ponds, &d.repainted_roofs, &d.felled_patches, &d.pylons})
        *count = times(*count, square);
    return out;
}

}  // namespace fenceline::simulate
