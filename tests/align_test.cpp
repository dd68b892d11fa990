#include "stages/align.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <random>

#include "core/parallel.h"
#include "core/projection.h"
#include "input/image_io.h"

namespace fenceline {
namespace {

/// Ground as a formula: smooth-edged rotated rectangles (roofs, fields) over a random swell. It can
/// be looked at through any displacement exactly, without resampling.
class Ground {
  public:
    Ground(unsigned seed, int size) : cell_(48), cells_(size / 48 + 40) {
        std::mt19937 random(seed);
        std::uniform_real_distribution<double> unit(0, 1);
        for (int k = 0; k < 40; ++k) {
            const double wavelength = 12 * std::pow(20, unit(random)),
                         angle = 6.2831853 * unit(random);
            waves_.push_back({6.2831853 / wavelength * std::cos(angle),
                              6.2831853 / wavelength * std::sin(angle), 6.2831853 * unit(random),
                              1.2 * std::sqrt(wavelength / 40)});
        }
        boxes_.resize(static_cast<std::size_t>(cells_) * static_cast<std::size_t>(cells_));
        for (int j = 0; j < cells_; ++j)
            for (int i = 0; i < cells_; ++i)
                for (int n = 0; n < 3; ++n) {
                    const Box box{(i - 20 + unit(random)) * cell_, (j - 20 + unit(random)) * cell_,
                                  2 + 14 * unit(random),           2 + 8 * unit(random),
                                  3.1415927 * unit(random),        60 * (unit(random) - 0.4)};
                    for (int b = -1; b <= 1; ++b)
                        for (int a = -1; a <= 1; ++a)
                            if (i + a >= 0 && j + b >= 0 && i + a < cells_ && j + b < cells_)
                                boxes_[static_cast<std::size_t>(j + b) *
                                           static_cast<std::size_t>(cells_) +
                                       static_cast<std::size_t>(i + a)]
                                    .push_back(box);
                }
    }
    /// lean: how far the highest roofs are displaced (relief seen from aside), px.
    double operator()(Point p, Point lean = {}) const {
        double value = 100;
        for (const auto& w : waves_)
            value += w.amplitude * std::cos(w.kx * p.x + w.ky * p.y + w.phase);
        const int i = std::clamp(static_cast<int>(std::floor(p.x / cell_)) + 20, 0, cells_ - 1),
                  j = std::clamp(static_cast<int>(std::floor(p.y / cell_)) + 20, 0, cells_ - 1);
        for (const auto& box :
             boxes_[static_cast<std::size_t>(j) * static_cast<std::size_t>(cells_) +
                    static_cast<std::size_t>(i)]) {
            const double high = std::max(0.0, box.height) / 36;
            const double c = std::cos(box.angle), s = std::sin(box.angle),
                         dx = p.x - box.x - high * lean.x, dy = p.y - box.y - high * lean.y;
            const double u = std::abs(c * dx + s * dy) - box.half_length,
                         v = std::abs(-s * dx + c * dy) - box.half_width;
            if (u < 4 && v < 4)
                value += box.height / ((1 + std::exp(2.5 * u)) * (1 + std::exp(2.5 * v)));
        }
        return value;
    }

