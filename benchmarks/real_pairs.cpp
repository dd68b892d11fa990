// Real pairs. Change: `fenceline compare` on OSCD's seven cities and Taizhou, its change mask
// scored pixel by pixel on what is labelled, beside CVA + Otsu and IR-MAD + Otsu, run by our own
// code on the same data. Registration: `fenceline align` on the AROSICS pair and on Joplin, before
// and after in different CRS, with held-out residuals. Usage: real_pairs DATA [--only GROUP]
// [--evidence FILE
// [CITY…]] (DATA as in ../shared/data; GROUP: taizhou, oscd, align; FILE takes the evidence of
// every pixel of the three tune cities, or of those named, for train_difference.py).
#include <fmt/format.h>
#include <gdal_priv.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/mad.h"
#include "stages/difference.h"
#include "stages/normalize.h"

namespace {
using namespace fenceline;

namespace fs = std::filesystem;

struct RealPair {
    std::string name;
    std::string before_file, after_file;  ///< what `fenceline compare` is given
    Scene before, after;
    Mask truth;  // 0 unlabelled, 1 no change, 2 change
};

std::vector<Plane> read_bands(const std::string& path, std::array<double, 6>& transform) {
    std::unique_ptr<GDALDataset, void (*)(GDALDataset*)> image(
        GDALDataset::Open(path.c_str(), GDAL_OF_RASTER | GDAL_OF_READONLY),
        [](GDALDataset* d) { GDALClose(d); });
    if (!image) throw std::runtime_error(path + ": " + CPLGetLastErrorMsg());
    image->GetGeoTransform(transform.data());
    std::vector<Plane> bands;
    for (int b = 1; b <= image->GetRasterCount(); ++b) {
        Plane plane(image->GetRasterXSize(), image->GetRasterYSize());
        for (int y = 0; y < plane.height(); ++y)
            if (image->GetRasterBand(b)->RasterIO(GF_Read, 0, y, plane.width(), 1, plane.row(y),
                                                  plane.width(), 1, GDT_Float32, 0, 0,
                                                  nullptr) != CE_None)
                throw std::runtime_error(path + ": " + CPLGetLastErrorMsg());
        bands.push_back(std::move(plane));
    }
    return bands;
}

/// Bilinear, for the two cities whose second image lies on another lattice of the same CRS.
Plane onto(const Plane& source, const std::array<double, 6>& from, const std::array<double, 6>& to,
           int width, int height) {
    Plane out(width, height);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const double u = (to[0] + to[1] * (x + 0.5) - from[0]) / from[1] - 0.5;
            const double v = (to[3] + to[5] * (y + 0.5) - from[3]) / from[5] - 0.5;
            const int i = std::clamp(static_cast<int>(std::floor(u)), 0, source.width() - 2);
            const int j = std::clamp(static_cast<int>(std::floor(v)), 0, source.height() - 2);
            const auto a = static_cast<float>(std::clamp(u - i, 0.0, 1.0)),
                       b = static_cast<float>(std::clamp(v - j, 0.0, 1.0));
            out.at(x, y) = (source.at(i, j) * (1 - a) + source.at(i + 1, j) * a) * (1 - b) +
                           (source.at(i, j + 1) * (1 - a) + source.at(i + 1, j + 1) * a) * b;
        }
    return out;
}

Scene scene_of(std::vector<Plane> bands, const std::vector<BandRole>& roles, double gsd) {
    Scene scene;
    const int width = bands.front().width(), height = bands.front().height();
    scene.raster.grid = {"", {0, gsd, 0, 0, 0, -gsd}, width, height};
    scene.raster.valid = Mask(width, height, 1);
    scene.masks = Mask(width, height, 0);
    scene.raster.bands = std::move(bands);
    scene.raster.roles = roles;
    return scene;
}

