#include "verify/verify.h"

#include <memory>

#include "commands/command.h"
#include "core/error.h"
#include "input/claims.h"
#include "output/report_json.h"

namespace fenceline {
namespace {

struct VerifyArguments {
    std::string claims, report;
};

CommandOutput hold_claims(const VerifyArguments& arguments, const Common& common) {
    std::vector<std::string> faults;
    check_exists(faults, "--claims", arguments.claims);
    check_exists(faults, "--report", arguments.report);
    if (!faults.empty()) throw UsageError(faults);
    if (common.dry_run) return would_use({arguments.claims, arguments.report});
    CommandOutput output;
    const Verdicts verdicts = verify(read_claims(arguments.claims), read_report(arguments.report));
    output.text = verdicts_text(verdicts);
    output.json = verdicts_json(verdicts);
    if (verdicts.any_contradicted()) output.exit_code = kClaimContradicted;
    return output;
}

}  // namespace

Command verify_command() {
    const auto arguments = std::make_shared<VerifyArguments>();
    Command command;
    command.name = "verify";
    command.usage = "fenceline verify --claims FILE --report FILE [OPTIONS]";
    command.summary = "hold published claims against the measurements";
    command.notes =
        "Each claim is supported, contradicted (exit 11) or cannot be judged, with the reason.\n"
        "configs/claims/camp25.json shows the form of FILE.";
    command.declare = [arguments](OptionTable& table) {
        table.text("claims", arguments->claims, "FILE", "the published claims (JSON)").required =
            true;
        table.text("report", arguments->report, "FILE", "report.json of a run").required = true;
    };
    command.run = [arguments](const Common& common, Progress&) {
        return hold_claims(*arguments, common);
    };
    return command;
}

}  // namespace fenceline
