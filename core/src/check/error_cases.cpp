// ERR: what is wrong with a configuration is an error that somebody can act upon, and nothing else happens.
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <set>
#include <simdjson.h>

#include "check/allocations.hpp"
#include "check/cases.hpp"
#include "plugin/calls.hpp"

namespace plimsoll::check {
namespace {

std::string said_of(const Error& error) { return fmt::format("{} ({})", error.message, error.where); }

bool is_known_status(plimsoll_status status) { return status >= PLIMSOLL_E_CONFIG && status <= PLIMSOLL_E_REQUEST; }

// Loads the model and asks its planner everything; what is the plugin's fault in it, in words.
std::string fault_of(Subject& subject, const Json& config) {
  subject.shim().forget();
  const auto model = subject.model(config);
  if (!model) {
    const std::vector<SeenError>& errors = subject.shim().errors();
    const bool unknown = !errors.empty() && !is_known_status(errors.back().status); // ERR-06's
    return is_plugin_fault(model.error()) && !unknown ? said_of(model.error()) : std::string();
  }
  subject.answers(*(*model)->planners);
  return {};
}

// Calls `each` for every key of its own that a configuration lacks in turn.
Finding without_each_key(CaseContext& context, const std::function<Finding(Subject&, const std::string& pointer, const Error&)>& each) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    if (const auto model = subject.model(input.config); !model) return skipped(model.error().message);
    for (const std::string& pointer : own_keys(subject, input.config)) {
      const std::string name = fmt::format("{} without {}", input.name, pointer);
      context.at(name);
      subject.shim().forget();
      const auto tree = subject.tree(without_key(input.config, pointer));
      if (tree || subject.shim().errors().empty()) continue;                 // it can do without, or the host said it
      if (!is_known_status(subject.shim().errors().back().status)) continue; // ERR-06's
      Finding finding = each(subject, pointer, tree.error());
      if (finding.status == CheckStatus::kPass) continue;
      finding.input = name;
      return finding;
    }
    return passed();
  });
}

Finding missing_is_named(CaseContext& context) {
  return without_each_key(context, [](Subject& subject, const std::string& pointer, const Error& error) {
    if (is_plugin_fault(error)) return failed(fmt::format("an error of the configuration was expected, not: {}", said_of(error)));
    // By its own name, or by another under which it was looked for too.
    const std::set<std::string>& lookups = subject.shim().lookups();
    const bool named = (error.where + " " + error.message).find(last_part(pointer)) != std::string::npos ||
                       std::any_of(lookups.begin(), lookups.end(),
                                   [&](const std::string& other) { return other.size() > 1 && error.where.ends_with(": " + other); });
    return named ? passed() : failed(fmt::format("the error does not name the key: {}", said_of(error)));
  });
}

// Changes each key to each value.
Finding with_each_value(CaseContext& context, const std::function<std::vector<Json>(const Json& now)>& values) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    if (const auto model = subject.model(input.config); !model) return skipped(model.error().message);
    for (const std::string& pointer : own_keys(subject, input.config))
      for (const Json& value : values(*find_pointer(input.config, pointer))) {
        const std::string name = fmt::format("{} with {} = {}", input.name, pointer, shown(value));
        context.at(name);
        const std::string fault = fault_of(subject, with_value(input.config, pointer, value));
        if (!fault.empty()) return failed(fault, name);
      }
    return passed();
  });
}

Finding wrong_types(CaseContext& context) {
  return with_each_value(context, [](const Json& now) {
    std::vector<Json> out;
    for (Json other : {Json(nullptr), Json(true), Json(7), Json(-1.5), Json("text"), Json::array(), Json::object(), Json::array({1, "a"})})
      if (other.type() != now.type()) out.push_back(std::move(other));
    return out;
  });
}
Finding odd_numbers(CaseContext& context) {
  return with_each_value(context, [](const Json& now) {
    if (!now.is_number()) return std::vector<Json>{};
    return std::vector<Json>{0,          1,     -1,    0x80000000U, 0xffffffffU, std::uint64_t{1} << 33U, std::uint64_t{1} << 62U,
                             UINT64_MAX, 1e300, -1e300};
  });
}