/// One GeoTIFF of single-band files, with the bands' names: what a user would stack.
std::string stacked(const std::vector<std::string>& files, const std::vector<std::string>& names,
                    const fs::path& path) {
    std::array<double, 6> transform{};
    std::unique_ptr<GDALDataset, void (*)(GDALDataset*)> first(
        GDALDataset::Open(files.front().c_str(), GDAL_OF_RASTER | GDAL_OF_READONLY),
        [](GDALDataset* d) { GDALClose(d); });
    if (!first) throw std::runtime_error(files.front() + ": " + CPLGetLastErrorMsg());
    first->GetGeoTransform(transform.data());
    GDALDriver* driver = GetGDALDriverManager()->GetDriverByName("GTiff");
    std::unique_ptr<GDALDataset, void (*)(GDALDataset*)> out(
        driver->Create(path.c_str(), first->GetRasterXSize(), first->GetRasterYSize(),
                       static_cast<int>(files.size()), GDT_UInt16, nullptr),
        [](GDALDataset* d) { GDALClose(d); });
    if (!out) throw std::runtime_error(path.string() + ": " + CPLGetLastErrorMsg());
    out->SetGeoTransform(transform.data());
    out->SetProjection(first->GetProjectionRef());
    for (std::size_t b = 0; b < files.size(); ++b) {
        std::array<double, 6> ignored{};
        const Plane plane = read_bands(files[b], ignored).front();
        GDALRasterBand* band = out->GetRasterBand(static_cast<int>(b) + 1);
        band->SetDescription(names[b].c_str());
        for (int y = 0; y < plane.height(); ++y)
            if (band->RasterIO(GF_Write, 0, y, plane.width(), 1, const_cast<float*>(plane.row(y)),
                               plane.width(), 1, GDT_Float32, 0, 0, nullptr) != CE_None)
                throw std::runtime_error(path.string() + ": " + CPLGetLastErrorMsg());
    }
    return path.string();
}

RealPair oscd(const std::string& data, const std::string& city, const fs::path& scratch) {
    const std::string folder = data + "/oscd/" + city + "/";
    std::vector<Plane> bands[2];
    std::array<double, 6> first{}, other{};
    for (const int t : {0, 1})
        for (const char* name : {"B02", "B03", "B04", "B08"}) {
            auto& transform = t == 0 ? first : other;
            Plane plane =
                read_bands(folder + (t == 0 ? "t1/" : "t2/") + name + ".tif", transform).front();
            if (t == 1 && (plane.width() != bands[0].front().width() ||
                           plane.height() != bands[0].front().height()))
                plane =
                    onto(plane, other, first, bands[0].front().width(), bands[0].front().height());
            bands[t].push_back(std::move(plane));
        }
    const std::vector<BandRole> roles{BandRole::blue, BandRole::green, BandRole::red,
                                      BandRole::nir};
    std::string stacks[2];
    for (const int t : {0, 1}) {
        std::vector<std::string> files;
        for (const char* name : {"B02", "B03", "B04", "B08"})
            files.push_back(folder + (t == 0 ? "t1/" : "t2/") + name + ".tif");
        stacks[t] = stacked(files, {"blue", "green", "red", "nir"},
                            scratch / (city + (t == 0 ? "-1.tif" : "-2.tif")));
    }
    RealPair pair{city,
                  stacks[0],
                  stacks[1],
                  scene_of(std::move(bands[0]), roles, 10),
                  scene_of(std::move(bands[1]), roles, 10),
                  {}};
    const Plane label = read_bands(folder + "label.tif", other).front();
    pair.truth = Mask(label.width(), label.height());
    for (int y = 0; y < label.height(); ++y)
        for (int x = 0; x < label.width(); ++x)
            pair.truth.at(x, y) = static_cast<std::uint8_t>(label.at(x, y));
    return pair;
}

RealPair taizhou(const std::string& data) {
    const std::string folder = data + "/landsat_taizhou/";
    std::array<double, 6> transform{};
    const std::vector<BandRole> roles{BandRole::blue, BandRole::green, BandRole::red,
                                      BandRole::nir,  BandRole::other, BandRole::other};
    RealPair pair{"taizhou",
                  folder + "2000TM",
                  folder + "2003TM",
                  scene_of(read_bands(folder + "2000TM", transform), roles, 30),
                  scene_of(read_bands(folder + "2003TM", transform), roles, 30),
                  {}};
    const Plane change = read_bands(folder + "change.bmp", transform).front();
    const Plane same = read_bands(folder + "unchanged.bmp", transform).front();
    pair.truth = Mask(change.width(), change.height());
    for (int y = 0; y < change.height(); ++y)
        for (int x = 0; x < change.width(); ++x)
            pair.truth.at(x, y) = change.at(x, y) > 0 ? 2 : same.at(x, y) > 0 ? 1 : 0;
    return pair;
}

struct Counts {
    double tp = 0, fp = 0, fn = 0, tn = 0;
    Counts& operator+=(const Counts& o) {
        tp += o.tp, fp += o.fp, fn += o.fn, tn += o.tn;
        return *this;
    }
    double f1() const { return tp > 0 ? 2 * tp / (2 * tp + fp + fn) : 0; }
};