  private:
    struct Wave {
        double kx, ky, phase, amplitude;
    };
    struct Box {
        double x, y, half_length, half_width, angle, height;
    };
    double cell_;
    int cells_;
    std::vector<Wave> waves_;
    std::vector<std::vector<Box>> boxes_;
};

using Displacement = std::function<Point(Point)>;  ///< target_px from reference_px

/// A scene of the ground as seen where place(p) tells for each pixel centre p; grey levels pass
/// through look.
Scene render(const Ground& ground, int width, int height, double gsd_m, const Displacement& place,
             const std::function<double(double)>& look, double noise, unsigned seed) {
    Scene scene;
    scene.raster.grid = {"", {500000, gsd_m, 0, 4600000, 0, -gsd_m}, width, height};
    scene.raster.roles = {BandRole::pan};
    scene.raster.valid = Mask(width, height, 1);
    scene.masks = Mask(width, height, 0);
    Plane plane(width, height);
    std::mt19937 random(seed);
    std::normal_distribution<double> error(0, 1);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            plane.at(x, y) =
                static_cast<float>(look(ground(place({x + 0.5, y + 0.5}))) + noise * error(random));
    scene.raster.bands.push_back(std::move(plane));
    scene.info.gsd_m = gsd_m;
    scene.usable_fraction = 1;
    return scene;
}

Point same(Point p) { return p; }
double plain(double v) { return v; }
/// Another exposure: gamma and gain.
double exposed(double v) { return 900 * std::pow(std::max(0.0, v) / 150, 0.7); }

/// The reference's pixel that the target shows at q (fixed-point iteration; displacements are
/// smooth).
Displacement inverse(const Displacement& target_from_reference) {
    return [target_from_reference](Point q) {
        Point p = q;
        for (int i = 0; i < 30; ++i) p = p + (q - target_from_reference(p));
        return p;
    };
}

double true_rmse_px(const Alignment& found, const Displacement& truth, int width, int height) {
    double sum = 0, count = 0;
    for (int y = 16; y < height; y += 16)
        for (int x = 16; x < width; x += 16) {
            const Point p{static_cast<double>(x), static_cast<double>(y)};
            sum += std::pow(distance(found.target_from_reference(p), truth(p)), 2), count += 1;
        }
    return std::sqrt(sum / count);
}

TEST(Align, TranslationOfManyMetresUnderAnotherExposure) {
    const int n = 448;
    const Ground ground(11, n);
    const Displacement truth = [](Point p) { return p + Point{37.3, -52.6}; };
    const Scene reference = render(ground, n, n, 0.5, same, plain, 2, 1),
                target = render(ground, n, n, 0.5, inverse(truth), exposed, 8, 2);
    const Alignment found = align(target, reference, {});
    EXPECT_EQ(found.status, RegistrationStatus::pass) << found.reason;
    const double rmse = true_rmse_px(found, truth, n, n);
    EXPECT_LT(rmse, 0.10) << found.model;
    EXPECT_NEAR(found.dx_m, 37.3 * 0.5, 0.05);  // east
    EXPECT_NEAR(found.dy_m, 52.6 * 0.5, 0.05);  // 52.6 rows up the image is north
    EXPECT_LT(rmse * 0.5, found.rmse_m * 1.5 + 0.02)
        << "the reported residual must not hide the true one";
    EXPECT_NEAR(found.effective_gsd_m, 0.5, 0.25);
    RecordProperty("rmse_px", std::to_string(rmse));
}

TEST(Align, AffineAndReversedContrast) {
    const int n = 512;
    const Ground ground(12, n);
    Affine affine;
    affine.a = {-9.0, 1.004, 0.006, 14.0, -0.005, 0.997};
    const Displacement truth = [affine](Point p) { return affine(p); };
    const Scene reference = render(ground, n, n, 0.6, same, plain, 2, 3);
    const Scene target = render(
        ground, n, n, 0.6, inverse(truth), [](double v) { return 255 - v; }, 2, 4);
    const Alignment found = align(target, reference, {});
    EXPECT_EQ(found.status, RegistrationStatus::pass) << found.reason;
    EXPECT_NE(found.model, "translation");
    EXPECT_LT(true_rmse_px(found, truth, n, n), 0.08) << found.model;
}

TEST(Align, SmoothLocalWarp) {
    const int n = 900;
    const Ground ground(13, n);
    const Displacement truth = [](Point p) {
        return p + Point{6.2 + 1.4 * std::sin(2 * 3.14159265 * p.y / 450),
                         -3.1 + 1.4 * std::cos(2 * 3.14159265 * p.x / 512)};
    };
    const Scene reference = render(ground, n, n, 0.5, same, plain, 2, 5),
                target = render(ground, n, n, 0.5, inverse(truth), exposed, 8, 6);
    const Alignment found = align(target, reference, {});
    EXPECT_EQ(found.status, RegistrationStatus::pass) << found.reason;
    EXPECT_EQ(found.model, "affine+local");
    const double rmse = true_rmse_px(found, truth, n, n);
    EXPECT_LT(rmse, 0.12) << "borders and far corners included";
    EXPECT_LT(found.rmse_m / 0.5, 2 * rmse) << "what is reported is neither boast";
    EXPECT_GT(found.rmse_m / 0.5, 0.5 * rmse) << "nor alarm";
    EXPECT_GT(found.residual({5, 5}), found.residual({n / 2.0, n / 2.0}))
        << "a corner is held by fewer tie points";
}

TEST(Align, HiddenGroundIsNotMatched) {
    const int n = 512;
    const Ground ground(14, n), other(99, n);
    const Displacement truth = [](Point p) { return p + Point{-12.4, 7.7}; };
    const Scene reference = render(ground, n, n, 0.5, same, plain, 2, 7);
    Scene target = render(ground, n, n, 0.5, inverse(truth), exposed, 8, 8);
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x)
            if (std::sin(x * 0.02) * std::sin(y * 0.023 + 1) >
                0.1) {  // clouds over four tenths, with a structure of their own
                target.raster.bands[0].at(x, y) =
                    static_cast<float>(2000 + 20 * other({x * 1.0, y * 1.0}));
                target.masks.at(x, y) = kCloud;
            }
    const Alignment found = align(target, reference, {});
    EXPECT_EQ(found.status, RegistrationStatus::pass) << found.reason;
    EXPECT_LT(true_rmse_px(found, truth, n, n), 0.12);
}

TEST(Align, EnlargedImageIsJudgedInItsSensorsPixels) {
    const int n = 600;
    const Ground ground(15, n);
    // A sensor of 3 px resolution, enlarged: the mean over 3 × 3 px areas of a coarse raster,
    // joined smoothly.
    const auto enlarged = [&](const Displacement& place) {
        const int coarse = n / 3 + 4;
        std::vector<double> raster(static_cast<std::size_t>(coarse * coarse));
        for (int j = 0; j < coarse; ++j)
            for (int i = 0; i < coarse; ++i) {
                double sum = 0;
                for (int b = 0; b < 3; ++b)
                    for (int a = 0; a < 3; ++a)
                        sum += ground(place({(i - 2) * 3.0 + a + 0.5, (j - 2) * 3.0 + b + 0.5}));
                raster[static_cast<std::size_t>(j * coarse + i)] = sum / 9;
            }
        const auto key = [](double t) {
            t = std::abs(t);
            return t < 1   ? 1.5 * t * t * t - 2.5 * t * t + 1
                   : t < 2 ? -0.5 * t * t * t + 2.5 * t * t - 4 * t + 2
                           : 0.0;
        };
        Scene scene = render(
            ground, n, n, 3.4, same, [](double) { return 0.0; }, 0, 1);
        for (int y = 0; y < n; ++y)
            for (int x = 0; x < n; ++x) {
                const double u = (x + 0.5) / 3 + 1.5, v = (y + 0.5) / 3 + 1.5;
                const int i = static_cast<int>(u), j = static_cast<int>(v);
                double sum = 0;
                for (int b = -1; b <= 2; ++b)
                    for (int a = -1; a <= 2; ++a)
                        sum += key(u - i - a) * key(v - j - b) *
                               raster[static_cast<std::size_t>((j + b) * coarse + i + a)];
                scene.raster.bands[0].at(x, y) = static_cast<float>(std::round(sum));
            }
        return scene;
    };
    const Displacement truth = [](Point p) { return p + Point{4.4, -2.5}; };
    const Alignment found = align(enlarged(inverse(truth)), enlarged(same), {});
    EXPECT_EQ(found.status, RegistrationStatus::pass) << found.reason;
    EXPECT_NEAR(found.effective_gsd_m, 3 * 3.4, 2.5);
    EXPECT_LT(true_rmse_px(found, truth, n, n), 0.5);
}

TEST(Align, NeverASilentIdentity) {
    const int n = 320;
    const Ground ground(16, n), elsewhere(17, n);
    const Scene reference = render(ground, n, n, 0.5, same, plain, 2, 9);
    const auto expect_fail = [&](const Scene& target, const Scene& against, const char* what) {
        const Alignment found = align(target, against, {});
        EXPECT_EQ(found.status, RegistrationStatus::fail) << what;
        EXPECT_FALSE(found.reason.empty()) << what;
    };
    expect_fail(render(elsewhere, n, n, 0.5, same, plain, 2, 10), reference, "another place");
    expect_fail(render(
                    ground, n, n, 0.5, same, [](double) { return 80.0; }, 0, 11),
                reference, "constant");
    expect_fail(render(
                    ground, n, n, 0.5, same, [](double) { return 80.0; }, 3, 12),
                reference, "noise only");
    expect_fail(reference,
                render(
                    ground, n, n, 0.5, same, [](double) { return 80.0; }, 0, 11),
                "constant reference");
    Scene hidden = reference;
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x) hidden.masks.at(x, y) = kCloud;
    expect_fail(hidden, reference, "all cloud");
    Scene left = reference, right = reference;
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x) (x < n / 2 ? right : left).masks.at(x, y) = kNoData;
    expect_fail(left, right, "no ground in common");
    expect_fail(render(ground, 63, 200, 0.5, same, plain, 2, 13),
                render(ground, 63, 200, 0.5, same, plain, 2, 13), "under 64 px");
    expect_fail(render(ground, 100, 200, 0.5, same, plain, 2, 13), reference, "another grid");
    expect_fail(Scene{}, reference, "no bands");
    Scene broken = reference;
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x)
            broken.raster.bands[0].at(x, y) = std::numeric_limits<float>::quiet_NaN();
    expect_fail(broken, reference, "all NaN");
    Scene speckled = reference;
    for (int k = 0; k < n; ++k)
        speckled.raster.bands[0].at(k, (k * 7) % n) = std::numeric_limits<float>::infinity();
    EXPECT_NE(align(speckled, reference, {}).status, RegistrationStatus::fail)
        << "a few bad pixels do not spoil a scene";
}

