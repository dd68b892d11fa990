#include "input/transform_file.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/warp_grid.h"
#include "image_fixture.h"

namespace fenceline {
namespace {

/// A bent registration on a 1 m grid.
SavedTransform bent() {
    SavedTransform t;
    t.reference = "a \"quoted\" name", t.target = "b";
    t.target_datetime = time_from_civil(2017, 8, 29, 17411);
    t.grid = test::utm_grid(500000, 4630000, 1, 800, 600);
    t.target_from_reference.affine.a = {3.25, 1.0001, 2e-4, -7.5, -1e-4, 0.9998};
    LocalField& local = t.target_from_reference.local;
    local.spacing_px = 48;
    local.columns = 18, local.rows = 14;
    for (int j = 0; j < local.rows; ++j)
        for (int i = 0; i < local.columns; ++i) {
            local.dx.push_back(static_cast<float>(1.4 * std::sin(i * 48 / 70.0)));
            local.dy.push_back(static_cast<float>(0.9 * std::cos(j * 48 / 60.0)));
        }
    t.model = "affine+local", t.status = "pass";
    t.tie_points = 321, t.dx_m = 3.2, t.dy_m = 7.4, t.rmse_m = 0.21, t.ce90_m = 0.32;
    return t;
}

TEST(TransformFile, IsReadBackBitForBit) {
    const SavedTransform t = bent(), back = parse_transform(transform_json(t), "t.json");
    EXPECT_EQ(back.target_from_reference.affine.a, t.target_from_reference.affine.a);
    EXPECT_EQ(back.target_from_reference.local.dx, t.target_from_reference.local.dx);
    EXPECT_EQ(back.target_from_reference.local.dy, t.target_from_reference.local.dy);
    EXPECT_EQ(back.target_from_reference.local.spacing_px, 48);
    EXPECT_EQ(back.grid, t.grid);
    EXPECT_EQ(back.reference, t.reference);
    EXPECT_EQ(back.target_datetime, t.target_datetime);
    EXPECT_EQ(back.tie_points, 321);
    EXPECT_EQ(back.rmse_m, 0.21);
}

TEST(TransformFile, WhatIsWrongIsNamed) {
    const std::string good = transform_json(bent());
    const auto fault = [&](std::string text, const std::string& from, const std::string& to) {
        const auto at = text.find(from);
        if (at == std::string::npos) return "'" + from + "' is not in the file";
        text.replace(at, from.size(), to);
        try {
            parse_transform(text, "t.json");
        } catch (const DataError& error) {
            EXPECT_EQ(error.file, "t.json");
            return error.reason;
        }
        return std::string("accepted");
    };
    EXPECT_NE(fault(good, "transform/1", "transform/9").find("fenceline-transform/9"),
              std::string::npos);
    EXPECT_NE(fault(good, "\"columns\": 18", "\"columns\": 17").find("17 × 14 nodes ask for 238"),
              std::string::npos);
    EXPECT_NE(fault(good, "\"rows\": 14", "\"rows\": -14").find("no size"), std::string::npos);
    EXPECT_NE(fault(good, "\"width\": 800", "\"width\": 0").find("no size"), std::string::npos);
    EXPECT_NE(fault(good, "\"affine_px\"", "\"affine\"").find("affine_px"), std::string::npos);
    EXPECT_NE(fault(good, "3.25", "1e999"), "accepted");
    EXPECT_NE(fault(good, "{", "["), "accepted");
    EXPECT_NE(fault(good, good, "[]").find("not a JSON object"), std::string::npos);
    EXPECT_THROW(read_transform("/nowhere/t.json"), DataError);
}

/// Largest distance, m on the ground, between what the two say of the same places.
double apart_m(const SavedTransform& t, const Grid& wanted, const Warp& carried) {
    std::optional<Transform> between;
    if (wanted.crs_wkt != t.grid.crs_wkt) between.emplace(wanted.crs_wkt, t.grid.crs_wkt);
    const auto own = [&](Point map) { return between ? (*between)(map) : map; };
    double worst = 0;
    for (int j = 1; j < 20; ++j)
        for (int i = 1; i < 20; ++i) {
            const Point p{wanted.width * i / 20.0, wanted.height * j / 20.0};
            const Point here = t.grid.px_from_map(own(wanted.map_from_px(p)));
            const Point meant = t.grid.map_from_px(t.target_from_reference(here)),
                        found = own(wanted.map_from_px(carried(p)));
            worst = std::max(worst, distance(meant, found));
        }
    return worst;
}

TEST(WarpOnGrid, SaysTheSameOnOtherGrids) {
    SavedTransform t = bent();
    EXPECT_EQ(warp_on_grid(t.target_from_reference, t.grid, t.grid).affine.a,
              t.target_from_reference.affine.a);
    const Grid finer = test::utm_grid(500100, 4629900, 0.25, 1600, 1200),
               coarser = test::utm_grid(499990, 4630010, 4, 205, 155);
    EXPECT_LT(apart_m(t, finer, warp_on_grid(t.target_from_reference, t.grid, finer)), 0.01);
    EXPECT_LT(apart_m(t, coarser, warp_on_grid(t.target_from_reference, t.grid, coarser)), 0.02);
    // Degrees: another CRS altogether.
    const GridProjection projection(t.grid);
    const Point a = projection.lonlat_from_px({50, 50}), b = projection.lonlat_from_px({750, 550});
    Grid degrees;
    degrees.crs_wkt = wkt_of("EPSG:4326");
    degrees.width = 900, degrees.height = 700;
    degrees.geotransform = {a.x, (b.x - a.x) / 900, 0, a.y, 0, (b.y - a.y) / 700};
    EXPECT_LT(apart_m(t, degrees, warp_on_grid(t.target_from_reference, t.grid, degrees)), 0.01);
    // An affine stays one where the CRS is the same.
    t.target_from_reference.local = {};
    const Warp affine = warp_on_grid(t.target_from_reference, t.grid, finer);
    EXPECT_EQ(affine.local.columns, 0);
    EXPECT_LT(apart_m(t, finer, affine), 1e-6);
}

TEST(WarpOnGrid, OtherGroundIsRefused) {
    const SavedTransform t = bent();
    EXPECT_THROW(
        warp_on_grid(t.target_from_reference, t.grid, test::utm_grid(600000, 4630000, 1, 100, 100)),
        DataError);
}

}  // namespace
}  // namespace fenceline
