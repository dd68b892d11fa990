#include "core/site.h"

namespace fenceline {

const std::vector<std::string>& site_types() {
    static const std::vector<std::string> kTypes = {"political_prison_camp",
                                                    "re_education_camp",
                                                    "labour_training_camp",
                                                    "labour_training_centre",
                                                    "detention_centre",
                                                    "holding_centre",
                                                    "waiting_room",
                                                    "temporary_facility",
                                                    "closed_detention_facility",
                                                    "other"};
    return kTypes;
}

}  // namespace fenceline
