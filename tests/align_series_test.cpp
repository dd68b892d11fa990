#include "stages/align_series.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace fenceline {
namespace {

constexpr int kSize = 600;
Grid grid() { return {"", {0, 0.5, 0, 0, 0, -0.5}, kSize, kSize}; }

SceneInfo taken(int year, int month, int day) {
    SceneInfo info;
    info.datetime = time_from_civil(year, month, day, 43200);
    return info;
}

/// A registration that is off by error (px) and says so: σ_r is what error was drawn with.
Alignment off_by(Point error, double sigma_px) {
    Alignment a;
    a.target_from_reference.affine.a = {error.x, 1, 0, error.y, 0, 1};
    a.model = "translation";
    a.residual = {300, 3, 3, std::vector<float>(9, static_cast<float>(0.5 * sigma_px))};
    a.effective_gsd_m = 0.5;
    a.support_radius_px = 90;
    for (int y = 50; y < kSize; y += 100)
        for (int x = 50; x < kSize; x += 100) {
            TiePoint tie;
            tie.reference_px = {x * 1.0, y * 1.0};
            tie.kept = true;
            a.tie_points.push_back(tie);
        }
    a.windows = 36;
    a.status = RegistrationStatus::pass;
    return a;
}

/// A network whose truth is the identity: errors drawn with the standard errors that are claimed.
struct Network {
    std::vector<Alignment> star;
    std::vector<SeriesTie> ties;
    Network(int scenes, const std::vector<SeriesPair>& pairs, double star_sigma, double tie_sigma,
            unsigned seed) {
        std::mt19937 random(seed);
        std::normal_distribution<double> unit(0, 1);
        for (int i = 0; i < scenes; ++i) {
            const Point e{star_sigma * unit(random), star_sigma * unit(random)};
            star.push_back(i == 0 ? Alignment{} : off_by(e, star_sigma));
        }
        for (const SeriesPair& pair : pairs) {
            const Point d =
                (star[static_cast<std::size_t>(pair.neighbour)].target_from_reference(Point{}) -
                 star[static_cast<std::size_t>(pair.target)].target_from_reference(Point{}));
            // What is left of the target against the neighbour, and the tie's own error.
            ties.push_back(
                {pair,
                 off_by(d + Point{tie_sigma * unit(random), tie_sigma * unit(random)}, tie_sigma)});
        }
    }
};

double error_of(const std::vector<Alignment>& alignments) {
    double squares = 0;
    for (std::size_t i = 1; i < alignments.size(); ++i) {
        const Point p{200, 300};
        squares += std::pow(distance(alignments[i].target_from_reference(p), p), 2);
    }
    return squares;
}

const std::vector<SeriesPair> kRing{{2, 1}, {3, 2}, {4, 3}, {5, 4}, {5, 1}};

TEST(AlignSeries, TogetherIsBetterThanEachAloneAndSaysByHowMuch) {
    double before = 0, after = 0, promised = 0;
    for (unsigned seed = 1; seed <= 60; ++seed) {
        Network network(6, kRing, 0.4, 0.2, seed);
        before += error_of(network.star);
        const SeriesSolution joint =
            align_series(grid(), network.star, 0, network.ties, AlignOptions{});
        after += error_of(joint.alignments);
        for (std::size_t i = 1; i < 6; ++i)
            promised += 2 * std::pow(joint.alignments[i].residual({200, 300}) / 0.5, 2);
    }
    // Exact weights would leave .47 of it; a tie that does not close counts for less than it could.
    EXPECT_LT(after, 0.8 * before);
    EXPECT_NEAR(std::sqrt(after / promised), 1, 0.25) << "true against promised standard error";
}

TEST(AlignSeries, ATieThatContradictsTheOthersDoesNotPull) {
    Network network(6, kRing, 0.1, 0.1, 7);
    const SeriesSolution without =
        align_series(grid(), network.star, 0, network.ties, AlignOptions{});
    network.ties.push_back({{4, 1}, off_by({3, -2}, 0.1)});  // says 3 px where 0 is right
    const SeriesSolution with = align_series(grid(), network.star, 0, network.ties, AlignOptions{});
    const Point p{200, 300};
    for (std::size_t i = 1; i < 6; ++i)
        EXPECT_LT(distance(with.alignments[i].target_from_reference(p),
                           without.alignments[i].target_from_reference(p)),
                  0.15)
            << i;
    EXPECT_NEAR(with.closure_m.back(), 0.5 * std::hypot(3.0, 2.0), 0.2) << "the closure names it";
}

TEST(AlignSeries, ATieThatDoesNotCloseIsTrustedLessWhereNothingElseIsKnown) {
    // Scene 1 is held on the left only, and off by 2 px on the right, where it does not know; its
    // tie to a scene that is held everywhere says so.
    const auto corrected = [](double not_closed_px) {
        std::vector<Alignment> star{Alignment{}, off_by({}, 0.1), off_by({}, 0.1)};
        Alignment& half = star[1];
        std::erase_if(half.tie_points, [](const TiePoint& t) { return t.reference_px.x > 280; });
        half.residual.sigma_m = {0.05F,  0.375F, 0.375F, 0.05F, 0.375F,
                                 0.375F, 0.05F,  0.375F, 0.375F};
        Alignment tie = off_by({not_closed_px, 0}, 0.2);
        tie.target_from_reference.local = {
            300, 3, 3, {0, 0, 2, 0, 0, 2, 0, 0, 2}, std::vector<float>(9, 0.0F)};
        const SeriesTie ties[] = {{{2, 1}, tie}};
        const SeriesSolution joint = align_series(grid(), star, 0, ties, AlignOptions{});
        EXPECT_NEAR(joint.alignments[1].target_from_reference({60, 300}).x, 60, 0.25);
        return 590 - joint.alignments[1].target_from_reference({590, 300}).x;
    };
    const double closed = corrected(0), open = corrected(1.5);
    EXPECT_GT(closed, 1.5);
    EXPECT_LT(open, 0.5 * (closed + 1.5)) << "half of what it says there, at most";
}

TEST(AlignSeries, ErrorsLargerThanPromisedAreSaid) {
    double factors = 0;
    for (unsigned seed = 1; seed <= 10; ++seed) {
        Network network(6, kRing, 0.6, 0.1, seed);
        for (std::size_t i = 1; i < 6; ++i)  // claims a fifth of its error
            network.star[i].residual.sigma_m.assign(9, static_cast<float>(0.5 * 0.12));
        const SeriesSolution joint =
            align_series(grid(), network.star, 0, network.ties, AlignOptions{});
        factors += joint.variance_factor / 10;
        // One axis of one node, promised: at most what two observations of it would give.
        EXPECT_GE(joint.alignments[1].residual({200, 300}),
                  0.5 * 0.12 / std::sqrt(3.0) * joint.variance_factor * 0.9);
    }
    EXPECT_GT(factors, 2);
}

TEST(AlignSeries, NothingToSolveLeavesTheStarAsItIs) {
    Network network(3, {}, 0.3, 0.1, 5);
    const SeriesSolution alone = align_series(grid(), network.star, 0, {}, AlignOptions{});
    EXPECT_EQ(alone.alignments[1].target_from_reference.affine.a,
              network.star[1].target_from_reference.affine.a);
    EXPECT_EQ(alone.alignments[1].target_from_reference.local.columns, 0);
    Alignment broken;
    broken.status = RegistrationStatus::fail;
    const SeriesTie ties[] = {{{2, 1}, broken}};
    const SeriesSolution failed = align_series(grid(), network.star, 0, ties, AlignOptions{});
    EXPECT_TRUE(std::isnan(failed.closure_m[0]));
    EXPECT_EQ(failed.alignments[2].target_from_reference.local.columns, 0);
}

TEST(AlignSeries, NeighboursAreOfLikeSeasonAndNeverTheReference) {
    const std::vector<SceneInfo> scenes{taken(2010, 6, 1),   taken(2011, 1, 10), taken(2012, 7, 1),
                                        taken(2013, 12, 20), taken(2014, 6, 20), SceneInfo{}};
    const std::vector<SeriesPair> one = neighbours_in_season(scenes, 0, 1);
    EXPECT_EQ(one, (std::vector<SeriesPair>{{3, 1}, {4, 2}}));
    for (const SeriesPair& pair : neighbours_in_season(scenes, 2, 3)) {
        EXPECT_NE(pair.target, 2);
        EXPECT_NE(pair.neighbour, 2);
        EXPECT_NE(pair.target, 5) << "without a time there is no season";
    }
    EXPECT_TRUE(neighbours_in_season(scenes, 0, 0).empty());
}

}  // namespace
}  // namespace fenceline
