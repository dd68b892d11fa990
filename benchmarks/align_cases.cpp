#include "align_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <random>

#include "core/error.h"
#include "core/parallel.h"
#include "core/projection.h"
#include "input/image_io.h"
#include "input/scene_catalog.h"
#include "input/truth.h"
#include "pair_grid.h"
#include "stages/observe.h"

namespace fenceline::bench {
namespace {

namespace fs = std::filesystem;
constexpr double kPi = std::numbers::pi;
using Field = std::function<Point(Point)>;

Scene plain_scene(Plane plane, double gsd_m) {
    Scene scene;
    const int width = plane.width(), height = plane.height();
    scene.raster.grid = {"", {0, gsd_m, 0, 0, 0, -gsd_m}, width, height};
    scene.raster.roles = {BandRole::pan};
    scene.raster.valid = Mask(width, height, 1);
    scene.masks = Mask(width, height, 0);
    scene.raster.bands.push_back(std::move(plane));
    scene.info.gsd_m = gsd_m;
    scene.usable_fraction = 1;
    return scene;
}

SceneInfo probed(const std::string& path) {
    SceneInfo info;
    info.path = path;
    info.id = fs::path(path).stem().string();
    probe_image(info, {});
    return info;
}

struct Tile {
    std::string name;
    Plane image;
    double gsd_m = 0.5;
};

Tile read_tile(const std::string& name, const std::string& path, double gsd_m, int crop = 0) {
    const SceneInfo info = probed(path);
    Grid grid = image_grid(info, {});
    if (crop > 0) {
        grid.geotransform[0] += grid.geotransform[1] * (grid.width / 2 - crop / 2);
        grid.geotransform[3] += grid.geotransform[5] * (grid.height / 2 - crop / 2);
        grid.width = grid.height = crop;
    }
    return {name, luminance(read_on_grid(info, grid, {}, {}).raster), gsd_m};
}

std::vector<Tile> tiles_of(const std::string& data, Split split) {
    const bool tune = split == Split::tune;
    std::vector<Tile> tiles;
    for (int k = 0; k < 5; ++k) {
        const std::string name = fmt::format("img{}", (tune ? 50 : 55) + k);
        tiles.push_back(
            read_tile("rio " + name, data + "/spacenet1_rio/images/" + name + ".tif", 0.5));
    }
    const std::vector<std::string> joplin =
        tune ? std::vector<std::string>{"pre/tile_1361-10160", "pre/tile_337-9136",
                                        "post/tile_31500-5137", "post/tile_32524-6161",
                                        "post/tile_33548-5137"}
             : std::vector<std::string>{"pre/tile_1361-9136", "pre/tile_337-10160",
                                        "post/tile_31500-6161", "post/tile_32524-5137",
                                        "post/tile_33548-6161"};
    for (const std::string& name : joplin)
        tiles.push_back(read_tile("joplin " + name, data + "/joplin/" + name + ".tif", 0.6));
    const std::vector<std::string> oscd =
        tune ? std::vector<std::string>{"aguasclaras", "bordeaux", "nantes"}
             : std::vector<std::string>{"paris", "rennes", "saclay_e", "hongkong"};
    for (const std::string& city : oscd)
        tiles.push_back(read_tile("oscd " + city, data + "/oscd/" + city + "/t1/B04.tif", 10));
    tiles.push_back(read_tile("arosics",
                              data + "/arosics_s2_pair/" +
                                  (tune ? "tgt_S2A_20160529T153631_T33UUU_sub.jp2"
                                        : "ref_S2A_20160608T153121_T33UUU_sub.jp2"),
                              10, 900));
    return tiles;
}

/// Kaiser's window, beta 9, from t² in [0, 1), by linear steps of 1/65536 (exact to 1e-9).
double kaiser(double t_squared) {
    static const std::vector<double> table = [] {
        std::vector<double> values(65538);
        for (std::size_t k = 0; k < values.size(); ++k)
            values[k] = std::cyl_bessel_i(
                0, 9 * std::sqrt(std::max(0.0, 1 - static_cast<double>(k) / 65536)));
        return values;
    }();
    const double at = t_squared * 65536;
    const auto k = static_cast<std::size_t>(at);
    return table[k] + (at - static_cast<double>(k)) * (table[k + 1] - table[k]);
}

/// Windowed sinc (Kaiser, 16 samples each way), normalised: flat to 0.45 cycles a pixel.
struct Sinc {
    static constexpr int kReach = 16;
    std::array<double, 2 * kReach> weight{};
    int first = 0;
    explicit Sinc(double at) {
        const double base = std::floor(at), sine = std::sin(kPi * (at - base));
        first = static_cast<int>(base) - kReach + 1;
        double sum = 0;
        for (int k = 0; k < 2 * kReach; ++k) {
            const double d = at - (first + k), t = d / kReach;
            if (std::abs(t) >= 1) continue;
            // sin π(at − n) = ± sin π(at − base)
            const bool odd = ((kReach - 1 - k) & 1) != 0;
            const double sinc = std::abs(d) < 1e-9 ? 1 : (odd ? -sine : sine) / (kPi * d);
            const double w = sinc * kaiser(t * t);
            weight[static_cast<std::size_t>(k)] = w;
            sum += w;
        }
        for (double& w : weight) w /= sum;
    }
};

/// The image as seen where place(q) tells for each pixel centre q; invalid where taps are missing.
void resample(const Plane& image, const Field& place, Plane& out, Mask& valid) {
    const int width = image.width(), height = image.height();
    out = Plane(width, height);
    valid = Mask(width, height, 0);
    parallel_rows(height, [&](int y0, int y1) {
        for (int y = y0; y < y1; ++y)
            for (int x = 0; x < width; ++x) {
                const Point p = place({x + 0.5, y + 0.5}) - Point{0.5, 0.5};
                if (!(p.x >= Sinc::kReach && p.y >= Sinc::kReach &&
                      p.x < width - Sinc::kReach - 1 && p.y < height - Sinc::kReach - 1))
                    continue;
                const Sinc u(p.x), v(p.y);
                double sum = 0;
                for (int j = 0; j < 2 * Sinc::kReach; ++j) {
                    const float* row = image.row(v.first + j) + u.first;
                    double line = 0;
                    for (int i = 0; i < 2 * Sinc::kReach; ++i)
                        line += u.weight[static_cast<std::size_t>(i)] * static_cast<double>(row[i]);
                    sum += v.weight[static_cast<std::size_t>(j)] * line;
                }
                out.at(x, y) = static_cast<float>(sum);
                valid.at(x, y) = 1;
            }
    });
}

/// The reference's pixel that the target shows at q.
Field inverse(const Field& target_from_reference) {
    return [target_from_reference](Point q) {
        Point p = q;
        for (int i = 0; i < 60; ++i) {
            const Point rest = q - target_from_reference(p);
            p = p + rest;
            if (norm(rest) < 1e-9) break;
        }
        return p;
    };
}

/// What another day does to an image: a tenth of the area replaced by ground from elsewhere in the
/// tile, gamma, uneven light, noise, whole grey levels.
void another_day(Plane& image, const Mask& valid, const Plane& source, std::mt19937& random) {
    std::uniform_real_distribution<double> unit(0, 1);
    std::normal_distribution<double> error(0, 1);
    const int width = image.width(), height = image.height();
    double low = 1e30, high = -1e30, sum = 0, squares = 0, n = 0;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            if (valid.at(x, y) != 0) {
                const auto v = static_cast<double>(image.at(x, y));
                low = std::min(low, v), high = std::max(high, v);
                sum += v, squares += v * v, n += 1;
            }
    const double spread = std::sqrt(std::max(1e-12, squares / n - sum * sum / n / n));
    double changed = 0;
    while (changed < 0.1 * width * height) {
        const int w = static_cast<int>(20 + 60 * unit(random)),
                  h = static_cast<int>(20 + 60 * unit(random));
        const int x0 = static_cast<int>(unit(random) * (width - w)),
                  y0 = static_cast<int>(unit(random) * (height - h));
        const int sx = static_cast<int>(unit(random) * (width - w)),
                  sy = static_cast<int>(unit(random) * (height - h));
        for (int y = 0; y < h; ++y)
            for (int x = 0; x < w; ++x) image.at(x0 + x, y0 + y) = source.at(sx + x, sy + y);
        changed += static_cast<double>(w) * h;
    }
    const double gamma = 0.75 + 0.5 * unit(random), ax = 2 * kPi * unit(random),
                 tilt = 0.1 + 0.1 * unit(random), gain = 0.8 + 0.4 * unit(random);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const double light =
                1 + tilt * (std::cos(ax) * (x / static_cast<double>(width) - 0.5) +
                            std::sin(ax) * (y / static_cast<double>(height) - 0.5));
            const double t =
                std::clamp((static_cast<double>(image.at(x, y)) - low) / (high - low), 0.0, 1.0);
            const double v = gain * light * (low + (high - low) * std::pow(t, gamma)) +
                             0.04 * spread * error(random);
            image.at(x, y) = static_cast<float>(std::round(v));
        }
}

Field make_field(const std::string& group, double gsd_m, int width, int height,
                 std::mt19937& random) {
    std::uniform_real_distribution<double> side(-1, 1);
    const Point centre{0.5 * width, 0.5 * height};
    Point shift{5 * side(random), 5 * side(random)};
    if (group == "far") {
        const double far_px = std::min(100 / gsd_m, 0.35 * std::min(width, height));
        shift = {far_px * side(random), far_px * side(random)};
        (std::abs(side(random)) < 0.5 ? shift.x : shift.y) = side(random) < 0 ? -far_px : far_px;
    }
    double a = 0, b = 0, c = 0, d = 0;
    if (group == "affine" || group == "local") {
        const double size = group == "affine" ? 4e-3 : 1e-3;
        a = size * side(random), b = size * side(random), c = size * side(random),
        d = size * side(random);
    }
    if (group != "local")
        return [=](Point p) {
            const Point q = p - centre;
            return p + shift + Point{a * q.x + b * q.y, c * q.x + d * q.y};
        };
    struct Wave {
        double kx, ky, phase, ax, ay;
    };
    std::vector<Wave> waves;
    for (int k = 0; k < 2; ++k) {
        const double wavelength = 350 + 81 * (side(random) + 1), angle = kPi * side(random),
                     turn = kPi * side(random);
        // Two waves: together up to 1.4 px in amplitude.
        waves.push_back({2 * kPi / wavelength * std::cos(angle),
                         2 * kPi / wavelength * std::sin(angle), kPi * side(random),
                         0.7 * std::numbers::sqrt2 * std::cos(turn),
                         0.7 * std::numbers::sqrt2 * std::sin(turn)});
    }
    return [=](Point p) {
        const Point q = p - centre;
        Point out = p + shift + Point{a * q.x + b * q.y, c * q.x + d * q.y};
        for (const Wave& w : waves) {
            const double s = std::sin(w.kx * p.x + w.ky * p.y + w.phase);
            out = out + Point{w.ax * s, w.ay * s};
        }
        return out;
    };
}

/// group "wedge": a local field, a corner of the tile being black without being declared no data.
AlignCase tile_case(Tile tile, const std::string& group, unsigned seed) {
    std::mt19937 random(seed);
    if (group == "wedge")
        for (int y = 0; y < tile.image.height(); ++y)
            for (int x = 0; x < tile.image.width(); ++x)
                if (1.0 * x / tile.image.width() + 1.2 * y / tile.image.height() < 0.7)
                    tile.image.at(x, y) = 0;
    AlignCase pair;
    pair.group = group;
    pair.name = tile.name;
    pair.truth = make_field(group == "wedge" ? "local" : group, tile.gsd_m, tile.image.width(),
                            tile.image.height(), random);
    pair.reference = plain_scene(tile.image, tile.gsd_m);
    Plane image;
    Mask valid;
    resample(tile.image, inverse(pair.truth), image, valid);
    another_day(image, valid, tile.image, random);
    for (int y = 0; y < image.height(); ++y)
        for (int x = 0; x < image.width(); ++x)
            if (valid.at(x, y) == 0) image.at(x, y) = 0;
    pair.target = plain_scene(std::move(image), tile.gsd_m);
    for (int y = 0; y < valid.height(); ++y)
        for (int x = 0; x < valid.width(); ++x)
            if (valid.at(x, y) == 0) pair.target.masks.at(x, y) = kNoData;
    pair.target.raster.valid = std::move(valid);
    return pair;
}

/// Correlated noise: every octave counts by its length, from finest to coarsest px.
Plane clouds(int width, int height, double finest, double coarsest, double roughness,
             unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> error(0, 1);
    Plane out(width, height, 150.0F);
    for (double size = finest; size <= coarsest; size *= 2) {
        const int columns = static_cast<int>(width / size) + 3,
                  rows = static_cast<int>(height / size) + 3;
        std::vector<double> node(static_cast<std::size_t>(columns) *
                                 static_cast<std::size_t>(rows));
        for (double& v : node) v = error(random);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                const double u = x / size, v = y / size;
                const int i = static_cast<int>(u), j = static_cast<int>(v);
                const double a = 0.5 - 0.5 * std::cos(kPi * (u - i)),
                             b = 0.5 - 0.5 * std::cos(kPi * (v - j));
                const auto at = [&](int m, int n) {
                    return node[static_cast<std::size_t>(n) * static_cast<std::size_t>(columns) +
                                static_cast<std::size_t>(m)];
                };
                out.at(x, y) +=
                    static_cast<float>(std::pow(size / coarsest, roughness) * 30 *
                                       ((at(i, j) * (1 - a) + at(i + 1, j) * a) * (1 - b) +
                                        (at(i, j + 1) * (1 - a) + at(i + 1, j + 1) * a) * b));
            }
    }
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) out.at(x, y) = std::round(out.at(x, y));
    return out;
}