/// Averages factor × factor px and spreads them again: a coarser sensor on a finer grid.
void coarsen(Scene& scene, int factor) {
    Plane& plane = scene.raster.bands[0];
    const Plane fine = plane;
    const int width = plane.width(), height = plane.height();
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const int x0 = x / factor * factor, y0 = y / factor * factor;
            float sum = 0;
            int count = 0;
            for (int j = y0; j < std::min(height, y0 + factor); ++j)
                for (int i = x0; i < std::min(width, x0 + factor); ++i)
                    sum += fine.at(i, j), ++count;
            plane.at(x, y) = sum / static_cast<float>(count);
        }
    scene.info.gsd_m *= factor;
}

/// What comes back may be a pass, a warning or a refusal, but it must be true: a pass is right to a
/// pixel (of the coarser sensor), anything else says why in words.
void expect_honest(const Alignment& found, const Displacement& truth, int n, double pixel,
                   const char* what) {
    if (found.status == RegistrationStatus::pass) {
        EXPECT_LE(true_rmse_px(found, truth, n, n), pixel) << what;
    } else {
        EXPECT_GE(found.reason.size(), 20U) << what;
        EXPECT_NE(found.reason.find(' '), std::string::npos) << what;
    }
}

TEST(Align, HardPairsAreRegisteredOrRefusedForAReason) {
    const int n = 320;
    const Ground ground(31, n);
    const Displacement truth = [](Point p) { return p + Point{5.4, -3.7}; };
    const Scene reference = render(ground, n, n, 0.5, same, plain, 2, 41);
    const Scene moved = render(ground, n, n, 0.5, inverse(truth), exposed, 8, 42);
    const auto registered = [&](const Scene& target, double pixel, const char* what) {
        const Alignment found = align(target, reference, {});
        EXPECT_NE(found.status, RegistrationStatus::fail) << what << ": " << found.reason;
        if (found.status != RegistrationStatus::fail) {
            EXPECT_LE(true_rmse_px(found, truth, n, n), 0.5 * pixel) << what;
        }
        expect_honest(found, truth, n, pixel, what);
    };
    // Snow: bright, its contrast a tenth; winter noise.
    registered(
        render(
            ground, n, n, 0.5, inverse(truth), [](double v) { return 220 + 0.1 * v; }, 1.5, 43),
        1, "snow against summer");
    // Clouds of a tenth and of six tenths.
    for (const double level : {0.75, -0.2}) {
        Scene cloudy = moved;
        for (int y = 0; y < n; ++y)
            for (int x = 0; x < n; ++x)
                if (std::sin(x * 0.03 + 1) * std::cos(y * 0.027) > level) {
                    cloudy.raster.bands[0].at(x, y) = 3000;
                    cloudy.masks.at(x, y) = kCloud;
                }
        expect_honest(align(cloudy, reference, {}), truth, n, 1, "cloud");
        if (level > 0) registered(cloudy, 1, "a tenth of cloud");
    }
    // One band against the mean of three, one of them reversed.
    Scene colour = moved;
    colour.raster.roles = {BandRole::red, BandRole::green, BandRole::blue};
    for (int b = 0; b < 2; ++b) colour.raster.bands.push_back(moved.raster.bands[0]);
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x)
            colour.raster.bands[2].at(x, y) = 900 - 0.5F * colour.raster.bands[2].at(x, y);
    registered(colour, 1, "pan against colour");
    // 0.5 m against 1 m and against 10 m.
    Scene one_metre = moved;
    coarsen(one_metre, 2);
    registered(one_metre, 2, "0.5 m against 1 m");
    Scene ten_metres = moved;
    coarsen(ten_metres, 20);
    expect_honest(align(ten_metres, reference, {}), truth, n, 20, "0.5 m against 10 m");
    // A wedge without data along two sides, not masked as cloud.
    Scene wedge = moved;
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x)
            if (x + y / 3 < 90 || 2 * x - y > 480) {
                wedge.raster.bands[0].at(x, y) = 0;
                wedge.raster.valid.at(x, y) = 0;
                wedge.masks.at(x, y) = kNoData;
            }
    registered(wedge, 1, "no-data wedges");
    // Far off nadir: roofs lean by up to 4 px, the ground does not.
    Scene leaning = moved;
    const Displacement back = inverse(truth);
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x)
            leaning.raster.bands[0].at(x, y) =
                static_cast<float>(exposed(ground(back({x + 0.5, y + 0.5}), {4, 1})));
    expect_honest(align(leaning, reference, {}), truth, n, 1, "30 degrees off nadir");
}

