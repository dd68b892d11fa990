#include "kernels/window_spectrum.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/window_spectrum.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

#ifndef FENCELINE_WINDOW_SPECTRUM_ONCE
#define FENCELINE_WINDOW_SPECTRUM_ONCE
namespace fenceline::kernels {
constexpr std::size_t kLargestWindow = 512;
struct Turns {
    std::array<float, kLargestWindow> cosine{}, sine{};  ///< exp(−2πi k/512)
};
inline const Turns& turns() {
    static const Turns table = [] {
        Turns t;
        for (std::size_t k = 0; k < kLargestWindow; ++k) {
            const double angle = -2 * std::numbers::pi * static_cast<double>(k) /
                                 static_cast<double>(kLargestWindow);
            t.cosine[k] = static_cast<float>(std::cos(angle));
            t.sine[k] = static_cast<float>(std::sin(angle));
        }
        return t;
    }();
    return table;
}
}  // namespace fenceline::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;
using V = hn::Vec<Tag>;

/// Cooley and Tukey's butterflies (1965), two radix-2 stages of decimation in frequency at a time,
/// on as many columns as a vector holds: re, im are n vectors each.
void Forward(float* re, float* im, std::size_t n) {
    const Tag d;
    const std::size_t lanes = hn::Lanes(d);
    const Turns& t = turns();
    std::size_t length = n;
    for (; length >= 4; length /= 4) {
        const std::size_t q = length / 4, hop = kLargestWindow / length;
        for (std::size_t j = 0; j < q; ++j) {
            const auto w1r = hn::Set(d, t.cosine[j * hop]), w1i = hn::Set(d, t.sine[j * hop]);
            const auto w2r = hn::Set(d, t.cosine[2 * j * hop]),
                       w2i = hn::Set(d, t.sine[2 * j * hop]);
            const auto w3r = hn::Set(d, t.cosine[3 * j * hop]),
                       w3i = hn::Set(d, t.sine[3 * j * hop]);
            for (std::size_t base = j; base < n; base += length) {
                float *r0 = re + base * lanes, *r1 = r0 + q * lanes, *r2 = r1 + q * lanes,
                      *r3 = r2 + q * lanes;
                float *i0 = im + base * lanes, *i1 = i0 + q * lanes, *i2 = i1 + q * lanes,
                      *i3 = i2 + q * lanes;
                const auto ar = hn::Load(d, r0), br = hn::Load(d, r1), cr = hn::Load(d, r2),
                           dr = hn::Load(d, r3);
                const auto ai = hn::Load(d, i0), bi = hn::Load(d, i1), ci = hn::Load(d, i2),
                           di = hn::Load(d, i3);
                const auto acr = hn::Add(ar, cr), aci = hn::Add(ai, ci), bdr = hn::Add(br, dr),
                           bdi = hn::Add(bi, di);
                const auto mr = hn::Sub(ar, cr), mi = hn::Sub(ai, ci), nr = hn::Sub(br, dr),
                           ni = hn::Sub(bi, di);
                hn::Store(hn::Add(acr, bdr), d, r0);
                hn::Store(hn::Add(aci, bdi), d, i0);
                const auto store = [&](V xr, V xi, V wr, V wi, float* to_re,
                                       float* to_im) HWY_ATTR {
                    hn::Store(hn::NegMulAdd(xi, wi, hn::Mul(xr, wr)), d, to_re);
                    hn::Store(hn::MulAdd(xr, wi, hn::Mul(xi, wr)), d, to_im);
                };
                store(hn::Sub(acr, bdr), hn::Sub(aci, bdi), w2r, w2i, r1, i1);
                store(hn::Add(mr, ni), hn::Sub(mi, nr), w1r, w1i, r2, i2);
                store(hn::Sub(mr, ni), hn::Add(mi, nr), w3r, w3i, r3, i3);
            }
        }
    }
    if (length == 2)
        for (std::size_t base = 0; base < n * lanes; base += 2 * lanes)
            for (float* x : {re + base, im + base}) {
                const auto a = hn::Load(d, x), b = hn::Load(d, x + lanes);
                hn::Store(hn::Add(a, b), d, x);
                hn::Store(hn::Sub(a, b), d, x + lanes);
            }
}