Plane cropped(const Plane& image, int width, int height) {
    Plane out(width, height);
    for (int y = 0; y < height; ++y) std::copy_n(image.row(y), width, out.row(y));
    return out;
}

}  // namespace

void real_tile_cases(const std::string& data, Split split, const std::vector<std::string>& groups,
                     unsigned repeats, const TakeCase& take) {
    const std::vector<Tile> tiles = tiles_of(data, split);
    for (const char* group : {"translation", "affine", "local", "far", "wedge"}) {
        if (!groups.empty() && std::find(groups.begin(), groups.end(), group) == groups.end())
            continue;
        unsigned k = 0;
        for (const Tile& tile : tiles) {
            ++k;
            const bool far = std::string(group) == "far";
            if (far && tile.image.width() < 600) continue;
            for (unsigned repeat = 0; repeat < repeats * (far ? 5U : 1U); ++repeat)
                take(tile_case(tile, group,
                               1000 * k + 10 * repeat + static_cast<unsigned>(group[0]) +
                                   (split == Split::tune ? 0U : 900000U)));
        }
    }
}

void hopeless_cases(const std::string& data, Split split, const TakeCase& take) {
    const std::vector<Tile> tiles = tiles_of(data, split);
    const auto offer = [&](const std::string& name, const Tile& tile, Plane target) {
        AlignCase pair;
        pair.group = "hopeless";
        pair.name = name;
        pair.hopeless = true;
        pair.reference =
            plain_scene(cropped(tile.image, target.width(), target.height()), tile.gsd_m);
        pair.target = plain_scene(std::move(target), tile.gsd_m);
        take(std::move(pair));
    };
    unsigned seed = split == Split::tune ? 1 : 7001;
    for (std::size_t a = 0; a < tiles.size(); ++a)
        for (std::size_t b = 0; b < tiles.size(); ++b) {
            // (Joplin's before and after tiles overlap in places: those are not other places.)
            if (a == b || tiles[a].gsd_m != tiles[b].gsd_m) continue;
            if (tiles[a].name[0] == 'j' &&
                tiles[a].name.substr(0, 10) != tiles[b].name.substr(0, 10))
                continue;
            const int width = std::min(tiles[a].image.width(), tiles[b].image.width()),
                      height = std::min(tiles[a].image.height(), tiles[b].image.height());
            offer("other place: " + tiles[b].name, tiles[a],
                  cropped(tiles[b].image, width, height));
        }
    for (const Tile& tile : tiles) {
        const int width = tile.image.width(), height = tile.image.height();
        offer("all cloud: " + tile.name, tile, clouds(width, height, 4, 256, 0.9, ++seed));
        offer("water: " + tile.name, tile, clouds(width, height, 2, 16, 0.2, ++seed));
        offer("noise: " + tile.name, tile, clouds(width, height, 1, 1, 0, ++seed));
        Plane mirrored(width, height), turned(width, height);
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                mirrored.at(x, y) = tile.image.at(width - 1 - x, y);
                turned.at(x, y) = tile.image.at(width - 1 - x, height - 1 - y);
            }
        offer("mirrored: " + tile.name, tile, std::move(mirrored));
        offer("upside down: " + tile.name, tile, std::move(turned));
    }
}