TEST(Align, ViewsThatDifferAreTrustedWhereWindowsAgreeAndDoubtedWhereTheyScatterAsCrownsDo) {
    const int n = 320;
    const Ground ground(35, n);
    const Displacement truth = [](Point p) { return p + Point{1.6, -0.7}; };
    Scene reference = render(ground, n, n, 0.5, same, plain, 2, 61),
          flat = render(ground, n, n, 0.5, inverse(truth), exposed, 8, 62), high = flat;
    // What is bright stands up to 6 m above the ground.
    const Displacement back = inverse(truth);
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x)
            high.raster.bands[0].at(x, y) =
                static_cast<float>(exposed(ground(back({x + 0.5, y + 0.5}), {3, 0})));
    const Alignment unknown = align(high, reference, {});
    EXPECT_EQ(unknown.crowns_m, 0) << "views not known";
    reference.info.off_nadir_deg = 5, reference.info.view_azimuth_deg = 90;
    for (Scene* target : {&flat, &high})
        target->info.off_nadir_deg = 9, target->info.view_azimuth_deg = 270;
    const double lean_m = 6 * (std::tan(5 / 57.29578) + std::tan(9 / 57.29578));
    const Alignment agreed = align(flat, reference, {});
    EXPECT_EQ(agreed.status, RegistrationStatus::pass) << agreed.reason;
    EXPECT_EQ(agreed.lean_m, 0);
    const Alignment found = align(high, reference, {});
    EXPECT_EQ(found.status, RegistrationStatus::warn);
    EXPECT_NE(found.reason.find("crowns"), std::string::npos) << found.reason;
    EXPECT_NEAR(found.lean_m, lean_m, 0.01);
    EXPECT_GT(found.crowns_m, 0.3);
    EXPECT_LE(found.crowns_m, lean_m);
    EXPECT_GT(found.rmse_m, found.crowns_m) << "it is part of what is stated";
    EXPECT_EQ(found.held_out_m, unknown.held_out_m) << "but not of what was measured";
}

