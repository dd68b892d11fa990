// Apart from report_json.cpp: valijson takes as long to compile as the rest of this folder.
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "core/error.h"
#include "output/embedded.h"
#include "output/escape.h"
#include "output/report_json.h"

namespace fenceline {

void validate_report(const std::string& json, const std::string& name) {
    nlohmann::json document, schema_document;
    try {
        document = nlohmann::json::parse(json);
        schema_document = nlohmann::json::parse(embedded_file("report.schema.json"));
    } catch (const nlohmann::json::exception& error) {
        throw DataError(name, std::string("is not JSON: ") + error.what());
    }
    valijson::Schema schema;
    valijson::SchemaParser parser;
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(schema_document), schema);
    valijson::Validator validator;
    valijson::ValidationResults results;
    if (validator.validate(schema, valijson::adapters::NlohmannJsonAdapter(document), &results))
        return;
    std::string faults;
    int shown = 0;
    for (const auto& error : results) {
        std::string where;
        for (const auto& part : error.context) where += part;
        if (++shown > 8) break;
        faults += (faults.empty() ? "" : "; ") + where + ": " + error.description;
    }
    throw DataError(name, "does not fit report.schema.json: " + clean_text(faults));
}

}  // namespace fenceline