std::optional<SimulatedSeries> simulated_series(const std::string& folder) {
    const TruthFrames truth = read_truth_frames(folder + "/truth.json");
    std::vector<SceneInfo> infos;
    std::vector<SceneDisplacement> moved;
    for (const SceneInfo& info : find_scenes(folder + "/images", {}))
        for (const SceneDisplacement& d : truth.displacements)
            if (info.id == d.scene && info.left_out.empty()) {
                infos.push_back(info);
                moved.push_back(d);
            }
    if (infos.size() < 2) return std::nullopt;
    SimulatedSeries series;
    series.name = fs::path(folder).filename().string();
    const std::size_t half = infos.size() / 2;
    const Ring area = image_footprint(infos[half], {});
    const Grid grid = pair_grid(infos[half], infos[0], area, {}, {});
    for (const SceneInfo& info : infos) {
        GridImage image = read_on_grid(info, grid, {}, {});
        series.scenes.push_back(observe(info, std::move(image.raster), std::move(image.masks),
                                        image.mask_given, area, {}));
    }
    // The scene nearest the middle that shows most of the ground, as a run would choose.
    series.middle = half;
    for (std::size_t k = 0; k < infos.size(); ++k) {
        const auto i = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(half) +
                                                (k % 2 == 0 ? 1 : -1) *
                                                    static_cast<std::ptrdiff_t>((k + 1) / 2));
        if (i < infos.size() && series.scenes[i].usable_fraction >= 0.7) {
            series.middle = i;
            break;
        }
    }
    const auto displacement = [](const SceneDisplacement& d, Point m) {
        const Point p = m - d.centre_map;
        Point out{d.dx_m + d.linear[0] * p.x + d.linear[1] * p.y,
                  d.dy_m + d.linear[2] * p.x + d.linear[3] * p.y};
        if (d.lattice.columns > 0)
            out = out + d.lattice({m.x - d.origin_map.x, d.origin_map.y - m.y});
        return out;
    };
    series.truth = [grid, displacement, moved](std::size_t to, std::size_t from, Point p) {
        const Point seen = grid.map_from_px(p);
        Point ground = seen;
        for (int i = 0; i < 8; ++i) ground = seen - displacement(moved[from], ground);
        return grid.px_from_map(ground + displacement(moved[to], ground));
    };
    return series;
}