TEST(Align, RepeatedRoofsAreNotTakenForEachOther) {
    const int n = 320;
    const Ground ground(33, n);
    // Rows of the same roof every 40 px on ground of low contrast.
    const auto estate = [&](const Displacement& place, unsigned seed) {
        Scene scene = render(
            ground, n, n, 0.5, place, [](double v) { return 0.15 * v; }, 1, seed);
        for (int y = 0; y < n; ++y)
            for (int x = 0; x < n; ++x) {
                const Point p = place({x + 0.5, y + 0.5});
                const double u = p.x - 40 * std::floor(p.x / 40),
                             v = p.y - 40 * std::floor(p.y / 40);
                if (u > 8 && u < 28 && v > 10 && v < 22) scene.raster.bands[0].at(x, y) += 60;
            }
        return scene;
    };
    // Off by most of a period: the wrong roof is nearer than the right one.
    const Displacement truth = [](Point p) { return p + Point{31.3, 0.4}; };
    expect_honest(align(estate(inverse(truth), 52), estate(same, 51), {}), truth, n, 1,
                  "repeated roofs");
}

TEST(Align, AnImageOnItselfDoesNotMove) {
    const int n = 300;
    const Ground ground(18, n);
    const Scene scene = render(ground, n, n, 0.5, same, plain, 2, 14);
    const Alignment found = align(scene, scene, {});
    EXPECT_EQ(found.status, RegistrationStatus::pass) << found.reason;
    EXPECT_LT(true_rmse_px(found, same, n, n), 2e-3);
    EXPECT_LT(found.rmse_m, 5e-3);
}