/// The same steps undone, last first.
void Backward(float* re, float* im, std::size_t n) {
    const Tag d;
    const std::size_t lanes = hn::Lanes(d);
    const Turns& t = turns();
    std::size_t length = 1;
    bool odd = false;
    for (std::size_t k = n; k > 1; k /= 2) odd = !odd;
    if (odd) {
        for (std::size_t base = 0; base < n * lanes; base += 2 * lanes)
            for (float* x : {re + base, im + base}) {
                const auto a = hn::Load(d, x), b = hn::Load(d, x + lanes);
                hn::Store(hn::Add(a, b), d, x);
                hn::Store(hn::Sub(a, b), d, x + lanes);
            }
        length = 2;
    }
    for (length *= 4; length <= n; length *= 4) {
        const std::size_t q = length / 4, hop = kLargestWindow / length;
        for (std::size_t j = 0; j < q; ++j) {
            const auto w1r = hn::Set(d, t.cosine[j * hop]), w1i = hn::Set(d, t.sine[j * hop]);
            const auto w2r = hn::Set(d, t.cosine[2 * j * hop]),
                       w2i = hn::Set(d, t.sine[2 * j * hop]);
            const auto w3r = hn::Set(d, t.cosine[3 * j * hop]),
                       w3i = hn::Set(d, t.sine[3 * j * hop]);
            for (std::size_t base = j; base < n; base += length) {
                float *r0 = re + base * lanes, *r1 = r0 + q * lanes, *r2 = r1 + q * lanes,
                      *r3 = r2 + q * lanes;
                float *i0 = im + base * lanes, *i1 = i0 + q * lanes, *i2 = i1 + q * lanes,
                      *i3 = i2 + q * lanes;
                const auto turned = [&](const float* xr, const float* xi, V wr, V wi, V& yr,
                                        V& yi) HWY_ATTR {  // x · conj(w)
                    const auto a = hn::Load(d, xr), b = hn::Load(d, xi);
                    yr = hn::MulAdd(b, wi, hn::Mul(a, wr));
                    yi = hn::NegMulAdd(a, wi, hn::Mul(b, wr));
                };
                const auto ar = hn::Load(d, r0), ai = hn::Load(d, i0);
                V br, bi, cr, ci, dr, di;
                turned(r1, i1, w2r, w2i, br, bi);
                turned(r2, i2, w1r, w1i, cr, ci);
                turned(r3, i3, w3r, w3i, dr, di);
                const auto pr = hn::Add(ar, br), pi = hn::Add(ai, bi), mr = hn::Sub(ar, br),
                           mi = hn::Sub(ai, bi);
                const auto sr = hn::Add(cr, dr), si = hn::Add(ci, di), er = hn::Sub(cr, dr),
                           ei = hn::Sub(ci, di);
                hn::Store(hn::Add(pr, sr), d, r0);
                hn::Store(hn::Add(pi, si), d, i0);
                hn::Store(hn::Sub(pr, sr), d, r2);
                hn::Store(hn::Sub(pi, si), d, i2);
                hn::Store(hn::Sub(mr, ei), d, r1);  // + i·(c − d)
                hn::Store(hn::Add(mi, er), d, i1);
                hn::Store(hn::Add(mr, ei), d, r3);
                hn::Store(hn::Sub(mi, er), d, i3);
            }
        }
    }
}

/// out(c, r) = in(r, c): a strip of n vectors becomes lanes rows of n.
void TransposeOut(const float* strip, std::size_t n, std::size_t lanes, float* out) {
    for (std::size_t r = 0; r < n; r += 4)
        for (std::size_t c = 0; c < lanes; c += 4) {
            const float *a = strip + r * lanes + c, *b = a + lanes, *e = b + lanes, *f = e + lanes;
#if HWY_TARGET == HWY_SCALAR
            for (std::size_t k = 0; k < std::min<std::size_t>(4, lanes - c); ++k) {
                float* to = out + (c + k) * n + r;
                to[0] = a[k], to[1] = b[k], to[2] = e[k], to[3] = f[k];
            }
#else
            const hn::FixedTag<float, 4> d4;
            const hn::FixedTag<double, 2> d2;
            const auto va = hn::LoadU(d4, a), vb = hn::LoadU(d4, b), ve = hn::LoadU(d4, e),
                       vf = hn::LoadU(d4, f);
            const auto ab0 = hn::BitCast(d2, hn::InterleaveLower(d4, va, vb)),
                       ab1 = hn::BitCast(d2, hn::InterleaveUpper(d4, va, vb)),
                       ef0 = hn::BitCast(d2, hn::InterleaveLower(d4, ve, vf)),
                       ef1 = hn::BitCast(d2, hn::InterleaveUpper(d4, ve, vf));
            hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, ab0, ef0)), d4, out + c * n + r);
            hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, ab0, ef0)), d4,
                       out + (c + 1) * n + r);
            hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, ab1, ef1)), d4,
                       out + (c + 2) * n + r);
            hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, ab1, ef1)), d4,
                       out + (c + 3) * n + r);
#endif
        }
}

