// Properties that compare an answer with other answers: of larger devices, longer requests, the frontier's points, the
// estimator, the getters. Each returns what is wrong, or nothing. Threads: any.
#pragma once

#include <string>

#include "property/library.hpp"
#include "property/request.hpp"

namespace plimsoll::property {

std::string more_memory_fits_less(const Request& request, const Answer& answer);
std::string longer_requests_are_more(const Request& request, const Answer& answer);
std::string frontier_points_cannot_be_had(const Request& request, const Answer& answer);
std::string decode_context_does_not_divide_tp(const Request& request, const Answer& answer);
std::string plan_is_not_estimate(const Request& request, const Answer& answer);
std::string capacity_differs(const Request& request, const Answer& answer);
std::string getters_differ(const plimsoll_plan* plan, const Json& document);

} // namespace plimsoll::property
