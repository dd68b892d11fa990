#include "stages/align_windows.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

#include "stages/align_levels.h"
#include "stages/align_model.h"

// What single windows measure, what they may look at, and which of them join a bent field.

namespace fenceline {
namespace {

/// Ground as a sum of waves of 8 to 320 px: it can be looked at through any displacement exactly.
class Waves {
  public:
    explicit Waves(unsigned seed) {
        std::mt19937 random(seed);
        std::uniform_real_distribution<double> unit(0, 1);
        for (Wave& w : waves_) {
            const double length = 8 * std::pow(40, unit(random)), angle = 6.2831853 * unit(random);
            w = {6.2831853 / length * std::cos(angle), 6.2831853 / length * std::sin(angle),
                 6.2831853 * unit(random), std::pow(length, 1.2)};
        }
    }
    double operator()(Point p) const {
        double value = 100;
        for (const Wave& w : waves_) value += w.size * std::cos(w.kx * p.x + w.ky * p.y + w.phase);
        return value;
    }

  private:
    struct Wave {
        double kx = 0, ky = 0, phase = 0, size = 0;
    };
    std::array<Wave, 24> waves_;
};

/// The ground displaced by shift, with white noise.
Scene seen(const Waves& ground, int size, Point shift, unsigned seed) {
    Scene scene;
    scene.raster.grid = {"", {500000, 0.5, 0, 4600000, 0, -0.5}, size, size};
    scene.raster.roles = {BandRole::pan};
    scene.raster.valid = Mask(size, size, 1);
    scene.masks = Mask(size, size, 0);
    Plane plane(size, size);
    std::mt19937 random(seed);
    std::normal_distribution<double> noise(0, 1);
    for (int y = 0; y < size; ++y)
        for (int x = 0; x < size; ++x)
            plane.at(x, y) =
                static_cast<float>(ground(Point{x + 0.5, y + 0.5} - shift) + noise(random));
    scene.raster.bands.push_back(std::move(plane));
    return scene;
}

Harvest matched(const Luminance& reference, const Luminance& target) {
    const Level still = make_level(reference, 1, 0.8), moving = make_level(target, 1, 0.8);
    Search search;
    search.window = 128, search.stride = 32, search.core = 3;
    return harvest(still, moving, spline_coefficients(moving.image), {}, search);
}

/// Mean of what passed windows measure of shift less the shift, by whether they lie at the border.
struct Bias {
    Point sum;
    int count = 0;
    Point mean() const { return (1.0 / std::max(1, count)) * sum; }
};
void add(const Match& m, Point shift, Bias& to) {
    to.sum = to.sum + (m.target_px - m.reference_px - shift);
    to.count += 1;
}

TEST(AlignWindows, FrameThatBothShareDoesNotPull) {
    const int n = 352;
    const Point shift{0.4, -0.3};
    const Waves ground(3);
    Scene reference = seen(ground, n, {}, 1), target = seen(ground, n, shift, 2);
    for (Scene* scene : {&reference, &target})  // two dark pixels along every side
        for (int k = 0; k < n; ++k)
            for (const int edge : {0, 1, n - 2, n - 1}) {
                scene->raster.bands[0].at(k, edge) = 20;
                scene->raster.bands[0].at(edge, k) = 20;
            }
    const Harvest found = matched(luminance_of(reference), luminance_of(target));
    Bias border, inner;
    for (const Match& m : found.matches)
        if (m.passed) {
            const Point p = m.reference_px;
            const bool in = p.x > 72 && p.y > 72 && p.x < n - 72 && p.y < n - 72;
            add(m, shift, in ? inner : border);
        }
    ASSERT_GT(border.count, 40);
    ASSERT_GT(inner.count, 30);
    EXPECT_LT(norm(inner.mean()), 0.015) << inner.mean().x << ", " << inner.mean().y;
    EXPECT_LT(norm(border.mean()), 0.025) << border.mean().x << ", " << border.mean().y;
}

/// The same black corner in both files, declared by neither; the ground moves under it.
void blacken(Scene& scene, int side) {
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side - y; ++x) scene.raster.bands[0].at(x, y) = 0;
}

TEST(AlignWindows, UndeclaredFillIsHiddenAndDoesNotPull) {
    const int n = 352, side = 200;
    const Point shift{0.4, -0.3};
    const Waves ground(4);
    Scene reference = seen(ground, n, {}, 1), target = seen(ground, n, shift, 2);
    blacken(reference, side), blacken(target, side);
    const Luminance still = luminance_of(reference);
    EXPECT_EQ(still.usable.at(2, 2), 0);
    EXPECT_EQ(still.usable.at(40, 60), 0);
    EXPECT_EQ(still.usable.at(side, side), 1);
    EXPECT_EQ(still.usable.at(side / 2 + 3, side / 2 + 3), 1) << "ground beside it stays";
    const Harvest found = matched(still, luminance_of(target));
    Bias beside;
    for (const Match& m : found.matches) {
        const double past = m.reference_px.x + m.reference_px.y - side;  // √2 px
        if (m.passed && past < 90) add(m, shift, beside);
    }
    ASSERT_GT(beside.count, 15);
    EXPECT_LT(norm(beside.mean()), 0.025) << beside.mean().x << ", " << beside.mean().y;
}

TEST(AlignWindows, OnlyWhatIsFlatOverTwelvePixelsIsAFill) {
    const int n = 96;
    Scene scene = seen(Waves(5), n, {}, 1);
    const auto paint = [&](int x0, int y0, int size, float value) {
        for (int y = y0; y < y0 + size; ++y)
            for (int x = x0; x < x0 + size; ++x) scene.raster.bands[0].at(x, y) = value;
    };
    paint(12, 12, 11, 0.0F);    // a dark roof may be as flat as that
    paint(48, 48, 24, 255.0F);  // saturated
    const Luminance found = luminance_of(scene);
    int small = 0, large = 0, hidden = 0;
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x) {
            if (found.usable.at(x, y) != 0) continue;
            hidden += 1;
            small += x >= 12 && y >= 12 && x < 23 && y < 23 ? 1 : 0;
            large += x >= 48 && y >= 48 && x < 72 && y < 72 ? 1 : 0;
        }
    EXPECT_EQ(small, 0);
    EXPECT_GE(large, 23 * 23);
    EXPECT_LE(large, 24 * 24);
    EXPECT_EQ(hidden, large) << "nothing else is hidden";
    EXPECT_NEAR(found.share, 1 - static_cast<double>(large) / (n * n), 1e-12);
}