TEST(Align, APreparedReferenceServesManyTargetsAtOnceAndChangesNothing) {
    const int n = 320;
    const Ground ground(21, n);
    const Scene reference = render(ground, n, n, 0.5, same, plain, 2, 17);
    std::vector<Scene> targets;
    std::vector<Alignment> alone(3), together(3);
    for (int k = 0; k < 3; ++k) {
        const Displacement truth = [k](Point p) { return p + Point{2.0 * k + 0.3, -1.5 * k}; };
        targets.push_back(
            render(ground, n, n, 0.5, inverse(truth), exposed, 8, 18 + static_cast<unsigned>(k)));
        alone[static_cast<std::size_t>(k)] = align(targets.back(), reference, {});
    }
    const AlignImage prepared = prepare_image(reference);
    parallel_items(3, [&](int k) {
        const auto i = static_cast<std::size_t>(k);
        together[i] = align(targets[i], prepared, {});
    });
    for (std::size_t k = 0; k < 3; ++k) {
        EXPECT_EQ(together[k].status, RegistrationStatus::pass) << together[k].reason;
        EXPECT_EQ(together[k].target_from_reference.affine.a,
                  alone[k].target_from_reference.affine.a);
        EXPECT_EQ(together[k].rmse_m, alone[k].rmse_m);
    }
}