void print(const std::string& name, const std::string& method, const Counts& c) {
    const double n = c.tp + c.fp + c.fn + c.tn, agreement = (c.tp + c.tn) / n;
    const double chance = ((c.tp + c.fp) * (c.tp + c.fn) + (c.fn + c.tn) * (c.fp + c.tn)) / (n * n);
    fmt::print("{:<12} {:<22} P {:.3f}  R {:.3f}  F1 {:.3f}  IoU {:.3f}  kappa {:.3f}\n", name,
               method, c.tp / std::max(1.0, c.tp + c.fp), c.tp / std::max(1.0, c.tp + c.fn), c.f1(),
               c.tp / std::max(1.0, c.tp + c.fp + c.fn), (agreement - chance) / (1 - chance));
}

template <class Changed>
Counts count(const RealPair& pair, const Changed& changed) {
    Counts c;
    for (int y = 0; y < pair.truth.height(); ++y)
        for (int x = 0; x < pair.truth.width(); ++x) {
            if (pair.truth.at(x, y) == 0) continue;
            const bool truth = pair.truth.at(x, y) == 2, found = changed(x, y);
            (truth ? (found ? c.tp : c.fn) : (found ? c.fp : c.tn)) += 1;
        }
    return c;
}

std::vector<float> values_of(const Plane& plane) {
    std::vector<float> values;
    for (int y = 0; y < plane.height(); ++y)
        values.insert(values.end(), plane.row(y), plane.row(y) + plane.width());
    return values;
}

/// Change vector analysis: length of the difference of the standardised bands.
Plane change_vectors(const RealPair& pair) {
    const auto &first = pair.before.raster.bands, &second = pair.after.raster.bands;
    Plane length(pair.truth.width(), pair.truth.height());
    for (std::size_t b = 0; b < first.size(); ++b) {
        const auto moments = [](const Plane& plane) {
            double sum = 0, squares = 0, n = 0;
            for (const float v : values_of(plane))
                sum += v, squares += static_cast<double>(v) * v, n += 1;
            return std::pair(sum / n, std::sqrt(squares / n - sum * sum / n / n));
        };
        const auto [m1, s1] = moments(first[b]);
        const auto [m2, s2] = moments(second[b]);
        for (int y = 0; y < length.height(); ++y)
            for (int x = 0; x < length.width(); ++x)
                length.at(x, y) += static_cast<float>(
                    std::pow((second[b].at(x, y) - m2) / s2 - (first[b].at(x, y) - m1) / s1, 2));
    }
    for (int y = 0; y < length.height(); ++y)
        for (int x = 0; x < length.width(); ++x) length.at(x, y) = std::sqrt(length.at(x, y));
    return length;
}

Plane mad_lengths(const RealPair& pair) {
    const CommonBands bands = common_bands(pair.before.raster, pair.after.raster);
    const Mask& seen = pair.before.raster.valid;
    Plane length = mad_chi_square(bands.first, bands.second, seen,
                                  fit_mad(bands.first, bands.second, seen, {}));
    for (int y = 0; y < length.height(); ++y)
        for (int x = 0; x < length.width(); ++x) length.at(x, y) = std::sqrt(length.at(x, y));
    return length;
}

/// Otsu (1979) on 256 equal bins from the least to the greatest value; the threshold is the centre
/// of the lower class's last bin. That is how the figures of data/README.md were made.
double otsu_256(const std::vector<float>& values) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double from = *low, step = (static_cast<double>(*high) - from) / 256;
    std::vector<double> histogram(256, 0);
    for (const float v : values)
        histogram[static_cast<std::size_t>(
            std::clamp(static_cast<int>((static_cast<double>(v) - from) / step), 0, 255))] += 1;
    double all = 0, sum = 0;
    for (int k = 0; k < 256; ++k) {
        all += histogram[static_cast<std::size_t>(k)];
        sum += histogram[static_cast<std::size_t>(k)] * (k + 0.5);
    }
    double count = 0, part = 0, best = -1, threshold = from;
    for (int k = 0; k < 255; ++k) {
        count += histogram[static_cast<std::size_t>(k)];
        part += histogram[static_cast<std::size_t>(k)] * (k + 0.5);
        if (count <= 0 || count >= all) continue;
        const double between = std::pow(sum * count / all - part, 2) / (count * (all - count));
        if (between > best) best = between, threshold = from + (k + 0.5) * step;
    }
    return threshold;
}

double best_f1(const RealPair& pair, const Plane& score) {
    auto values = values_of(score);
    std::sort(values.begin(), values.end());
    double best = 0;
    for (int k = 1; k < 200; ++k) {
        const float t = values[values.size() * static_cast<std::size_t>(k) / 200];
        best = std::max(best, count(pair, [&](int x, int y) { return score.at(x, y) > t; }).f1());
    }
    return best;
}