/// Windows of 128 px a quarter apart over 600 × 600 px that measure displacement with a little
/// noise; the further east, the darker: the western half chooses the model, the rest has to join.
std::vector<Match> windows_of(const Frame& frame, Point (*displacement)(Point)) {
    std::vector<Match> out;
    std::mt19937 random(7);
    std::normal_distribution<double> noise(0, 0.03);
    for (double y = 16; y < frame.height; y += 32)
        for (double x = 16; x < frame.width; x += 32) {
            Match m;
            m.reference_px = {x, y};
            m.target_px =
                m.reference_px + displacement(m.reference_px) + Point{noise(random), noise(random)};
            m.brightness = -x;
            m.sidelobe = 12, m.second = 0.3, m.coherence = 0.5, m.usable = 1, m.passed = true;
            out.push_back(m);
        }
    return out;
}

FitOptions
options_of_fine_windows() {  // as register_pair fits windows of 128 px at full resolution
    FitOptions options;
    options.tolerance_px = 2;
    options.floor_px = 0.24;
    options.stiffness = {10, 1, 0.1, 0.01};
    options.shared = 4;
    return options;
}

TEST(AlignModel, BentFieldGrowsBeyondTheCrestOfAWave) {
    const Frame frame{600, 600, 48};
    // Two waves of 496 px and 1 px each. Without what grow forgives for the bend, 206 join and the
    // eastern side is off by 4 px.
    std::vector<Match> matches = windows_of(frame, [](Point p) {
        const double a = std::sin(-0.01084 * p.x + 0.00658 * p.y - 0.614),
                     b = std::sin(0.01250 * p.x + 0.00196 * p.y - 2.279);
        return Point{2 - 0.788 * a - 0.528 * b, 1 + 0.599 * a - 0.837 * b};
    });
    const FitOptions options = options_of_fine_windows();
    const Fit found = fit(matches, frame, options);
    ASSERT_TRUE(found.ok);
    EXPECT_EQ(found.choice.model, Model::local);
    EXPECT_EQ(found.kept, static_cast<int>(matches.size()));
    double worst = 0;
    for (const Match& m : matches)
        worst = std::max(worst, distance(found.warp(m.reference_px), m.target_px));
    EXPECT_LT(worst, 0.2);
}