// Texts of every error that its planners can be brought to.
Finding errors_seen(CaseContext& context, const std::function<std::string(const SeenError&)>& wrong) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const std::vector<std::string> keys = own_keys(subject, input.config);
    Recorder refusing;
    refusing.refuse_from = 0;
    plimsoll_error err = blank_error();
    call_weights((*tree)->root(), PLIMSOLL_ASPECT_ALL, refusing.sink(), &err);
    call_kv((*tree)->root(), PLIMSOLL_ASPECT_ALL, refusing.sink(), &err);
    for (const std::string& pointer : keys)
      for (const Json& config : {without_key(input.config, pointer), with_value(input.config, pointer, "text"),
                                 with_value(input.config, pointer, 0), with_value(input.config, pointer, std::uint64_t{1} << 62U)})
        if (const auto other = subject.tree(config)) subject.answers(**other);
    for (const SeenError& seen : subject.shim().errors())
      if (const std::string fault = wrong(seen); !fault.empty()) return failed(fmt::format("{}: {}", seen.call, fault));
    return passed();
  });
}

Finding errors_are_readable(CaseContext& context) {
  return errors_seen(context, [](const SeenError& seen) -> std::string {
    if (!seen.filled) return {};
    if (!seen.terminated) return "where or message is not terminated";
    if (seen.message.empty()) return fmt::format("status {} without a message", seen.status);
    for (const std::string* text : {&seen.where, &seen.message}) {
      if (!simdjson::validate_utf8(text->data(), text->size())) return "its text is no UTF-8";
      if (std::any_of(text->begin(), text->end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
        return "its text holds control characters";
    }
    const std::size_t hex = seen.message.find("0x7");
    if (hex != std::string::npos && seen.message.size() > hex + 10 &&
        seen.message.find_first_not_of("0123456789abcdef", hex + 2) >= hex + 11)
      return fmt::format("its message holds an address: {}", seen.message);
    return {};
  });
}
Finding statuses_are_known(CaseContext& context) {
  return errors_seen(context, [](const SeenError& seen) {
    return is_known_status(seen.status) ? std::string() : fmt::format("status {}, which is none", seen.status);
  });
}

Finding errors_leave_nothing(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const std::vector<std::string> expected = subject.answers(**tree);
    for (const std::uint64_t from : {0U, 1U}) {
      Recorder refusing;
      refusing.refuse_from = from;
      plimsoll_error err = blank_error();
      call_weights((*tree)->root(), PLIMSOLL_ASPECT_ALL, refusing.sink(), &err);
      call_kv((*tree)->root(), PLIMSOLL_ASPECT_ALL, refusing.sink(), &err);
    }
    for (const std::string& pointer : own_keys(subject, input.config)) (void)subject.tree(with_value(input.config, pointer, "text"));
    std::string difference = first_difference(expected, subject.answers(**tree));
    if (difference.empty())
      if (const auto again = subject.tree(input.config)) difference = first_difference(expected, subject.answers(**again));
    return difference.empty() ? passed() : failed("after an error " + difference);
  });
}

Finding memory_runs_out(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    FailingAllocations allocations(&subject.descriptor());
    if (!allocations.found()) return passed();
    allocations.fail(UINT64_MAX);
    if (const auto tree = subject.tree(input.config)) subject.answers(**tree);
    else return skipped(tree.error().message);
    const std::uint64_t n = std::min<std::uint64_t>(allocations.counted(), 1000);
    for (std::uint64_t number = 0; number < n; ++number) {
      context.at(fmt::format("{}, where allocation {} fails", input.name, number));
      allocations.fail(number);
      if (const auto tree = subject.tree(input.config)) subject.answers(**tree);
    }
    allocations.fail(UINT64_MAX);
    return passed();
  });
}

} // namespace

const std::vector<Case>& error_cases() {
  static const std::vector<Case> cases{{"ERR-01", missing_is_named},    {"ERR-02", wrong_types},        {"ERR-03", odd_numbers},
                                       {"ERR-05", errors_are_readable}, {"ERR-06", statuses_are_known}, {"ERR-07", errors_leave_nothing},
                                       {"ERR-08", memory_runs_out}};
  return cases;
}

} // namespace plimsoll::check