/// DFT down the columns of in, transposed into out.
template <class Pass>
void Columns(const float* in_re, const float* in_im, std::size_t n, float* out_re, float* out_im,
             const Pass& pass) {
    const Tag d;
    const std::size_t lanes = hn::Lanes(d);
    HWY_ALIGN float re[kLargestWindow * 16];
    HWY_ALIGN float im[kLargestWindow * 16];
    for (std::size_t c = 0; c < n; c += lanes) {
        for (std::size_t r = 0; r < n; ++r) {
            hn::Store(hn::LoadU(d, in_re + r * n + c), d, re + r * lanes);
            hn::Store(hn::LoadU(d, in_im + r * n + c), d, im + r * lanes);
        }
        pass(re, im, n);
        TransposeOut(re, n, lanes, out_re + c * n);
        TransposeOut(im, n, lanes, out_im + c * n);
    }
}

void Dft2(float* re, float* im, std::size_t n, float* scratch) {
    Columns(re, im, n, scratch, scratch + n * n, Forward);
    Columns(scratch, scratch + n * n, n, re, im, Forward);
}
void InverseDft2(float* re, float* im, std::size_t n, float* scratch) {
    Columns(re, im, n, scratch, scratch + n * n, Backward);
    Columns(scratch, scratch + n * n, n, re, im, Backward);
}

double HalfWhitenedRow(const float* r_re, const float* r_im, float* t_re, float* t_im,
                       const float* weight, float row_weight, std::size_t n) {
    const Tag d;
    const std::size_t lanes = hn::Lanes(d);
    const auto row = hn::Set(d, row_weight), one = hn::Set(d, 1.0F);
    auto total = hn::Zero(d);
    for (std::size_t i = 0; i + lanes <= n; i += lanes) {
        const auto rr = hn::LoadU(d, r_re + i), ri = hn::LoadU(d, r_im + i),
                   tr = hn::LoadU(d, t_re + i), ti = hn::LoadU(d, t_im + i);
        const auto re = hn::MulAdd(ri, ti, hn::Mul(rr, tr)),
                   im = hn::NegMulAdd(ri, tr, hn::Mul(rr, ti));
        const auto root = hn::Sqrt(hn::Sqrt(hn::MulAdd(re, re, hn::Mul(im, im))));  // √|product|
        const auto none = hn::Eq(root, hn::Zero(d));
        const auto w = hn::Mul(row, hn::LoadU(d, weight + i));
        const auto v = hn::IfThenZeroElse(none, hn::Div(w, hn::IfThenElse(none, one, root)));
        hn::StoreU(hn::Mul(v, re), d, t_re + i);
        hn::StoreU(hn::Mul(v, im), d, t_im + i);
        total = hn::MulAdd(w, root, total);
    }
    return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, total)));
}

void PhasedRowSums(const float* re, const float* im, const float* c, const float* q, const float* f,
                   std::size_t n, double sums[6]) {
    const Tag d;
    const std::size_t lanes = hn::Lanes(d);
    auto r0 = hn::Zero(d), i0 = r0, r1 = r0, i1 = r0, r2 = r0, i2 = r0;
    for (std::size_t k = 0; k + lanes <= n; k += lanes) {
        const auto a = hn::LoadU(d, re + k), b = hn::LoadU(d, im + k), vc = hn::LoadU(d, c + k),
                   vq = hn::LoadU(d, q + k), vf = hn::LoadU(d, f + k);
        const auto x = hn::NegMulAdd(b, vq, hn::Mul(a, vc)), y = hn::MulAdd(b, vc, hn::Mul(a, vq));
        const auto fx = hn::Mul(vf, x), fy = hn::Mul(vf, y);
        r0 = hn::Add(r0, x), i0 = hn::Add(i0, y);
        r1 = hn::Add(r1, fx), i1 = hn::Add(i1, fy);
        r2 = hn::MulAdd(vf, fx, r2), i2 = hn::MulAdd(vf, fy, i2);
    }
    const auto sum = [&](V v) HWY_ATTR {
        return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, v)));
    };
    sums[0] = sum(r0), sums[1] = sum(i0), sums[2] = sum(r1), sums[3] = sum(i1), sums[4] = sum(r2),
    sums[5] = sum(i2);
}

/// taper·row_taper where ok, else 0.
HWY_INLINE V Weight(Tag d, const std::uint8_t* ok, const float* taper, V row_taper) {
    const hn::Rebind<std::uint8_t, Tag> d8;
    const hn::Rebind<std::int32_t, Tag> d32;
    const auto seen =
        hn::RebindMask(d, hn::Ne(hn::PromoteTo(d32, hn::LoadU(d8, ok)), hn::Zero(d32)));
    return hn::IfThenElseZero(seen, hn::Mul(row_taper, hn::LoadU(d, taper)));
}