void simulated_cases(const std::vector<std::string>& folders, bool all_pairs,
                     const TakeCase& take) {
    for (const std::string& folder : folders) {
        const std::optional<SimulatedSeries> series = simulated_series(folder);
        if (!series) continue;
        const std::size_t count = series->scenes.size();
        for (std::size_t r = 0; r < count; ++r) {
            if (!all_pairs && r != series->middle) continue;
            for (std::size_t t = 0; t < count; ++t) {
                if (t == r || (all_pairs && t < r)) continue;
                AlignCase pair;
                pair.group = "simulated";
                pair.name =
                    fmt::format("{} {} on {}", series->name, series->scenes[t].info.id.substr(0, 8),
                                series->scenes[r].info.id.substr(0, 8));
                pair.reference = series->scenes[r];
                pair.target = series->scenes[t];
                pair.truth = [truth = series->truth, t, r](Point p) { return truth(t, r, p); };
                take(std::move(pair));
            }
        }
    }
}

namespace {

AlignCase real_pair(const std::string& group, const std::string& reference_path,
                    const std::string& target_path) {
    const SceneInfo reference = probed(reference_path), target = probed(target_path);
    const Ring area = image_footprint(reference, {});
    const Grid own = pair_grid(reference, target, area, {}, {}), working = with_metric_crs(own),
               twin = metric_twin(own);
    const auto read = [&](const SceneInfo& info) {
        GridImage image = read_on_grid(info, working, {}, {});
        Scene scene = observe(info, std::move(image.raster), std::move(image.masks),
                              image.mask_given, area, {});
        scene.raster.grid = twin;
        return scene;
    };
    AlignCase pair;
    pair.group = group;
    pair.name = fmt::format("{} on {}", target.id, reference.id);
    pair.reference = read(reference);
    pair.target = read(target);
    return pair;
}

}  // namespace