TEST(Align, SameResultForAnyNumberOfThreads) {
    const int n = 400;
    const Ground ground(19, n);
    const Displacement truth = [](Point p) { return p + Point{3.3 + std::sin(p.y / 60), -5.8}; };
    const Scene reference = render(ground, n, n, 0.5, same, plain, 2, 15),
                target = render(ground, n, n, 0.5, inverse(truth), exposed, 8, 16);
    std::optional<Alignment> first;
    for (const std::size_t threads : {1U, 2U, 7U}) {
        const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
        const Alignment found = align(target, reference, {});
        if (!first) first = found;
        EXPECT_EQ(found.target_from_reference.affine.a, first->target_from_reference.affine.a);
        EXPECT_EQ(found.target_from_reference.local.dx, first->target_from_reference.local.dx);
        EXPECT_EQ(found.target_from_reference.local.dy, first->target_from_reference.local.dy);
        EXPECT_EQ(found.rmse_m, first->rmse_m);
        ASSERT_EQ(found.tie_points.size(), first->tie_points.size());
        for (std::size_t i = 0; i < found.tie_points.size(); ++i)
            EXPECT_EQ(found.tie_points[i].target_px, first->tie_points[i].target_px);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Real data
// ---------------------------------------------------------------------------------------------------------------------

std::filesystem::path data_folder() {
    if (const char* folder = std::getenv("FENCELINE_DATA")) return folder;
#ifdef FENCELINE_SOURCE_DIR
    return std::filesystem::path(FENCELINE_SOURCE_DIR) / ".." / "shared" / "data";
#else
    return {};
#endif
}

Scene read_scene(const std::filesystem::path& path, const Grid& grid) {
    Scene scene;
    scene.info.path = path.string();
    scene.info.id = path.stem().string();
    probe_image(scene.info, {});
    GridImage image = read_on_grid(scene.info, grid, {}, {});
    scene.raster = std::move(image.raster);
    scene.masks = std::move(image.masks);
    scene.usable_fraction = 1;
    scene.info.gsd_m = 0;
    return scene;
}

Grid grid_around(Point lonlat, double gsd_m, int width, int height) {
    Grid grid;
    grid.crs_wkt = wkt_of(utm_crs(lonlat));
    const Point centre = Transform("EPSG:4326", grid.crs_wkt)(lonlat);
    grid.width = width, grid.height = height;
    grid.geotransform = {std::floor(centre.x - gsd_m * width / 2),  gsd_m, 0,
                         std::floor(centre.y + gsd_m * height / 2), 0,     -gsd_m};
    return grid;
}

TEST(Align, DabanchengTriplesClose) {
    const std::filesystem::path folder = data_folder() / "dabancheng" / "images";
    if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "skipped: no real data";
    initialise_gdal();
    const Grid grid = grid_around({88.2847, 43.3838}, 3.4, 1000, 600);
    std::vector<Scene> scenes;
    for (const char* date : {"20170829", "20180322", "20180623"})
        scenes.push_back(read_scene(folder / ("S2_L1C_RGB_" + std::string(date) + ".tif"), grid));
    std::vector<Point> shift;
    for (const auto& [target, reference] : {std::pair{1, 0}, {2, 1}, {0, 2}}) {
        const Alignment found = align(scenes[static_cast<std::size_t>(target)],
                                      scenes[static_cast<std::size_t>(reference)], {});
        EXPECT_NE(found.status, RegistrationStatus::fail) << found.reason;
        EXPECT_LT(found.rmse_m, 10) << "under one pixel of the 10 m sensor";
        EXPECT_NEAR(found.effective_gsd_m, 10, 2.5);
        shift.push_back({found.dx_m, found.dy_m});
    }
    EXPECT_LT(norm(shift[0] + shift[1] + shift[2]), 3.5)
        << "closure over a triple, independent of the model's own residuals";
}

}  // namespace
}  // namespace fenceline