TEST(AlignModel, WindowsThatAreLeftOutTogetherDisputeTheirGround) {
    const Frame frame{600, 600, 48};
    // East of a fault everything lies 3 px further down: no field follows that. One window in the
    // west has matched something else.
    std::vector<Match> matches = windows_of(frame, [](Point p) {
        return Point{2, p.x > 430 ? 4.0 : 1.0};
    });
    // Bright and dark everywhere, unlike crowns.
    for (std::size_t i = 0; i < matches.size(); ++i) matches[i].brightness = i % 2 == 0 ? 0 : 1;
    Match& astray = matches[19 * 9 + 4];
    astray.target_px = astray.target_px + Point{2, -2};
    FitOptions options;
    options.tolerance_px = 2;
    options.floor_px = 0.24;
    options.stiffness = {10};  // nothing that bends as sharply
    options.shared = 4;
    const Fit found = fit(matches, frame, options);
    ASSERT_TRUE(found.ok);
    EXPECT_FALSE(astray.kept);
    EXPECT_EQ(astray.disputed_px, 0);
    int left_out = 0, disputed = 0;
    for (const Match& m : matches) {
        if (m.reference_px.x < 400) {
            EXPECT_EQ(m.disputed_px, 0) << m.reference_px.x << ", " << m.reference_px.y;
        } else if (m.reference_px.x > 460 && !m.kept) {
            left_out += 1;
            if (m.disputed_px <= 0) continue;
            disputed += 1;
            EXPECT_NEAR(m.disputed_px, distance(found.warp(m.reference_px), m.target_px), 1e-9);
        }
    }
    EXPECT_GE(left_out, 60);
    EXPECT_GE(disputed, 0.9 * left_out);
}

TEST(AlignModel, WindowsBeyondACrestAreAskedTogether) {
    const Frame frame{448, 416, 48};
    // Two waves of some 400 and 370 px and 1 px each, that grow does not follow: half of the
    // windows stay out.
    const auto displacement = [](Point p) {
        const double a = std::sin(0.01563 * p.x - 0.00217 * p.y + 2.698),
                     b = std::sin(0.01638 * p.x + 0.00408 * p.y + 1.570);
        return Point{2 + 0.895 * a + 0.426 * b, 1 + 0.422 * a - 0.894 * b};
    };
    std::vector<Match> matches = windows_of(frame, displacement);
    FitOptions options = options_of_fine_windows();
    Fit found = fit(matches, frame, options);
    ASSERT_TRUE(found.ok);
    ASSERT_LT(2 * found.kept, static_cast<int>(matches.size()) + 1);
    EXPECT_EQ(found.admitted.count, 0);
    options.admit = true;
    found = fit(matches, frame, options);
    ASSERT_TRUE(found.ok);
    EXPECT_EQ(found.kept, static_cast<int>(matches.size()));
    EXPECT_EQ(2 * found.admitted.count, static_cast<int>(matches.size()));
    EXPECT_LT(found.admitted.noise_px, admitted_limit_px(found.admitted, options));
    double worst = 0;
    for (const Match& m : matches)
        worst = std::max(worst, distance(found.warp(m.reference_px),
                                         m.reference_px + displacement(m.reference_px)));
    EXPECT_LT(worst, 0.2);
}

TEST(AlignModel, CrownsThatLeanTogetherAreNotTakenForABend) {
    const Frame frame{448, 416, 48};
    std::vector<Match> matches = windows_of(frame, [](Point) { return Point{2, 1}; });
    std::mt19937 random(11);
    std::normal_distribution<double> heights(0, 0.12);
    for (Match& m : matches)
        if (m.reference_px.x > 224)
            m.target_px = m.target_px + Point{1.2 + heights(random), 0.4 + heights(random)};
    FitOptions options = options_of_fine_windows();
    options.admit = true;
    const Fit found = fit(matches, frame, options);
    ASSERT_TRUE(found.ok);
    EXPECT_TRUE(found.admitted.count == 0 ||
                found.admitted.noise_px > admitted_limit_px(found.admitted, options))
        << found.admitted.count << " let in, " << found.admitted.noise_px << " px";
}

}  // namespace
}  // namespace fenceline
