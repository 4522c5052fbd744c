#include "property/shrink.hpp"

#include <array>

namespace plimsoll::property {
namespace {

// Simpler values of one option, the simplest first.
std::vector<std::string> simpler(const std::string& name, const std::string& value) {
  if (name == "devices")
    return {"1xH100", "1x80GiB", "1x80GiB:40GiB", "2xH100", "2x80GiB", "4xH200", "8xH200", value.substr(0, value.find(','))};
  if (name == "engine") return {value.substr(0, value.find('@'))};
  if (name == "max_length") return {"128", "1024", "4096", "8192", "auto"};
  if (name == "max_batch_size") return {"1", "8", "64"};
  return {};
}

} // namespace

std::string engine_of(const Request& request) {
  const std::string engine = request.option("engine").value_or("max");
  return engine.substr(0, engine.find('@'));
}

std::string kind_of(const std::string& violation) { return violation.substr(0, violation.find_first_of("0123456789:({,")); }

std::size_t size_of(const Request& request) { return request.options.size() * 1000 + request.json().size(); }

Request shrunk(Request request, const Property& property) {
  const auto violation = [&](const Request& tried) { return kind_of(property.violation(tried, plan(tried.json()))); };
  const std::string kind = violation(request);
  const auto adopt = [&](const Request& smaller) {
    if (engine_of(smaller) != engine_of(request) || size_of(smaller) > size_of(request) || violation(smaller) != kind) return false;
    request = smaller;
    return true;
  };
  for (const auto& [name, value] : std::vector(request.options)) {
    if (name != "devices" && adopt(request.without(name))) continue;
    for (const std::string& simple : simpler(name, value))
      if (simple != value && adopt(request.with(name, simple))) break;
  }
  for (const char* model : {"Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B", "google/gemma-3-27b-it", "deepseek-ai/DeepSeek-V3"}) {
    Request other = request;
    other.model = model;
    if (violation(other) != kind) continue;
    request = other;
    break;
  }
  for (const auto& [name, value] : std::vector(request.options))
    if (name != "devices") adopt(request.without(name));
  return request;
}

Request request_of_json(const std::string& json) {
  Request out;
  const nlohmann::ordered_json document = nlohmann::ordered_json::parse(json);
  for (const auto& [name, value] : document.items()) {
    const auto text = [](const auto& part) { return part.is_string() ? part.template get<std::string>() : part.dump(); };
    if (name == "model") out.model = text(value);
    else if (value.is_array())
      for (const auto& part : value) out.options.emplace_back(name, text(part));
    else out.options.emplace_back(name, text(value));
  }
  return out;
}

} // namespace plimsoll::property
