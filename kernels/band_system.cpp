#include "kernels/band_system.h"

#include <algorithm>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/band_system.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<double>;

/// y −= f·x.
HWY_INLINE void Subtract(double* y, const double* x, double f, std::size_t n) {
    const Tag d;
    const std::size_t lanes = hn::Lanes(d);
    const auto vf = hn::Set(d, f);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(hn::NegMulAdd(vf, hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, y + i);
    for (; i < n; ++i) y[i] -= f * x[i];
}
HWY_INLINE double Dot(const double* x, const double* y, std::size_t n) {
    const Tag d;
    const std::size_t lanes = hn::Lanes(d);
    auto sum = hn::Zero(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        sum = hn::MulAdd(hn::LoadU(d, x + i), hn::LoadU(d, y + i), sum);
    double out = hn::GetLane(hn::SumOfLanes(d, sum));
    for (; i < n; ++i) out += x[i] * y[i];
    return out;
}

bool BandFactor(double* a, std::size_t n, std::size_t band) {
    std::vector<double> factor(band + 1);
    for (std::size_t j = 0; j < n; ++j) {
        double* from = a + j * (band + 1);
        if (!(from[0] > 0)) return false;
        const std::size_t reach = std::min(band, n - 1 - j);
        const double over = 1 / from[0];
        for (std::size_t e = 1; e <= reach; ++e) factor[e] = from[e] * over;
        for (std::size_t e = 1; e <= reach; ++e)
            if (factor[e] != 0)
                Subtract(a + (j + e) * (band + 1), from + e, factor[e], reach - e + 1);
        for (std::size_t e = 1; e <= reach; ++e) from[e] = factor[e];
    }
    return true;
}

void BandSolve(const double* factors, std::size_t n, std::size_t band, double* x) {
    for (std::size_t j = 0; j < n; ++j)
        Subtract(x + j + 1, factors + j * (band + 1) + 1, x[j], std::min(band, n - 1 - j));
    for (std::size_t j = 0; j < n; ++j) x[j] /= factors[j * (band + 1)];
    for (std::size_t j = n; j-- > 0;)
        x[j] -= Dot(x + j + 1, factors + j * (band + 1) + 1, std::min(band, n - 1 - j));
}

void BandInverse(const double* factors, std::size_t n, std::size_t band, double* inverse) {
    std::vector<double> sum(band + 1);
    std::fill(inverse, inverse + n * (band + 1), 0.0);
    for (std::size_t j = n; j-- > 0;) {
        const double* l = factors + j * (band + 1);
        const std::size_t reach = std::min(band, n - 1 - j);
        // sum[e] = −Σ_k L(k, j) Z(k, j + e): column k gives its lower part and, mirrored, its row.
        std::fill(sum.begin(), sum.end(), 0.0);
        for (std::size_t k = 1; k <= reach; ++k) {
            const double* column = inverse + (j + k) * (band + 1);
            Subtract(sum.data() + k, column, l[k], reach - k + 1);
            sum[k] -= Dot(l + k + 1, column + 1, reach - k);
        }
        double* out = inverse + j * (band + 1);
        for (std::size_t e = 1; e <= reach; ++e) out[e] = sum[e];
        out[0] = 1 / l[0] - Dot(l + 1, out + 1, reach);
    }
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(BandFactor);
HWY_EXPORT(BandSolve);
HWY_EXPORT(BandInverse);

bool band_factor(double* a, std::size_t n, std::size_t band) {
    return HWY_DYNAMIC_DISPATCH(BandFactor)(a, n, band);
}
void band_solve(const double* factors, std::size_t n, std::size_t band, double* x) {
    HWY_DYNAMIC_DISPATCH(BandSolve)(factors, n, band, x);
}
void band_inverse(const double* factors, std::size_t n, std::size_t band, double* inverse) {
    HWY_DYNAMIC_DISPATCH(BandInverse)(factors, n, band, inverse);
}

}  // namespace fenceline::kernels
#endif