void write_evidence(const RealPair& pair, std::ofstream& file) {
    Scene after = pair.after;
    apply(normalize(after, pair.before, {}), after.raster);
    const auto appeared = change_evidence(pair.before, after, 0.3, {}, false);
    const auto disappeared = change_evidence(pair.before, after, 0.3, {}, true);
    for (int y = 0; y < pair.truth.height(); ++y)
        for (int x = 0; x < pair.truth.width(); ++x) {
            const std::uint8_t truth = pair.truth.at(x, y);
            std::vector<float> row{truth == 0 ? -1.0F : truth == 2 ? 1.0F : 0.0F};
            for (const auto& plane : appeared) row.push_back(plane.at(x, y));
            for (const auto& plane : disappeared) row.push_back(plane.at(x, y));
            file.write(reinterpret_cast<const char*>(row.data()),
                       static_cast<std::streamsize>(row.size() * sizeof(float)));
        }
}

/// The program beside this one, with a summary object on standard output; null when it failed.
nlohmann::json fenceline(const std::string& arguments, const fs::path& scratch,
                         std::string& fault) {
    const fs::path out = scratch / "out.json", err = scratch / "err.txt";
    const std::string program =
        (fs::canonical("/proc/self/exe").parent_path() / "fenceline").string();
    const int code = std::system(fmt::format("'{}' {} --json --quiet >'{}' 2>'{}'", program,
                                             arguments, out.string(), err.string())
                                     .c_str());
    fault.clear();
    if (code != 0) {
        std::ifstream text(err);
        std::getline(text, fault);
        return nullptr;
    }
    std::ifstream text(out);
    return nlohmann::json::parse(text);
}

void score(const std::vector<RealPair>& pairs, const std::string& group, const fs::path& scratch) {
    Counts cva_all, mad_all, ours_all, built_all;
    for (const RealPair& pair : pairs) {
        const Plane vectors = change_vectors(pair), mad = mad_lengths(pair);
        const auto above = [](const Plane& plane, double t) {
            return [&plane, t](int x, int y) { return static_cast<double>(plane.at(x, y)) > t; };
        };
        const Counts cva = count(pair, above(vectors, otsu_256(values_of(vectors))));
        const Counts irmad = count(pair, above(mad, otsu_256(values_of(mad))));
        print(pair.name, "CVA + Otsu", cva);
        print(pair.name, "IR-MAD + Otsu", irmad);
        cva_all += cva, mad_all += irmad;
        // These pairs are registered already; where the program finds no support for a shift of its
        // own it is told to trust the georeferences.
        const std::string out = (scratch / pair.name).string();
        std::string fault;
        const auto summary = fenceline(fmt::format("compare '{}' '{}' --out '{}' --overwrite "
                                                   "--compare.assume_registered",
                                                   pair.before_file, pair.after_file, out),
                                       scratch, fault);
        if (summary.is_null()) {
            fmt::print("{:<12} fenceline compare failed: {}\n", pair.name, fault);
            continue;
        }
        std::array<double, 6> transform{};
        const std::vector<Plane> map = read_bands(out + "/change.tif", transform);
        if (map.size() != 2 || map[0].width() != pair.truth.width() ||
            map[0].height() != pair.truth.height())
            throw std::runtime_error(out + "/change.tif does not lie on BEFORE's grid");
        const auto classes_to = [&](int last) {
            return count(pair, [&, last](int x, int y) {
                const float c = map[0].at(x, y);
                return c >= 1 && c <= static_cast<float>(last);
            });
        };
        const Counts ours = classes_to(5), built = classes_to(3);
        print(pair.name, "fenceline, classes 1-5", ours);
        print(pair.name, "fenceline, classes 1-3", built);
        ours_all += ours, built_all += built;
        const auto& registration = summary.at("registration");
        fmt::print(
            "{:<12} best single threshold: CVA F1 {:.3f}, IR-MAD F1 {:.3f}, ours F1 {:.3f}; "
            "registration {} by {}\n",
            pair.name, best_f1(pair, vectors), best_f1(pair, mad), best_f1(pair, map[1]),
            registration.at("status").get<std::string>(),
            registration.at("model").get<std::string>());
        std::fflush(stdout);
    }
    print(group, "CVA + Otsu", cva_all);
    print(group, "IR-MAD + Otsu", mad_all);
    print(group, "fenceline, classes 1-5", ours_all);
    print(group, "fenceline, classes 1-3", built_all);
}

