#pragma once

#include <string>

#include "verify/verify.h"

namespace fenceline {

/// Reads a claims file (configs/claims/camp25.json shows the form):
///   {"schema": "fenceline-claims/1", "title": …, "site": ID, "claims": [
///     {"id", "statement", "kind", "value", "unit", "tolerance", "relation"?: about | at_least |
///     at_most,
///      "at": PERIOD  or  "from": PERIOD, "to": PERIOD, "sources": [{"title", "publisher"?,
///      "date"?, "url"?, "note"?}]}]}
/// PERIOD: "2009", "2009-10", "2009-10-04" or two of them as "2011/2013". Every fault of the file
/// is reported at once with its place (UsageError); a file that cannot be read is a DataError.
Claims read_claims(const std::string& path);
/// The same from text; name is used in messages.
Claims parse_claims(const std::string& json, const std::string& name);

}  // namespace fenceline
