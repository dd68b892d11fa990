#include "core/sun.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fenceline {
namespace {

constexpr double kDegree = std::numbers::pi / 180.0;

double modulo(double value, double period) {
    const double rest = std::fmod(value, period);
    return rest < 0 ? rest + period : rest;
}

}  // namespace

SunPosition sun_position(Time time, Point lonlat) {
    // Meeus, Astronomical Algorithms, 1991, chapters 12, 22 and 25 (low accuracy); the names are
    // his.
    const double julian_day = time.days() + 2440587.5;
    const double t = (julian_day - 2451545.0) / 36525.0;
    const double mean_longitude = modulo(280.46646 + t * (36000.76983 + 0.0003032 * t), 360.0);
    const double mean_anomaly = (357.52911 + t * (35999.05029 - 0.0001537 * t)) * kDegree;
    const double centre = std::sin(mean_anomaly) * (1.914602 - t * (0.004817 + 0.000014 * t)) +
                          std::sin(2 * mean_anomaly) * (0.019993 - 0.000101 * t) +
                          std::sin(3 * mean_anomaly) * 0.000289;
    const double node = (125.04 - 1934.136 * t) * kDegree;
    const double apparent_longitude =
        (mean_longitude + centre - 0.00569 - 0.00478 * std::sin(node)) * kDegree;
    const double mean_obliquity =
        23.0 + (26.0 + (21.448 - t * (46.815 + t * (0.00059 - t * 0.001813))) / 60.0) / 60.0;
    const double obliquity = (mean_obliquity + 0.00256 * std::cos(node)) * kDegree;
    const double declination = std::asin(std::sin(obliquity) * std::sin(apparent_longitude));
    const double right_ascension = std::atan2(std::cos(obliquity) * std::sin(apparent_longitude),
                                              std::cos(apparent_longitude));

    // UT stands for UTC and for terrestrial time: a minute at most, 0.001° of declination.
    const double sidereal = modulo(280.46061837 + 360.98564736629 * (julian_day - 2451545.0) +
                                       t * t * (0.000387933 - t / 38710000.0),
                                   360.0);
    const double hour_angle = (sidereal + lonlat.x) * kDegree - right_ascension;
    const double latitude = lonlat.y * kDegree;
    const double sine = std::sin(latitude) * std::sin(declination) +
                        std::cos(latitude) * std::cos(declination) * std::cos(hour_angle);
    const double east = -std::cos(declination) * std::sin(hour_angle);
    const double north = std::cos(latitude) * std::sin(declination) -
                         std::sin(latitude) * std::cos(declination) * std::cos(hour_angle);
    return {modulo(std::atan2(east, north) / kDegree, 360.0),
            std::asin(std::clamp(sine, -1.0, 1.0)) / kDegree};
}

}  // namespace fenceline
