#include "kernels/chi_square.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/chi_square.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Whole vectors, then pixel by pixel with one lane: the same operations either way.
template <class Body>
HWY_INLINE void ForValues(std::size_t n, const Body& body) {
    const hn::ScalableTag<float> d;
    const hn::CappedTag<float, 1> d1;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) body(d, i);
    for (; i < n; ++i) body(d1, i);
}

void SquaredVariates(const float* const* bands, int band_count, const float* weights,
                     const float* constants, int variate_count, std::size_t n, float* out) {
    ForValues(n, [&](auto d, std::size_t i) HWY_ATTR {
        auto square = hn::Zero(d);
        for (int v = 0; v < variate_count; ++v) {
            auto sum = hn::Set(d, constants[v]);
            const float* row = weights + v * band_count;
            for (int b = 0; b < band_count; ++b)
                sum = hn::MulAdd(hn::Set(d, row[b]), hn::LoadU(d, bands[b] + i), sum);
            square = hn::MulAdd(sum, sum, square);
        }
        hn::StoreU(square, d, out + i);
    });
}

/// erfc(z)·exp(z²) for z >= 0, relative error below 1.2e-7 (Press et al. 1992, erfcc).
template <class D, class V>
HWY_INLINE V ScaledErfc(D d, V z) {
    const V t = hn::Div(hn::Set(d, 1.0F), hn::MulAdd(hn::Set(d, 0.5F), z, hn::Set(d, 1.0F)));
    constexpr float c[] = {-1.26551223F, 1.00002368F,  0.37409196F, 0.09678418F,  -0.18628806F,
                           0.27886807F,  -1.13520398F, 1.48851587F, -0.82215223F, 0.17087277F};
    V sum = hn::Set(d, c[9]);
    for (int k = 8; k >= 0; --k) sum = hn::MulAdd(sum, t, hn::Set(d, c[k]));
    return hn::Mul(t, hn::Exp(d, sum));
}

void ChiSquareSurvival(const float* value, std::size_t n, int degrees, float* out) {
    ForValues(n, [&](auto d, std::size_t i) HWY_ATTR {
        const auto one = hn::Set(d, 1.0F);
        // Beyond 170 nothing is left in float; NaN compares false and becomes 0.
        const auto raw = hn::LoadU(d, value + i);
        const auto x =
            hn::Min(hn::IfThenElseZero(hn::Gt(raw, hn::Zero(d)), raw), hn::Set(d, 170.0F));
        const auto fall = hn::Exp(d, hn::Mul(hn::Set(d, -0.5F), x));
        auto sum = hn::Zero(d), term = fall;
        int k = 2;
        if (degrees % 2 != 0) {
            const auto root = hn::Sqrt(x);
            sum = hn::Mul(fall, ScaledErfc(d, hn::Mul(root, hn::Set(d, 0.70710678F))));
            term = hn::Mul(hn::Mul(fall, hn::Set(d, 0.79788456F)), root);
            k = 3;
        }
        for (; k <= degrees; k += 2) {
            sum = hn::Add(sum, term);
            term = hn::Mul(term, hn::Mul(x, hn::Set(d, 1.0F / static_cast<float>(k))));
        }
        hn::StoreU(hn::Min(hn::Max(sum, hn::Zero(d)), one), d, out + i);
    });
}

void LogCompress(const float* in, std::size_t n, float scale, float limit, float* out) {
    ForValues(n, [&](auto d, std::size_t i) HWY_ATTR {
        const auto scaled = hn::Mul(hn::Set(d, scale), hn::LoadU(d, in + i));
        hn::StoreU(hn::Min(hn::Set(d, limit), hn::Log1p(d, scaled)), d, out + i);
    });
}

void Squash(const float* in, std::size_t n, float limit, float* out) {
    const float inverse = 1.0F / limit;
    ForValues(n, [&](auto d, std::size_t i) HWY_ATTR {
        const auto scaled = hn::Mul(hn::LoadU(d, in + i), hn::Set(d, inverse));
        hn::StoreU(hn::Mul(hn::Set(d, limit), hn::Tanh(d, scaled)), d, out + i);
    });
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(SquaredVariates);
HWY_EXPORT(ChiSquareSurvival);
HWY_EXPORT(LogCompress);
HWY_EXPORT(Squash);

void squared_variates(const float* const* bands, int band_count, const float* weights,
                      const float* constants, int variate_count, std::size_t n, float* out) {
    HWY_DYNAMIC_DISPATCH(SquaredVariates)
    (bands, band_count, weights, constants, variate_count, n, out);
}
void chi_square_survival(const float* value, std::size_t n, int degrees_of_freedom, float* out) {
    HWY_DYNAMIC_DISPATCH(ChiSquareSurvival)(value, n, degrees_of_freedom, out);
}
void log_compress(const float* in, std::size_t n, float scale, float limit, float* out) {
    HWY_DYNAMIC_DISPATCH(LogCompress)(in, n, scale, limit, out);
}
void squash(const float* in, std::size_t n, float limit, float* out) {
    HWY_DYNAMIC_DISPATCH(Squash)(in, n, limit, out);
}

}  // namespace fenceline::kernels
#endif