void MaskedRowSums(float* c, float* s, const std::uint8_t* ok, const float* taper, float row_taper,
                   std::size_t n, double sums[3]) {
    const Tag d;
    const std::size_t lanes = hn::Lanes(d);
    const auto row = hn::Set(d, row_taper), zero = hn::Zero(d);
    const hn::Rebind<std::uint8_t, Tag> d8;
    const hn::Rebind<std::int32_t, Tag> d32;
    auto w_sum = zero, c_sum = zero, s_sum = zero;
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto seen =
            hn::RebindMask(d, hn::Ne(hn::PromoteTo(d32, hn::LoadU(d8, ok + i)), hn::Zero(d32)));
        const auto w = hn::IfThenElseZero(seen, hn::Mul(row, hn::LoadU(d, taper + i)));
        const auto vc = hn::IfThenElseZero(seen, hn::LoadU(d, c + i)),
                   vs = hn::IfThenElseZero(seen, hn::LoadU(d, s + i));
        hn::StoreU(vc, d, c + i);
        hn::StoreU(vs, d, s + i);
        w_sum = hn::Add(w_sum, w);
        c_sum = hn::MulAdd(w, vc, c_sum);
        s_sum = hn::MulAdd(w, vs, s_sum);
    }
    const auto sum = [&](V v) HWY_ATTR {
        return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, v)));
    };
    sums[0] += sum(w_sum), sums[1] += sum(c_sum), sums[2] += sum(s_sum);
    for (; i < n; ++i) {
        if (ok[i] == 0) {
            c[i] = s[i] = 0;
            continue;
        }
        const auto w = static_cast<double>(taper[i] * row_taper);
        sums[0] += w, sums[1] += w * static_cast<double>(c[i]),
            sums[2] += w * static_cast<double>(s[i]);
    }
}

void TaperedRow(float* c, float* s, const std::uint8_t* ok, const float* taper, float row_taper,
                float mean_c, float mean_s, std::size_t n) {
    const Tag d;
    const std::size_t lanes = hn::Lanes(d);
    const auto row = hn::Set(d, row_taper), mc = hn::Set(d, mean_c), ms = hn::Set(d, mean_s);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto w = Weight(d, ok + i, taper + i, row);
        hn::StoreU(hn::Mul(w, hn::Sub(hn::LoadU(d, c + i), mc)), d, c + i);
        hn::StoreU(hn::Mul(w, hn::Sub(hn::LoadU(d, s + i), ms)), d, s + i);
    }
    for (; i < n; ++i) {
        const float w = ok[i] != 0 ? taper[i] * row_taper : 0.0F;
        c[i] = w * (c[i] - mean_c);
        s[i] = w * (s[i] - mean_s);
    }
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(Dft2);
HWY_EXPORT(InverseDft2);
HWY_EXPORT(HalfWhitenedRow);
HWY_EXPORT(PhasedRowSums);
HWY_EXPORT(MaskedRowSums);
HWY_EXPORT(TaperedRow);

void dft2(float* re, float* im, std::size_t n, float* scratch) {
    HWY_DYNAMIC_DISPATCH(Dft2)(re, im, n, scratch);
}
void inverse_dft2(float* re, float* im, std::size_t n, float* scratch) {
    HWY_DYNAMIC_DISPATCH(InverseDft2)(re, im, n, scratch);
}
std::size_t bit_reversed(std::size_t k, std::size_t n) {
    std::size_t out = 0;
    for (std::size_t bit = 1; bit < n; bit *= 2) out = 2 * out + ((k & bit) != 0 ? 1 : 0);
    return out;
}
double half_whitened_row(const float* r_re, const float* r_im, float* t_re, float* t_im,
                         const float* weight, float row_weight, std::size_t n) {
    return HWY_DYNAMIC_DISPATCH(HalfWhitenedRow)(r_re, r_im, t_re, t_im, weight, row_weight, n);
}
void phased_row_sums(const float* re, const float* im, const float* c, const float* q,
                     const float* f, std::size_t n, double sums[6]) {
    HWY_DYNAMIC_DISPATCH(PhasedRowSums)(re, im, c, q, f, n, sums);
}
void masked_row_sums(float* c, float* s, const std::uint8_t* ok, const float* taper,
                     float row_taper, std::size_t n, double sums[3]) {
    HWY_DYNAMIC_DISPATCH(MaskedRowSums)(c, s, ok, taper, row_taper, n, sums);
}
void tapered_row(float* c, float* s, const std::uint8_t* ok, const float* taper, float row_taper,
                 float mean_c, float mean_s, std::size_t n) {
    HWY_DYNAMIC_DISPATCH(TaperedRow)(c, s, ok, taper, row_taper, mean_c, mean_s, n);
}

}  // namespace fenceline::kernels
#endif
