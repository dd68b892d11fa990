#pragma once

#include "core/geometry.h"
#include "core/time.h"

namespace fenceline {

/// Apparent sun position (NOAA solar calculator; Meeus 1991): azimuth clockwise from north in [0,
/// 360), elevation above the horizon (negative at night), degrees, refraction not applied.
struct SunPosition {
    double azimuth_deg = 0, elevation_deg = 0;
};

/// Accurate to about 0.02° from 1900 to 2100 (tested against published almanac values to 0.1°).
SunPosition sun_position(Time time, Point lonlat);

}  // namespace fenceline