void joplin_cases(const std::string& data, const TakeCase& take) {
    std::vector<std::string> pre, post;
    for (const auto& entry : fs::directory_iterator(data + "/joplin/pre"))
        pre.push_back(entry.path().string());
    for (const auto& entry : fs::directory_iterator(data + "/joplin/post"))
        post.push_back(entry.path().string());
    std::sort(pre.begin(), pre.end());
    std::sort(post.begin(), post.end());
    for (const std::string& a : pre)
        for (const std::string& b : post) {
            try {
                AlignCase pair = real_pair("joplin", a, b);
                double common = 0;
                for (int y = 0; y < pair.target.masks.height(); ++y)
                    for (int x = 0; x < pair.target.masks.width(); ++x)
                        common += pair.target.seen(x, y) && pair.reference.seen(x, y) ? 1 : 0;
                if (common > 90000) take(std::move(pair));
            } catch (const DataError&) {  // these two do not overlap
            }
        }
}

void arosics_case(const std::string& data, const TakeCase& take) {
    take(real_pair("arosics", data + "/arosics_s2_pair/ref_S2A_20160608T153121_T33UUU_sub.jp2",
                   data + "/arosics_s2_pair/tgt_S2A_20160529T153631_T33UUU_sub.jp2"));
}

std::vector<Scene> dabancheng_scenes(const std::string& data) {
    std::vector<std::string> paths;
    for (const auto& entry : fs::directory_iterator(data + "/dabancheng/images"))
        if (entry.path().extension() == ".tif") paths.push_back(entry.path().string());
    std::sort(paths.begin(), paths.end());
    std::vector<Scene> scenes;
    const Grid own = image_grid(probed(paths.front()), {});
    const Ring area = image_footprint(probed(paths.front()), {});
    for (const std::string& path : paths) {
        const SceneInfo info = probed(path);
        GridImage image = read_on_grid(info, own, {}, {});
        scenes.push_back(observe(info, std::move(image.raster), std::move(image.masks),
                                 image.mask_given, area, {}));
        scenes.back().raster.grid = metric_twin(own);
    }
    return scenes;
}

}  // namespace fenceline::bench
