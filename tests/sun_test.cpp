#include "core/sun.h"

#include <gtest/gtest.h>

#include <cmath>

namespace fenceline {
namespace {

TEST(Sun, MatchesTheSolarPositionAlgorithmsPublishedExample) {
    // Reda & Andreas 2004 (NREL SPA), appendix A.5: 2003-10-17 12:30:30 UTC-7, Golden, Colorado.
    // Topocentric zenith 50.11162° with 0.0137° of refraction, azimuth 194.34024°.
    const SunPosition sun = sun_position(time_from_civil(2003, 10, 17, 19 * 3600 + 30 * 60 + 30),
                                         {-105.1786, 39.742476});
    EXPECT_NEAR(sun.azimuth_deg, 194.34024, 0.05);
    EXPECT_NEAR(sun.elevation_deg, 90 - 50.11162 - 0.0137, 0.05);
}

TEST(Sun, StandsInTheZenithOverTheSubsolarPoint) {
    // June solstice, about 12:02 UTC (equation of time -1.8 min): overhead at 23.44° N near
    // Greenwich.
    const SunPosition sun = sun_position(time_from_civil(2021, 6, 21, 12 * 3600 + 110), {0, 23.44});
    EXPECT_GT(sun.elevation_deg, 89.8);
}

TEST(Sun, IsEastInTheMorningSouthAtNoonAndBelowTheHorizonAtNight) {
    const Point camp{129.7253, 41.8344};
    const SunPosition morning =
        sun_position(time_from_civil(2010, 9, 11, 0), camp);  // 08:39 local mean time
    const SunPosition noon =
        sun_position(time_from_civil(2010, 9, 11, 3.35 * 3600), camp);  // solar noon, 12:00 - 3 min
    const SunPosition night = sun_position(time_from_civil(2010, 9, 11, 15 * 3600), camp);
    EXPECT_GT(morning.azimuth_deg, 100);
    EXPECT_LT(morning.azimuth_deg, 135);
    // Declination on 11 September 2010 at 03 UT: +4.6° (almanac), so the noon elevation is 90
    // - 41.83 + 4.6.
    EXPECT_NEAR(noon.elevation_deg, 90 - 41.8344 + 4.6, 0.15);
    EXPECT_NEAR(noon.azimuth_deg, 180, 3);
    EXPECT_LT(night.elevation_deg, -30);
}

TEST(Sun, MirrorsAcrossTheEquatorAtTheEquinox) {
    const Time equinox = time_from_civil(2020, 3, 20, 3 * 3600 + 50 * 60);
    const SunPosition north = sun_position(equinox, {100, 30}),
                      south = sun_position(equinox, {100, -30});
    EXPECT_NEAR(north.elevation_deg, south.elevation_deg, 0.05);
    EXPECT_NEAR(north.azimuth_deg + south.azimuth_deg, 180, 0.1);
}

}  // namespace
}  // namespace fenceline
