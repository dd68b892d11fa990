// Change detection on labelled real pairs, pixel by pixel: our difference beside CVA + Otsu and
// IR-MAD + Otsu, run by our own code on the same data. Usage: real_pairs DATA [--evidence FILE
// [CITY…]] (DATA as in ../shared/data; FILE takes the evidence of every pixel of the three tune
// cities, or of those named, for train_difference.py).
#include <fmt/format.h>
#include <gdal_priv.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/mad.h"
#include "stages/difference.h"
#include "stages/normalize.h"

namespace {
using namespace fenceline;

struct RealPair {
    std::string name;
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

RealPair oscd(const std::string& data, const std::string& city) {
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
    RealPair pair{city,
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

void score(const std::vector<RealPair>& pairs, const std::string& group) {
    Counts cva_all, mad_all, ours_all, built_all;
    for (const RealPair& pair : pairs) {
        const Plane vectors = change_vectors(pair), mad = mad_lengths(pair);
        const auto above = [](const Plane& plane, double t) {
            return [&plane, t](int x, int y) { return static_cast<double>(plane.at(x, y)) > t; };
        };
        const Counts cva = count(pair, above(vectors, otsu_threshold(values_of(vectors))));
        const Counts irmad = count(pair, above(mad, otsu_threshold(values_of(mad))));
        Scene after = pair.after;
        const Normalization normalization = normalize(after, pair.before, {});
        apply(normalization, after.raster);
        const ChangeMap map = difference(pair.before, after, 0.3, {});
        const Counts ours = count(pair, [&](int x, int y) {
            const auto c = map.change_class.at(x, y);
            return c >= 1 && c <= 5;
        });
        print(pair.name, "CVA + Otsu", cva);
        print(pair.name, "IR-MAD + Otsu", irmad);
        const Counts built = count(pair, [&](int x, int y) {
            const auto c = map.change_class.at(x, y);
            return c >= 1 && c <= 3;
        });
        print(pair.name, "fenceline, all classes", ours);
        print(pair.name, "fenceline, classes 1-3", built);
        built_all += built;
        fmt::print(
            "{:<12} best single threshold: CVA F1 {:.3f}, IR-MAD F1 {:.3f}, ours F1 {:.3f}; "
            "normalised by {} {}\n",
            pair.name, best_f1(pair, vectors), best_f1(pair, mad), best_f1(pair, map.probability),
            normalization.method, normalization.reason);
        cva_all += cva, mad_all += irmad, ours_all += ours;
    }
    print(group, "CVA + Otsu", cva_all);
    print(group, "IR-MAD + Otsu", mad_all);
    print(group, "fenceline, all classes", ours_all);
    print(group, "fenceline, classes 1-3", built_all);
}

}  // namespace

int main(int count_of_arguments, char** arguments) {
    if (count_of_arguments < 2) {
        fmt::print(stderr, "usage: real_pairs DATA [--evidence FILE]\n");
        return 2;
    }
    GDALAllRegister();
    const std::string data = arguments[1];
    try {
        std::vector<RealPair> tune, report;
        for (const char* city : {"aguasclaras", "bordeaux", "nantes"})
            tune.push_back(oscd(data, city));
        if (count_of_arguments >= 4 && std::strcmp(arguments[2], "--evidence") == 0) {
            std::ofstream file(arguments[3], std::ios::binary);
            if (count_of_arguments > 4) tune.clear();
            for (int k = 4; k < count_of_arguments; ++k)
                tune.push_back(std::strcmp(arguments[k], "taizhou") == 0
                                   ? taizhou(data)
                                   : oscd(data, arguments[k]));
            for (const auto& pair : tune) write_evidence(pair, file);
            return 0;
        }
        for (const char* city : {"paris", "rennes", "saclay_e", "hongkong"})
            report.push_back(oscd(data, city));
        std::vector<RealPair> landsat;
        landsat.push_back(taizhou(data));
        score(landsat, "Taizhou");
        score(tune, "OSCD tune");
        score(report, "OSCD report");
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
    return 0;
}
