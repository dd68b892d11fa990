#pragma once

#include <limits>

namespace fenceline {

/// Allowed values of a numeric option, both ends included.
struct Range {
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
};

// Each options struct is declared once and described once, beside it:
//
//   struct AlignOptions { double search_m = 100; … };
//   template <class Visitor> void describe(AlignOptions& o, Visitor&& v) {
//       v("align.search_m", o.search_m, Range{1, 1000}, "m", "how far the coarse search looks in
//       each direction");
//   }
//
// The command line (--align.search_m 50), the INI file ([align] search_m = 50), --help,
// --print-config, the validation and the documentation all come from this one line. Fields: double,
// int, bool or std::string; the default is the struct's initialiser.

}  // namespace fenceline