std::vector<fs::path> sorted_images(const std::string& folder) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == ".tif") found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
}

void align_one(const std::string& name, const std::string& reference, const std::string& target,
               const fs::path& scratch, int& overlapping) {
    std::string fault;
    const auto a = fenceline(fmt::format("align '{}' '{}' --out '{}' --overwrite", reference,
                                         target, (scratch / "aligned.tif").string()),
                             scratch, fault);
    if (a.is_null()) {
        if (fault.find("does not overlap") != std::string::npos) return;  // tiles beside each other
        ++overlapping;
        fmt::print("{:<44} refused: {}\n", name, fault);
        return;
    }
    ++overlapping;
    fmt::print(
        "{:<44} {} by {}, {} tie points; dx {:+.2f} m, dy {:+.2f} m; held-out tie points {:.2f} m, "
        "expected RMSE {:.2f} m{}\n",
        name, a.at("status").get<std::string>(), a.at("model").get<std::string>(),
        a.at("tie_points").get<int>(), a.at("dx_m").get<double>(), a.at("dy_m").get<double>(),
        a.at("held_out_m").get<double>(), a.at("rmse_m").get<double>(),
        a.at("reason").get<std::string>().empty() ? "" : "; " + a.at("reason").get<std::string>());
    std::fflush(stdout);
}

void align_pairs(const std::string& data, const fs::path& scratch) {
    int pairs = 0;
    align_one("AROSICS pair, 10 m",
              data + "/arosics_s2_pair/ref_S2A_20160608T153121_T33UUU_sub.jp2",
              data + "/arosics_s2_pair/tgt_S2A_20160529T153631_T33UUU_sub.jp2", scratch, pairs);
    for (const auto& before : sorted_images(data + "/joplin/pre"))
        for (const auto& after : sorted_images(data + "/joplin/post"))
            align_one("Joplin " + before.stem().string() + " " + after.stem().string(),
                      before.string(), after.string(), scratch, pairs);
    fmt::print("{} pairs that overlap\n", pairs);
}

}  // namespace

int main(int count_of_arguments, char** given) {
    const std::vector<std::string> arguments(given, given + count_of_arguments);
    std::string only, evidence;
    std::vector<std::string> named;  // pairs whose evidence is wanted
    bool right = arguments.size() >= 2;
    for (std::size_t i = 2; right && i < arguments.size(); ++i) {
        const bool follows = i + 1 < arguments.size();
        if (arguments[i] == "--only" && follows)
            only = arguments[++i];
        else if (arguments[i] == "--evidence" && follows)
            evidence = arguments[++i];
        else if (!evidence.empty() && arguments[i].rfind("--", 0) != 0)
            named.push_back(arguments[i]);
        else
            right = false;
    }
    if (!right || !(only.empty() || only == "taizhou" || only == "oscd" || only == "align")) {
        fmt::print(
            stderr,
            "usage: real_pairs DATA [--only taizhou|oscd|align] [--evidence FILE [CITY…]]\n");
        return 2;
    }
    GDALAllRegister();
    const std::string& data = arguments[1];
    if (!fs::exists(data + "/oscd")) {
        fmt::print("skipped: no real data at {}\n", data);
        return 0;
    }
    const fs::path scratch = fs::temp_directory_path() / fmt::format("real_pairs_{}", ::getpid());
    int code = 0;
    try {
        fs::create_directories(scratch);
        const auto cities = [&](const std::vector<std::string>& names) {
            std::vector<RealPair> pairs;
            for (const auto& city : names) pairs.push_back(oscd(data, city, scratch));
            return pairs;
        };
        const std::vector<std::string> tune{"aguasclaras", "bordeaux", "nantes"},
            report{"paris", "rennes", "saclay_e", "hongkong"};
        if (!evidence.empty()) {
            std::ofstream file(evidence, std::ios::binary);
            for (const auto& name : named.empty() ? tune : named)
                write_evidence(name == "taizhou" ? taizhou(data) : oscd(data, name, scratch), file);
        } else {
            if (only.empty() || only == "taizhou") {
                std::vector<RealPair> landsat;
                landsat.push_back(taizhou(data));
                score(landsat, "Taizhou", scratch);
            }
            if (only.empty() || only == "oscd") {
                score(cities(tune), "OSCD tune", scratch);
                score(cities(report), "OSCD report", scratch);
            }
            if (only.empty() || only == "align") align_pairs(data, scratch);
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        code = 1;
    }
    fs::remove_all(scratch);
    return code;
}
