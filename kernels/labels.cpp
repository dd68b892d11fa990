#include "kernels/labels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/labels.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h: compiles this file once per instruction set
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace fenceline::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void TwoLevels(const std::int16_t* score, const std::uint8_t* skip, std::size_t n, std::int16_t low,
               std::int16_t high, std::uint8_t* out) {
    const hn::ScalableTag<std::int16_t> d;
    const hn::Rebind<std::uint8_t, decltype(d)> d8;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto v = hn::LoadU(d, score + i);
        const auto one = hn::Set(d, std::int16_t{1});
        const auto lower = hn::IfThenZeroElse(hn::Lt(v, hn::Set(d, low)), one);
        const auto upper = hn::IfThenZeroElse(hn::Lt(v, hn::Set(d, high)), one);
        const auto level = hn::DemoteTo(d8, hn::Add(lower, upper));
        const auto off = hn::LoadU(d8, skip + i);
        hn::StoreU(hn::IfThenElseZero(hn::Eq(off, hn::Zero(d8)), level), d8, out + i);
    }
    for (; i < n; ++i)
        out[i] = skip[i] != 0 ? std::uint8_t{0}
                              : static_cast<std::uint8_t>((score[i] >= low) + (score[i] >= high));
}

/// 64 pixels become 64 bits; a border is where a bit differs from the one before.
std::size_t FindRuns(const std::uint8_t* row, std::size_t n, std::int32_t* edges) {
    const hn::ScalableTag<std::uint8_t> d;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t count = 0, i = 0;
    std::uint64_t before = 0;  // the last pixel of the word before
    const auto take = [&](std::uint64_t bits, std::size_t begin) {
        std::uint64_t borders = bits ^ ((bits << 1) | before);
        before = bits >> 63;
        while (borders != 0) {
            edges[count++] =
                static_cast<std::int32_t>(begin + hwy::Num0BitsBelowLS1Bit_Nonzero64(borders));
            borders &= borders - 1;
        }
    };
    if (lanes <= 64)
        for (; i + 64 <= n; i += 64) {
            std::uint64_t bits = 0;
            for (std::size_t k = 0; k < 64; k += lanes) {
                std::uint64_t part = 0;
                const auto set = hn::Ne(hn::LoadU(d, row + i + k), hn::Zero(d));
                hn::StoreMaskBits(d, set, reinterpret_cast<std::uint8_t*>(&part));
                bits |= part << k;
            }
            take(bits, i);
        }
    for (bool on = before != 0; i < n || on; ++i) {
        const bool now = i < n && row[i] != 0;
        if (now != on) edges[count++] = static_cast<std::int32_t>(i);
        on = now;
        if (i >= n) break;
    }
    return count;
}

}  // namespace fenceline::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fenceline::kernels {
HWY_EXPORT(TwoLevels);
HWY_EXPORT(FindRuns);

void two_levels(const std::int16_t* score, const std::uint8_t* skip, std::size_t n,
                std::int16_t low, std::int16_t high, std::uint8_t* out) {
    HWY_DYNAMIC_DISPATCH(TwoLevels)(score, skip, n, low, high, out);
}
std::size_t find_runs(const std::uint8_t* row, std::size_t n, std::int32_t* edges) {
    return HWY_DYNAMIC_DISPATCH(FindRuns)(row, n, edges);
}

std::int32_t RunComponents::root(std::int32_t label) {
    auto at = static_cast<std::size_t>(label);
    while (parent_[at] != static_cast<std::int32_t>(at)) {
        parent_[at] = parent_[static_cast<std::size_t>(parent_[at])];
        at = static_cast<std::size_t>(parent_[at]);
    }
    return static_cast<std::int32_t>(at);
}

void RunComponents::add_row(std::int32_t y, const std::int32_t* edges, std::size_t edge_count) {
    // Numbers that the row before gave back; its reader has dealt with them by now.
    for (const Join& join : joined_) free_.push_back(join.gone);
    free_.insert(free_.end(), ended_.begin(), ended_.end());
    joined_.clear();
    ended_.clear();
    labels_.clear();
    now_.clear();
    std::size_t above = y == previous_y_ + 1 ? 0 : above_.size();
    for (std::size_t k = 0; k + 1 < edge_count; k += 2) {
        Run run{edges[k], edges[k + 1], -1};
        // Touching, corners included: begin <= other.end and other.begin <= end.
        while (above < above_.size() && above_[above].end < run.begin) ++above;
        for (std::size_t j = above; j < above_.size() && above_[j].begin <= run.end; ++j) {
            const std::int32_t other = root(above_[j].label);
            if (run.label < 0) {
                run.label = other;
                continue;
            }
            const std::int32_t own = root(run.label);
            if (own == other) continue;
            const Join join = own < other ? Join{own, other} : Join{other, own};
            parent_[static_cast<std::size_t>(join.gone)] = join.kept;
            joined_.push_back(join);
        }
        if (run.label < 0) {
            if (free_.empty()) {
                run.label = static_cast<std::int32_t>(parent_.size());
                parent_.push_back(run.label);
                touched_.push_back(-1);
            } else {
                run.label = free_.back();
                free_.pop_back();
                parent_[static_cast<std::size_t>(run.label)] = run.label;
            }
        }
        now_.push_back(run);
    }
    for (Run& run : now_) {
        run.label = root(run.label);
        touched_[static_cast<std::size_t>(run.label)] = y;
        labels_.push_back(run.label);
    }
    for (const Run& run : above_) {
        const std::int32_t label = root(run.label);
        if (touched_[static_cast<std::size_t>(label)] == y) continue;
        touched_[static_cast<std::size_t>(label)] = y;  // named once
        ended_.push_back(label);
    }
    above_.swap(now_);
    previous_y_ = y;
}

}  // namespace fenceline::kernels
#endif
