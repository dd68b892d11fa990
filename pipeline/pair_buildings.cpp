#include "pair_buildings.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "core/geometry.h"
#include "stages/structures.h"

namespace fenceline {
namespace {

// What no building explains is a structure only when it is as large as a small house and clear: on
// the tune series speckles of forest and fields are smaller or less sure.
constexpr double kAlone_m2 = 50, kAloneProbability = 0.93;

bool is_structure(ChangeClass c) {
    return c == ChangeClass::appeared || c == ChangeClass::disappeared ||
           c == ChangeClass::modified;
}

struct Box {
    double x0 = 1e30, y0 = 1e30, x1 = -1e30, y1 = -1e30;
    explicit Box(const Ring& ring) {
        for (const Point& p : ring) {
            x0 = std::min(x0, p.x);
            y0 = std::min(y0, p.y);
            x1 = std::max(x1, p.x);
            y1 = std::max(y1, p.y);
        }
    }
};

/// Whether outlines share ground: a corner or the middle of one lies in the other.
bool meet(const ChangeObject& a, const ChangeObject& b) {
    const Box u(a.outline_px), v(b.outline_px);
    if (u.x0 > v.x1 || v.x0 > u.x1 || u.y0 > v.y1 || v.y0 > u.y1) return false;
    const auto holds = [](const ChangeObject& outer, const ChangeObject& inner) {
        return contains(outer.outline_px, inner.centre_px) ||
               std::any_of(inner.outline_px.begin(), inner.outline_px.end(),
                           [&](Point p) { return contains(outer.outline_px, p); });
    };
    return holds(a, b) || holds(b, a);
}

/// Calls body(x, y) for the pixels of row y whose centres lie in the ring.
template <class Body>
void for_pixels(const Ring& ring, const Box& box, int y, int width, const Body& body) {
    const int first = std::max(0, static_cast<int>(std::floor(box.x0))),
              last = std::min(width - 1, static_cast<int>(std::floor(box.x1)));
    for (int x = first; x <= last; ++x)
        if (contains(ring, {x + 0.5, y + 0.5})) body(x);
}

/// Mean probability of change between the walls of each building, over what is observed; -1 where
/// nothing is.
std::vector<double> changed_shares(const CompareOutcome& outcome,
                                   const std::vector<Detection>& buildings) {
    std::vector<double> sum(buildings.size(), 0.0), count(buildings.size(), 0.0);
    std::vector<Box> boxes;
    for (const Detection& d : buildings) boxes.emplace_back(d.footprint_px);
    const auto columns = static_cast<std::size_t>(outcome.grid.width);
    std::vector<std::uint8_t> change(columns);
    std::vector<float> probability(columns);
    for (int y = 0; y < outcome.grid.height; ++y) {
        bool read = false;
        for (std::size_t i = 0; i < buildings.size(); ++i) {
            if (y + 1 < boxes[i].y0 || y > boxes[i].y1) continue;
            if (!read) outcome.map_row(y, change.data(), probability.data());
            read = true;
            for_pixels(buildings[i].footprint_px, boxes[i], y, outcome.grid.width, [&](int x) {
                const auto k = static_cast<std::size_t>(x);
                if (change[k] == static_cast<std::uint8_t>(ChangeClass::not_observed)) return;
                sum[i] += static_cast<double>(probability[k]);
                count[i] += 1;
            });
        }
    }
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = count[i] > 0 ? sum[i] / count[i] : -1;
    return sum;
}

/// The building as one image alone shows it: the detection nearest to it that overlaps it; null
/// when there is none.
const Detection* own_look(const Detection& building, const std::vector<Detection>& found) {
    const Detection* nearest = nullptr;
    for (const Detection& d : found)
        if ((contains(building.footprint_px, d.centre_px) ||
             contains(d.footprint_px, building.centre_px)) &&
            (nearest == nullptr || distance(d.centre_px, building.centre_px) <
                                       distance(nearest->centre_px, building.centre_px)))
            nearest = &d;
    return nearest;
}

/// The map's rows with the changed buildings drawn over them.
void draw(CompareOutcome& outcome, std::vector<ChangeObject> buildings) {
    auto rows = std::make_shared<std::vector<std::vector<std::size_t>>>(
        static_cast<std::size_t>(std::max(0, outcome.grid.height)));
    for (std::size_t i = 0; i < buildings.size(); ++i) {
        const Box box(buildings[i].outline_px);
        for (int y = std::max(0, static_cast<int>(std::floor(box.y0)));
             y <= std::min(outcome.grid.height - 1, static_cast<int>(std::floor(box.y1))); ++y)
            (*rows)[static_cast<std::size_t>(y)].push_back(i);
    }
    const auto drawn = std::make_shared<const std::vector<ChangeObject>>(std::move(buildings));
    outcome.map_row = [below = std::move(outcome.map_row), rows, drawn, width = outcome.grid.width](
                          int y, std::uint8_t* change, float* probability) {
        below(y, change, probability);
        for (const std::size_t i : (*rows)[static_cast<std::size_t>(y)]) {
            const ChangeObject& b = (*drawn)[i];
            for_pixels(b.outline_px, Box(b.outline_px), y, width, [&](int x) {
                if (change[x] != static_cast<std::uint8_t>(ChangeClass::not_observed))
                    change[x] = static_cast<std::uint8_t>(b.change_class);
            });
        }
    };
}

}  // namespace

double building_change_log_odds(double higher, double lower, double changed_share, double growth,
                                double moved_m) {
    // Logistic fits on tune series (benchmarks/RESULTS.md).
    const double change = std::log((changed_share + 0.01) / (1.01 - changed_share));
    if (lower <= 0) return -3.43 + 2.03 * change + 0.6 * (higher - lower);
    constexpr double kMostGrowth = 0.5;  // more is another building next to it
    return -1.99 + 1.94 * change + 6.32 * std::min(std::abs(growth), kMostGrowth) - 0.59 * moved_m;
}

void tell_buildings(CompareOutcome& outcome, double gsd_m, double min_probability) {
    const double w = outcome.grid.width, h = outcome.grid.height;
    const Ring everywhere{{0, 0}, {w, 0}, {w, h}, {0, h}};
    const StructureOptions options;
    const std::array<SurfaceMaps, 2> maps{surface_maps(outcome.before, options),
                                          surface_maps(outcome.after, options)};
    for (const auto& [scene, read] :
         {std::pair{&outcome.before, &maps[0]}, std::pair{&outcome.after, &maps[1]}})
        if (read->empty())
            scene->info.notes.push_back(
                "buildings read without the network of roofs, walls and posts: " + read->unread);
    const std::array<std::vector<Detection>, 2> found{
        detect_buildings(outcome.before, maps[0], everywhere, options),
        detect_buildings(outcome.after, maps[1], everywhere, options)};
    if (found[0].empty() && found[1].empty()) return;
    const std::vector<Detection> buildings = merge_detections(found, gsd_m, options);
    const std::vector<Look> first = look_at(outcome.before, maps[0], buildings, options),
                            second = look_at(outcome.after, maps[1], buildings, options);
    const std::vector<double> shares = changed_shares(outcome, buildings);
    const double least = std::log(min_probability / (1 - min_probability));

    std::vector<ChangeObject> changed;
    for (std::size_t i = 0; i < buildings.size(); ++i) {
        const Detection& d = buildings[i];
        const Look &a = first[i], &b = second[i];
        if (a.seen == Seen::not_observable || b.seen == Seen::not_observable || shares[i] < 0)
            continue;
        const double before = a.log_likelihood_ratio, after = b.log_likelihood_ratio;
        if (std::max(before, after) <= 0) continue;  // in neither, looked at again
        ChangeObject object;
        double growth = 0, moved_m = 0;
        if (const Detection* one = own_look(d, found[0]), *other = own_look(d, found[1]);
            one != nullptr && other != nullptr) {
            growth = std::log(other->area_m2 / one->area_m2);
            moved_m = gsd_m * distance(one->centre_px, other->centre_px);
        }
        object.log_odds = building_change_log_odds(std::max(before, after), std::min(before, after),
                                                   shares[i], growth, moved_m);
        if (object.log_odds < least) continue;
        object.change_class = before <= 0  ? ChangeClass::appeared
                              : after <= 0 ? ChangeClass::disappeared
                                           : ChangeClass::modified;
        object.probability = 1 / (1 + std::exp(-object.log_odds));
        object.outline_px = d.footprint_px;
        object.centre_px = d.centre_px;
        object.area_m2 = d.area_m2;
        changed.push_back(std::move(object));
    }

    auto& objects = outcome.map.objects;
    std::erase_if(objects, [&](const ChangeObject& object) {
        if (!is_structure(object.change_class)) return false;
        return object.area_m2 < kAlone_m2 || object.probability < kAloneProbability ||
               std::any_of(changed.begin(), changed.end(),
                           [&](const ChangeObject& b) { return meet(object, b); });
    });
    objects.insert(objects.end(), changed.begin(), changed.end());
    std::stable_sort(objects.begin(), objects.end(),
                     [](const ChangeObject& a, const ChangeObject& b) {
                         return std::tuple(a.centre_px.y, a.centre_px.x, a.area_m2) <
                                std::tuple(b.centre_px.y, b.centre_px.x, b.area_m2);
                     });
    draw(outcome, std::move(changed));
}

}  // namespace fenceline
