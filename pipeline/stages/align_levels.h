#pragma once

#include "core/raster.h"
#include "core/scene.h"
#include "core/warp.h"

// What align compares: one scene's luminance at several resolutions.

namespace fenceline {

struct Luminance {
    Plane plane;
    Mask usable;
    double share = 0;  ///< usable share of the grid
    double mean = 0, deviation = 0;
};
Luminance luminance_of(const Scene& scene);

/// One scene at 1/step of the grid's resolution. Level pixel p is grid pixel p·step (corner-based,
/// so no offset).
struct Level {
    int step = 1;
    Plane image;     ///< low-passed, in units of its own spread; smooth filling under the mask
    Mask usable;     ///< 0: hidden, or so near to it that its filling leaks in
    float soft = 0;  ///< gradient (per level px) that counts half; see kernels::orientation_row
};

/// Averages step × step blocks (a block needs half of its pixels), low-passes by a Gaussian of
/// sigma level pixels (normalised convolution: nothing hidden leaks in), and keeps away from what
/// is hidden.
Level make_level(const Luminance& source, int step, double sigma);

/// How many grid pixels make one pixel of what the sensor resolved (>= 1), from the mean power
/// spectrum P(f) of 256 px blocks: a natural scene falls as P ~ f^-2 and a sensor's own blur lowers
/// it gently, while an enlarged image breaks off at its band limit. The limit is the first f at
/// which P·f² is under a tenth of its value at 0.6 f.
double oversampling(const Luminance& source);

/// Cubic B-spline coefficients of an image (Unser 1999): the interpolation through them shifts and
/// blurs far less than a four-tap cubic on the pixels, which matters below a tenth of a pixel.
Plane spline_coefficients(const Plane& image);

struct Sampled {
    Plane image;
    Mask usable;
};
/// The target as the model says it lies under the reference's pixels. The model is evaluated every
/// 8 pixels along a row and joined linearly (a field of 350 px wavelength and 1.4 px amplitude is
/// met within 0.004 px).
Sampled sample_through(const Plane& coefficients, const Mask& usable, int step,
                       const Warp& target_from_reference);

}  // namespace fenceline
