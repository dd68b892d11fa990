// Registration on pairs whose truth is known (real tiles through known warps, simulated series), on
// hopeless ones, and on real pairs: true residual, what align reports of it, status and time,
// beside OpenCV's methods in the same run. Usage: align_bench DATA [OPTIONS]
//   --split tune|report   which tiles and warps (default report; parameters are tuned on tune only)
//   --group NAME          translation, affine, local, far, wedge, simulated, hopeless, joplin,
//   arosics,
//                         dabancheng; may be repeated; all by default
//   --series FOLDER       a simulated series; may be repeated
//   --network             star, chain and joint solution of each simulated series
//   --neighbours N        of each scene in the network (default: the option's own)
//   --all-pairs           of each simulated series, not only those with its middle scene
//   --peers               ask OpenCV's methods too
//   --repeats N           warps of each tile and group (default 1)
//   --csv FILE            one line per case and method
//   --dump FOLDER         of each case its tie points and a lattice of true errors and σ_r, as CSV
#include <fmt/format.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <numeric>
#include <optional>

#include "align_cases.h"
#include "align_peers.h"
#include "core/error.h"
#include "input/image_io.h"
#include "stages/align.h"
#include "stages/align_series.h"

namespace {
using namespace fenceline;
using namespace fenceline::bench;

struct Row {
    std::string group, name, method, status, model, reason;
    bool hopeless = false, has_truth = false;
    double rmse_px = 0, ce90_px = 0;  ///< true, whole grid
    double supported_rmse_px = 0;     ///< true, within 45 m of a kept tie point
    double reported_px = 0, reported_ce90_px = 0;
    double supported = 0, cpu_s = 0, megapixels = 0;
    int kept = 0;
    double sigma_px = 0, supported_sigma_px = 0;  ///< RMS of σ_r, both axes
    double within = 0;                            ///< share of axis errors within one σ_r
    double ties_rmse_px = 0;                      ///< the kept tie points' own true error
};

double quantile(std::vector<double> values, double share) {
    if (values.empty()) return std::nan("");
    std::sort(values.begin(), values.end());
    const double at = share * static_cast<double>(values.size() - 1);
    const auto k = static_cast<std::size_t>(at);
    if (k + 1 >= values.size()) return values.back();
    return values[k] + (at - static_cast<double>(k)) * (values[k + 1] - values[k]);
}

/// Whether a pixel shows ground: not where its neighbourhood is exactly constant (a black fill that
/// no mask declares). There is no registration error of what is not there.
bool shows_ground(const Scene& scene, int x, int y) {
    if (!scene.seen(x, y)) return false;
    const Plane& band = scene.raster.bands.front();
    for (int j = std::max(0, y - 3); j <= std::min(band.height() - 1, y + 3); ++j)
        for (int i = std::max(0, x - 3); i <= std::min(band.width() - 1, x + 3); ++i)
            if (band.at(i, j) != band.at(x, y)) return true;
    return false;
}

struct TrueResidual {
    double rmse = 0, ce90 = 0, supported_rmse = 0;
    double sigma = 0, supported_sigma = 0;  ///< what σ_r says of the same places
    double within = 0;                      ///< share of axis errors within one σ_r
};

/// Over a lattice of 8 px where the reference is seen and the target's place lies inside it.
template <class Found>
TrueResidual residual_of(const AlignCase& pair, const Found& found,
                         const std::vector<TiePoint>& ties, const ResidualField& field) {
    const int width = pair.reference.masks.width(), height = pair.reference.masks.height();
    const double reach = std::max(45 / pair.reference.raster.grid.gsd(), 64.0);
    std::vector<double> all;
    double squares = 0, near_squares = 0, near_count = 0, sigmas = 0, near_sigmas = 0, within = 0;
    const double gsd = pair.reference.raster.grid.gsd();
    const int hop = std::max(8, std::max(width, height) / 150);
    for (int y = hop / 2; y < height; y += hop)
        for (int x = hop / 2; x < width; x += hop) {
            const Point p{static_cast<double>(x), static_cast<double>(y)}, t = pair.truth(p);
            if (!shows_ground(pair.reference, x, y)) continue;
            if (!(t.x > 8 && t.y > 8 && t.x < width - 8 && t.y < height - 8)) continue;
            if (!pair.target.seen(static_cast<int>(t.x), static_cast<int>(t.y))) continue;
            const double e = distance(found(p), t);
            all.push_back(e);
            squares += e * e;
            const double sigma = field(p) / gsd;
            const Point d = found(p) - t;
            sigmas += 2 * sigma * sigma;
            within += (std::abs(d.x) <= sigma ? 0.5 : 0) + (std::abs(d.y) <= sigma ? 0.5 : 0);
            const bool near = std::any_of(ties.begin(), ties.end(), [&](const TiePoint& tie) {
                return tie.kept && distance(tie.reference_px, p) <= reach;
            });
            if (near) near_squares += e * e, near_count += 1, near_sigmas += 2 * sigma * sigma;
        }
    if (all.empty()) return {1e9, 1e9, 1e9};
    const auto n = static_cast<double>(all.size());
    return {std::sqrt(squares / n),
            quantile(all, 0.9),
            near_count > 0 ? std::sqrt(near_squares / near_count) : std::nan(""),
            std::sqrt(sigmas / n),
            near_count > 0 ? std::sqrt(near_sigmas / near_count) : std::nan(""),
            within / n};
}

const char* name_of(RegistrationStatus status) {
    return status == RegistrationStatus::pass   ? "pass"
           : status == RegistrationStatus::warn ? "warn"
                                                : "fail";
}

/// FOLDER/NUMBER.csv: a comment line, then lines "tie, x, y, dx, dy, true dx, true dy, kept,
/// canopy, quality, held-out, lean x, lean y" (px, target minus reference) and "node, x, y, error
/// x, error y, σ_r, seen".
void dump_case(const std::string& file, const AlignCase& pair, const Alignment& found) {
    std::ofstream out(file);
    const Grid& grid = pair.reference.raster.grid;
    const int width = pair.reference.masks.width(), height = pair.reference.masks.height();
    out << fmt::format("# {},{},{},{},{},{},{},{},{}\n", pair.group, pair.name,
                       name_of(found.status), found.model, width, height, grid.gsd(),
                       found.effective_gsd_m, found.support_radius_px);
    if (found.status == RegistrationStatus::fail || !pair.truth) return;
    for (const TiePoint& tie : found.tie_points) {
        const Point p = tie.reference_px, d = tie.target_px - p, t = pair.truth(p) - p;
        out << fmt::format(
            "tie,{:.2f},{:.2f},{:.4f},{:.4f},{:.4f},{:.4f},{},{},{:.2f},{:.4f},{:.3f},{:.3f}\n",
            p.x, p.y, d.x, d.y, t.x, t.y, tie.kept ? 1 : 0, tie.canopy ? 1 : 0, tie.quality,
            tie.residual_px, tie.lean_px.x, tie.lean_px.y);
    }
    const int hop = std::max(8, std::max(width, height) / 60);
    for (int y = hop / 2; y < height; y += hop)
        for (int x = hop / 2; x < width; x += hop) {
            const Point p{static_cast<double>(x), static_cast<double>(y)},
                t = pair.truth(p), e = found.target_from_reference(p) - t;
            const bool seen = shows_ground(pair.reference, x, y) && t.x > 8 && t.y > 8 &&
                              t.x < width - 8 && t.y < height - 8 &&
                              pair.target.seen(static_cast<int>(t.x), static_cast<int>(t.y));
            out << fmt::format("node,{},{},{:.4f},{:.4f},{:.4f},{}\n", x, y, e.x, e.y,
                               found.residual(p) / grid.gsd(), seen ? 1 : 0);
        }
}

Row our_row(const AlignCase& pair, const std::string& dump) {
    Row row;
    row.group = pair.group, row.name = pair.name, row.method = "fenceline";
    row.hopeless = pair.hopeless;
    const double gsd = pair.reference.raster.grid.gsd();
    row.megapixels = 1e-6 * pair.reference.masks.width() * pair.reference.masks.height();
    const std::clock_t start = std::clock();
    const Alignment found = align(pair.target, pair.reference, {});
    row.cpu_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    if (!dump.empty()) dump_case(dump, pair, found);
    row.status = name_of(found.status), row.model = found.model, row.reason = found.reason;
    row.reported_px = found.rmse_m / gsd, row.reported_ce90_px = found.ce90_m / gsd;
    row.supported = found.supported_fraction;
    for (const TiePoint& tie : found.tie_points) row.kept += tie.kept ? 1 : 0;
    if (found.status != RegistrationStatus::fail && pair.truth) {
        const TrueResidual r =
            residual_of(pair, found.target_from_reference, found.tie_points, found.residual);
        row.has_truth = true;
        row.rmse_px = r.rmse, row.ce90_px = r.ce90, row.supported_rmse_px = r.supported_rmse;
        row.sigma_px = r.sigma, row.supported_sigma_px = r.supported_sigma, row.within = r.within;
        double squares = 0;
        for (const TiePoint& tie : found.tie_points)
            if (tie.kept)
                squares += std::pow(distance(tie.target_px, pair.truth(tie.reference_px)), 2);
        row.ties_rmse_px = std::sqrt(squares / std::max(1, row.kept));
    }
    fmt::print("{:<11} {:<34} {:<4} {:<12} {:>4} ties", row.group, row.name, row.status, row.model,
               row.kept);
    if (row.has_truth)
        fmt::print("  true {:.3f} (supported {:.3f}, ties {:.3f}) CE90 {:.3f}", row.rmse_px,
                   row.supported_rmse_px, row.ties_rmse_px, row.ce90_px);
    fmt::print("  reported {:.3f} sigma {:.3f} (supported {:.3f}) within {:.2f}  {:.2f} CPU s",
               row.reported_px, row.sigma_px, row.supported_sigma_px, row.within, row.cpu_s);
    if (!pair.truth && found.status != RegistrationStatus::fail)
        fmt::print("  shift {:+.2f} east {:+.2f} north px", found.dx_m / gsd, found.dy_m / gsd);
    fmt::print("{}{}\n", row.reason.empty() ? "" : "  ", row.reason);
    std::fflush(stdout);
    return row;
}

std::vector<Row> peer_rows(const AlignCase& pair) {
    std::vector<Row> rows;
    for (const PeerAnswer& answer : ask_peers(pair)) {
        Row row;
        row.group = pair.group, row.name = pair.name, row.method = answer.method;
        row.hopeless = pair.hopeless;
        row.megapixels = 1e-6 * pair.reference.masks.width() * pair.reference.masks.height();
        row.status = answer.answered ? "pass" : "fail";
        row.cpu_s = answer.cpu_s;
        if (answer.answered && pair.truth) {
            const TrueResidual r = residual_of(pair, answer.target_from_reference, {}, {});
            row.has_truth = true;
            row.rmse_px = r.rmse, row.ce90_px = r.ce90;
        }
        rows.push_back(row);
    }
    return rows;
}

void print_table(const std::vector<Row>& rows) {
    std::vector<std::pair<std::string, std::string>> keys;
    for (const Row& row : rows)
        if (std::find(keys.begin(), keys.end(), std::pair(row.group, row.method)) == keys.end())
            keys.emplace_back(row.group, row.method);
    fmt::print(
        "\n| group | method | cases | pass/warn/fail | true RMSE px, median / 95 % / worst | on "
        "supported ground, median / worst | CE90 px, median | reported within 25 % | axis errors "
        "within σ_r | silent "
        "failures | CPU s/Mpx, median |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (const auto& [group, method] : keys) {
        std::vector<double> rmse, supported, ce90, time;
        int count = 0, pass = 0, warn = 0, fail = 0, silent = 0, honest = 0;
        double within = 0;
        for (const Row& row : rows) {
            if (row.group != group || row.method != method) continue;
            ++count;
            (row.status == "pass" ? pass : row.status == "warn" ? warn : fail) += 1;
            time.push_back(row.cpu_s / row.megapixels);
            if (row.status != "fail" && (row.hopeless || (row.has_truth && row.rmse_px > 1)))
                silent += row.status == "pass" ? 1 : 0;
            if (!row.has_truth) continue;
            rmse.push_back(row.rmse_px), ce90.push_back(row.ce90_px);
            if (std::isfinite(row.supported_rmse_px)) supported.push_back(row.supported_rmse_px);
            if (row.status == "pass" && row.reported_px <= 1.25 * row.supported_rmse_px &&
                row.reported_px >= 0.75 * row.supported_rmse_px)
                ++honest;
            if (row.status == "pass") within += row.within;
        }
        const bool ours = method == "fenceline";
        fmt::print("| {} | {} | {} | {}/{}/{} | ", group, method, count, pass, warn, fail);
        if (rmse.empty())
            fmt::print("– | – | – | – | – ");
        else
            fmt::print("{:.3f} / {:.3f} / {:.3f} | {} | {:.3f} | {} | {} ", quantile(rmse, 0.5),
                       quantile(rmse, 0.95), quantile(rmse, 1),
                       ours ? fmt::format("{:.3f} / {:.3f}", quantile(supported, 0.5),
                                          quantile(supported, 1))
                            : "–",
                       quantile(ce90, 0.5), ours ? fmt::format("{}/{}", honest, pass) : "–",
                       ours ? fmt::format("{:.2f}", within / std::max(1, pass)) : "–");
        fmt::print("| {} | {:.3f} |\n", silent, quantile(time, 0.5));
    }
}

/// Each series registered to its middle scene three ways: every scene by itself (star), consecutive
/// scenes chained, and as a network. True residuals of all scenes together.
void network(const std::vector<std::string>& folders, int neighbours) {
    fmt::print(
        "\n| series | scenes | star | chain | joint | joint, tie points near | star, there | "
        "axis errors within σ_r, star / joint | closure m, median | variance factor | CPU s star / "
        "ties / joint |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (const std::string& folder : folders) {
        const std::optional<SimulatedSeries> series = simulated_series(folder);
        if (!series) continue;
        const auto count = static_cast<int>(series->scenes.size());
        const auto reference = static_cast<int>(series->middle);
        const Grid& grid = series->scenes.front().raster.grid;
        std::vector<AlignImage> images;
        std::vector<SceneInfo> infos;
        for (const Scene& scene : series->scenes) {
            images.push_back(prepare_image(scene));
            infos.push_back(scene.info);
        }
        const auto image = [&](int i) -> const AlignImage& {
            return images[static_cast<std::size_t>(i)];
        };
        AlignOptions options;
        if (neighbours >= 0) options.neighbours = neighbours;
        std::clock_t start = std::clock();
        const auto lap = [&] {
            const std::clock_t now = std::clock();
            const double seconds = static_cast<double>(now - start) / CLOCKS_PER_SEC;
            start = now;
            return seconds;
        };
        std::vector<Alignment> star;
        for (int i = 0; i < count; ++i)
            star.push_back(i == reference ? Alignment{}
                                          : align(image(i), image(reference), options));
        const double star_s = lap();
        std::vector<SeriesTie> ties;
        for (const SeriesPair& pair : neighbours_in_season(infos, reference, options.neighbours)) {
            const auto warp = [&](int i) -> const Alignment& {
                return star[static_cast<std::size_t>(i)];
            };
            if (warp(pair.target).status == RegistrationStatus::fail ||
                warp(pair.neighbour).status == RegistrationStatus::fail)
                continue;
            ties.push_back(
                {pair, align_between(image(pair.target), warp(pair.target).target_from_reference,
                                     image(pair.neighbour),
                                     warp(pair.neighbour).target_from_reference, options)});
        }
        const double ties_s = lap();
        const SeriesSolution joint = align_series(grid, star, reference, ties, options);
        const double joint_s = lap();
        // Chained: away from the reference, one step at a time.
        std::vector<std::function<Point(Point)>> chain(static_cast<std::size_t>(count));
        chain[static_cast<std::size_t>(reference)] = [](Point p) { return p; };
        for (const int way : {1, -1})
            for (int i = reference + way; i >= 0 && i < count; i += way) {
                const auto before = chain[static_cast<std::size_t>(i - way)];
                if (!before) break;
                const Alignment step = align(image(i), image(i - way), options);
                if (step.status == RegistrationStatus::fail) break;
                chain[static_cast<std::size_t>(i)] = [before, step](Point p) {
                    return step.target_from_reference(before(p));
                };
            }
        double squares[5] = {0, 0, 0, 0, 0}, seen[5] = {0, 0, 0, 0, 0}, within[2] = {0, 0};
        int taken = 0;
        for (int i = 0; i < count; ++i) {
            const auto k = static_cast<std::size_t>(i);
            if (i == reference || star[k].status == RegistrationStatus::fail || !chain[k]) continue;
            ++taken;
            const Scene &target = series->scenes[k], &fixed = series->scenes[series->middle];
            const int width = grid.width, height = grid.height;
            const int hop = std::max(8, std::max(width, height) / 150);
            for (int y = hop / 2; y < height; y += hop)
                for (int x = hop / 2; x < width; x += hop) {
                    const Point p{static_cast<double>(x), static_cast<double>(y)},
                        t = series->truth(k, series->middle, p);
                    if (!fixed.seen(x, y) ||
                        !(t.x > 8 && t.y > 8 && t.x < width - 8 && t.y < height - 8) ||
                        !target.seen(static_cast<int>(t.x), static_cast<int>(t.y)))
                        continue;
                    const auto add = [&](int which, Point found) {
                        const Point d = found - t;
                        squares[which] += dot(d, d), seen[which] += 1;
                    };
                    const Point s = star[k].target_from_reference(p),
                                j = joint.alignments[k].target_from_reference(p);
                    add(0, s), add(1, chain[k](p)), add(2, j);
                    const auto held = [&](const Alignment& a, Point found) {
                        const double sigma = a.residual(p) / grid.gsd();
                        return 0.5 * ((std::abs(found.x - t.x) <= sigma ? 1 : 0) +
                                      (std::abs(found.y - t.y) <= sigma ? 1 : 0));
                    };
                    within[0] += held(star[k], s), within[1] += held(joint.alignments[k], j);
                    if (std::any_of(star[k].tie_points.begin(), star[k].tie_points.end(),
                                    [&](const TiePoint& tie) {
                                        return tie.kept && distance(tie.reference_px, p) <=
                                                               star[k].support_radius_px;
                                    }))
                        add(3, j), add(4, s);
                }
        }
        std::array<double, 5> rmse{};
        for (std::size_t k = 0; k < 5; ++k)
            rmse[k] = std::sqrt(squares[k] / std::max(1.0, seen[k]));
        std::vector<double> closure;
        for (const double c : joint.closure_m)
            if (std::isfinite(c)) closure.push_back(c);
        fmt::print(
            "| {} | {} of {} | {:.3f} | {:.3f} | {:.3f} | {:.3f} | {:.3f} | {:.2f} / {:.2f} | "
            "{:.2f} | {:.2f} | "
            "{:.1f} / {:.1f} / {:.1f} |\n",
            series->name, taken, count - 1, rmse[0], rmse[1], rmse[2], rmse[3], rmse[4],
            within[0] / std::max(1.0, seen[0]), within[1] / std::max(1.0, seen[0]),
            quantile(closure, 0.5), joint.variance_factor, star_s, ties_s, joint_s);
        std::fflush(stdout);
    }
}

void dabancheng(const std::string& data) {
    const std::vector<Scene> scenes = dabancheng_scenes(data);
    const auto n = static_cast<int>(scenes.size());
    std::map<std::pair<int, int>, Alignment> found;
    std::vector<double> reported;
    double pixel = 0;
    int failed = 0;
    const std::clock_t start = std::clock();
    for (int i = 0; i < n; ++i)
        for (int j = i + 1; j < n; ++j) {
            Alignment a =
                align(scenes[static_cast<std::size_t>(j)], scenes[static_cast<std::size_t>(i)], {});
            if (a.status == RegistrationStatus::fail) {
                ++failed;
                continue;
            }
            reported.push_back(a.rmse_m);
            pixel = std::max(pixel, a.effective_gsd_m);
            found[{i, j}] = std::move(a);
        }
    const double cpu = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    const Grid& grid = scenes.front().raster.grid;
    std::vector<double> closure;
    for (int i = 0; i < n; ++i)
        for (int j = i + 1; j < n; ++j)
            for (int k = j + 1; k < n; ++k) {
                if (!found.contains({i, j}) || !found.contains({j, k}) || !found.contains({i, k}))
                    continue;
                double squares = 0, count = 0;
                for (int y = 0; y <= 10; ++y)
                    for (int x = 0; x <= 10; ++x) {
                        const Point p{grid.width * x / 10.0, grid.height * y / 10.0};
                        const Point round = found[{j, k}].target_from_reference(
                            found[{i, j}].target_from_reference(p));
                        squares +=
                            std::pow(distance(round, found[{i, k}].target_from_reference(p)), 2);
                        count += 1;
                    }
                closure.push_back(std::sqrt(squares / count) * grid.gsd());
            }
    fmt::print(
        "\ndabancheng: {} pairs, {} failed; reported RMSE median {:.2f} m, worst {:.2f} m; closure "
        "over {} triples, whole grid: median {:.2f} m, worst {:.2f} m, RMS {:.2f} m (one sensor "
        "pixel: 10 m; estimated {:.1f}); {:.2f} CPU s a pair\n",
        n * (n - 1) / 2, failed, quantile(reported, 0.5), quantile(reported, 1), closure.size(),
        quantile(closure, 0.5), quantile(closure, 1),
        std::sqrt(std::inner_product(closure.begin(), closure.end(), closure.begin(), 0.0) /
                  static_cast<double>(std::max<std::size_t>(1, closure.size()))),
        pixel, cpu / (n * (n - 1) / 2.0));
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 2) {
        fmt::print(stderr,
                   "usage: align_bench DATA [--split tune|report] [--group NAME]… [--series "
                   "FOLDER]… [--network] [--neighbours N] [--all-pairs] [--peers] [--csv FILE] "
                   "[--repeats N] [--dump FOLDER]\n");
        return 2;
    }
    const std::string data = arguments[1];
    Split split = Split::report;
    std::vector<std::string> groups, series;
    bool all_pairs = false, peers = false, networks = false;
    std::string csv, dump;
    unsigned repeats = 1;
    int neighbours = -1;
    for (int i = 2; i < count; ++i) {
        const std::string option = arguments[i];
        const std::string value = i + 1 < count ? arguments[i + 1] : "";
        if (option == "--all-pairs") {
            all_pairs = true;
            continue;
        }
        if (option == "--network") {
            networks = true;
            continue;
        }
        if (option == "--peers") {
            peers = true;
            continue;
        }
        if (option == "--split")
            split = value == "tune" ? Split::tune : Split::report;
        else if (option == "--group")
            groups.push_back(value);
        else if (option == "--series")
            series.push_back(value);
        else if (option == "--csv")
            csv = value;
        else if (option == "--repeats")
            repeats = static_cast<unsigned>(std::max(1, std::atoi(value.c_str())));
        else if (option == "--dump")
            dump = value;
        else if (option == "--neighbours")
            neighbours = std::atoi(value.c_str());
        else {
            fmt::print(stderr, "align_bench: unknown option {}\n", option);
            return 2;
        }
        ++i;
    }
    const auto wanted = [&](const char* group) {
        return groups.empty() || std::find(groups.begin(), groups.end(), group) != groups.end();
    };
    try {
        initialise_gdal();
        std::vector<Row> rows;
        const TakeCase take = [&](AlignCase&& pair) {
            rows.push_back(
                our_row(pair, dump.empty() ? "" : fmt::format("{}/{:04}.csv", dump, rows.size())));
            if (peers)
                for (Row& row : peer_rows(pair)) rows.push_back(std::move(row));
        };
        if (wanted("translation") || wanted("affine") || wanted("local") || wanted("far") ||
            wanted("wedge"))
            real_tile_cases(data, split, groups, repeats, take);
        if (wanted("simulated")) simulated_cases(series, all_pairs, take);
        if (wanted("hopeless")) hopeless_cases(data, split, take);
        if (wanted("joplin")) joplin_cases(data, take);
        if (wanted("arosics")) arosics_case(data, take);
        if (!rows.empty()) print_table(rows);
        if (networks) network(series, neighbours);
        if (wanted("dabancheng")) dabancheng(data);
        if (!csv.empty()) {
            std::ofstream file(csv);
            file << "group,name,method,status,model,ties,true_rmse_px,supported_rmse_px,ce90_px,"
                    "reported_px,supported,cpu_s\n";
            for (const Row& row : rows)
                file << fmt::format(
                    "{},{},{},{},{},{},{:.4f},{:.4f},{:.4f},{:.4f},{:.3f},{:.3f}\n", row.group,
                    row.name, row.method, row.status, row.model, row.kept,
                    row.has_truth ? row.rmse_px : -1, row.has_truth ? row.supported_rmse_px : -1,
                    row.has_truth ? row.ce90_px : -1, row.reported_px, row.supported, row.cpu_s);
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "align_bench: {}\n", error.what());
        return 1;
    }
    return 0;
}
