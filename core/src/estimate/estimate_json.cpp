// Reading requests with simdjson and writing results by hand: the two ends of estimate_line, where speed counts.
// Called through estimate_json.hpp. Never keeps a view of the text after it returns. Threads: one parser per thread.
#include "plimsoll/estimate_json.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <simdjson.h>

#include "base/yaml.hpp"
#include "estimate/json_place.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kUsualBytes = 1U << 20; // what a parser has room for from the start
constexpr std::size_t kMaxRequestDepth = 32;
constexpr std::size_t kMaxCaches = 1024;

// A place in the document, kept on the stack and spelled out only for an error.
struct Place {
  const Place* parent = nullptr;
  std::string_view key;
  std::size_t index = 0;

  std::string pointer() const {
    if (!parent) return {};
    if (key.empty()) return fmt::format("{}/{}", parent->pointer(), index);
    return parent->pointer() + "/" + json_pointer_token(key);
  }
};

tl::unexpected<Error> bad(const Place& place, std::string message) {
  return fail(ErrorCode::kBadRequest, std::move(message), place.pointer());
}

std::string_view type_name(const dom::element& value) {
  switch (value.type()) {
  case dom::element_type::ARRAY: return "a list";
  case dom::element_type::OBJECT: return "an object";
  case dom::element_type::INT64:
  case dom::element_type::UINT64: return "an integer";
  case dom::element_type::DOUBLE: return "a number with a fraction";
  case dom::element_type::STRING: return "a string";
  case dom::element_type::BOOL: return "true or false";
  case dom::element_type::NULL_VALUE: return "null";
  }
  return "something else";
}

tl::unexpected<Error> wrong_type(const Place& place, const dom::element& found, std::string_view expected) {
  return bad(place, fmt::format("found {}, expected {}", type_name(found), expected));
}

Result<std::int64_t> read_integer(const dom::element& value, const Place& place) {
  if (value.type() == dom::element_type::INT64) {
    const std::int64_t number = value.get_int64().value_unsafe();
    if (number < 0) return bad(place, fmt::format("{} is negative; give 0 or more", number));
    return number;
  }
  if (value.type() == dom::element_type::UINT64)
    return bad(place, fmt::format("{} is beyond the largest size, 9223372036854775807", value.get_uint64().value_unsafe()));
  return wrong_type(place, value, "an integer");
}

Result<std::int64_t> read_count(const dom::element& value, const Place& place, std::uint64_t most) {
  PLIMSOLL_ASSIGN(const std::int64_t number, read_integer(value, place));
  if (static_cast<std::uint64_t>(number) > most) return bad(place, fmt::format("{} is too much; give at most {}", number, most));
  return number;
}

Result<double> read_number(const dom::element& value, const Place& place) {
  switch (value.type()) {
  case dom::element_type::INT64: return static_cast<double>(value.get_int64().value_unsafe());
  case dom::element_type::UINT64: return static_cast<double>(value.get_uint64().value_unsafe());
  case dom::element_type::DOUBLE: return value.get_double().value_unsafe();
  default: return wrong_type(place, value, "a number");
  }
}

Result<bool> read_bool(const dom::element& value, const Place& place) {
  if (value.type() != dom::element_type::BOOL) return wrong_type(place, value, "true or false");
  return value.get_bool().value_unsafe();
}

Result<std::string_view> read_string(const dom::element& value, const Place& place) {
  if (value.type() != dom::element_type::STRING) return wrong_type(place, value, "a string");
  const std::string_view text = value.get_string().value_unsafe();
  if (text.size() > 256) return bad(place, "the string is longer than 256 bytes");
  return text;
}

Result<StorageType> read_type(const dom::element& value, const Place& place) {
  PLIMSOLL_ASSIGN(const std::string_view name, read_string(value, place));
  auto type = storage_type(name);
  if (!type) return bad(place, std::move(type.error().message));
  return *type;
}

template <std::size_t N>
using Keys = std::array<std::string_view, N>;

// Calls read(index of the key, value, place) for every member that is not null. Unknown and repeated keys are errors.
template <std::size_t N, class Read>
Result<void> read_object(const dom::element& value, const Place& place, const Keys<N>& keys, Read&& read) {
  if (value.type() != dom::element_type::OBJECT) return wrong_type(place, value, "an object");
  std::uint32_t seen = 0;
  static_assert(N <= 32);
  std::size_t next = 0; // members mostly come in the documented order
  const dom::object members = value.get_object().value_unsafe();
  for (const dom::key_value_pair member : members) {
    std::size_t at = N;
    for (std::size_t i = 0; i < N && at == N; ++i) {
      const std::size_t candidate = next + i < N ? next + i : next + i - N;
      if (keys[candidate] == member.key) at = candidate;
    }
    const Place here{&place, member.key, 0};
    if (at == N)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("unknown key '{}'; known here are {}", member.key.substr(0, 64), fmt::join(keys, ", ")), here.pointer());
    if (seen >> at & 1U) return bad(here, fmt::format("the key '{}' is given twice", member.key));
    seen |= 1U << at;
    next = at + 1 < N ? at + 1 : 0;
    if (!member.value.is_null()) PLIMSOLL_TRY(read(at, member.value, here));
  }
  return {};
}

template <class Read>
Result<void> read_list(const dom::element& value, const Place& place, std::size_t longest, Read&& read) {
  if (value.type() != dom::element_type::ARRAY) return wrong_type(place, value, "a list");
  const dom::array list = value.get_array().value_unsafe();
  if (list.size() > longest) return bad(place, fmt::format("the list has more than {} entries", longest));
  std::size_t index = 0;
  for (const dom::element entry : list) PLIMSOLL_TRY(read(entry, Place{&place, {}, index++}));
  return {};
}

template <class T, class R>
Result<void> set(T& target, Result<R>&& value) {
  if (!value) return tl::unexpected(std::move(value.error()));
  target = std::move(*value);
  return {};
}

Result<void> read_device(const dom::element& value, const Place& place, EstimateDevice& device) {
  constexpr Keys<5> keys{"free_bytes", "total_bytes", "host", "max_allocation_bytes", "name"};
  bool free = false;
  PLIMSOLL_TRY(read_object(value, place, keys, [&](std::size_t key, const dom::element& v, const Place& at) -> Result<void> {
    switch (key) {
    case 0: free = true; return set(device.free_bytes, read_integer(v, at));
    case 1: return set(device.total_bytes, read_integer(v, at));
    case 2: return set(device.host, read_bool(v, at));
    case 3: return set(device.max_allocation_bytes, read_integer(v, at));
    default: return set(device.name, read_string(v, at));
    }
  }));
  if (!free && !device.total_bytes) return bad(place, "the device has neither free_bytes nor total_bytes");
  return {};
}

Result<void> read_size(const dom::element& value, const Place& place, EstimateSize& size) {
  if (value.type() != dom::element_type::ARRAY) return set(size.total_bytes, read_integer(value, place));
  return read_list(value, place, kMaxRanks, [&](const dom::element& v, const Place& at) -> Result<void> {
    PLIMSOLL_ASSIGN(const std::int64_t bytes, read_integer(v, at));
    size.per_device_bytes.push_back(bytes);
    return {};
  });
}

Result<void> read_region(const dom::element& value, const Place& place, EstimateStateRegion& region) {
  constexpr Keys<4> keys{"label", "layers", "row_shape", "dtype"};
  bool layers = false;
  PLIMSOLL_TRY(read_object(value, place, keys, [&](std::size_t key, const dom::element& v, const Place& at) -> Result<void> {
    switch (key) {
    case 0: return set(region.label, read_string(v, at));
    case 1: layers = true; return set(region.layers, read_integer(v, at));
    case 2:
      return read_list(v, at, 16, [&](const dom::element& extent, const Place& where) -> Result<void> {
        PLIMSOLL_ASSIGN(const std::int64_t elements, read_integer(extent, where));
        region.row_shape.push_back(elements);
        return {};
      });
    default: return set(region.type, read_type(v, at));
    }
  }));
  if (!layers) return bad(place, "the region does not say its layers");
  if (region.row_shape.empty()) return bad(place, "the region does not say its row_shape");
  return {};
}

Result<void> read_cache(const dom::element& value, const Place& place, EstimateCache& cache) {
  constexpr Keys<12> keys{"label",    "kind",
                          "dtype",    "layers",
                          "kv_heads", "query_heads",
                          "head_dim", "window_tokens",
                          "scales",   "allow_kv_head_replication",
                          "regions",  "per_layer_buffers"};
  std::uint32_t given = 0;
  PLIMSOLL_TRY(read_object(value, place, keys, [&](std::size_t key, const dom::element& v, const Place& at) -> Result<void> {
    given |= 1U << key;
    switch (key) {
    case 0: return set(cache.label, read_string(v, at));
    case 1: {
      PLIMSOLL_ASSIGN(const std::string_view kind, read_string(v, at));
      if (kind == "mha" || kind == "msa") cache.kind = CacheKind::kFull; // documented as two classes that store alike
      else if (kind == "mla") cache.kind = CacheKind::kLatent;
      else if (kind == "state") cache.kind = CacheKind::kState;
      else return bad(at, fmt::format("unknown kind '{}'; known are mha, msa, mla and state", kind));
      return {};
    }
    case 2: return set(cache.type, read_type(v, at));
    case 3: return set(cache.layers, read_integer(v, at));
    case 4: return set(cache.kv_heads, read_integer(v, at));
    case 5: return set(cache.query_heads, read_integer(v, at));
    case 6: return set(cache.head_dim, read_integer(v, at));
    case 7: return set(cache.window_tokens, read_integer(v, at));
    case 8: {
      EstimateScales scales;
      constexpr Keys<2> inner{"dtype", "granularity"};
      PLIMSOLL_TRY(read_object(v, at, inner, [&](std::size_t k, const dom::element& s, const Place& where) -> Result<void> {
        return k == 0 ? set(scales.type, read_type(s, where)) : set(scales.granularity, read_integer(s, where));
      }));
      cache.scales = scales;
      return {};
    }
    case 9: return set(cache.allow_kv_head_replication, read_bool(v, at));
    case 10:
      return read_list(v, at, kMaxCaches, [&](const dom::element& region, const Place& where) -> Result<void> {
        return read_region(region, where, cache.regions.emplace_back());
      });
    default: return set(cache.per_layer_buffers, read_bool(v, at));
    }
  }));
  const auto require = [&](std::uint32_t key) -> Result<void> {
    if (given >> key & 1U) return {};
    return bad(place, fmt::format("the cache does not say its {}", keys[key]));
  };
  if (cache.kind == CacheKind::kState) {
    if (cache.regions.empty()) return bad(place, "a state cache needs at least one region");
    return {};
  }
  if (!cache.regions.empty()) return bad(place, "only a cache of kind state has regions");
  PLIMSOLL_TRY(require(3));
  PLIMSOLL_TRY(require(6));
  return cache.kind == CacheKind::kLatent ? require(5) : require(4);
}

Result<void> read_kv_cache(const dom::element& value, const Place& place, EstimateRequest& request) {
  constexpr Keys<3> keys{"page_tokens", "caches", "state_rows_per_sequence"};
  return read_object(value, place, keys, [&](std::size_t key, const dom::element& v, const Place& at) -> Result<void> {
    switch (key) {
    case 0: return set(request.page_tokens, read_count(v, at, kMaxPageTokens));
    case 1:
      return read_list(v, at, kMaxCaches, [&](const dom::element& cache, const Place& where) -> Result<void> {
        return read_cache(cache, where, request.caches.emplace_back());
      });
    default: return set(request.state_rows_per_sequence, read_integer(v, at));
    }
  });
}

Result<void> read_sizes(const dom::element& value, const Place& place, EstimateRequest& request) {
  constexpr Keys<3> keys{"weights_bytes", "activation_bytes", "signal_buffer_bytes"};
  return read_object(value, place, keys, [&](std::size_t key, const dom::element& v, const Place& at) -> Result<void> {
    EstimateSize& size = key == 0 ? request.weights : key == 1 ? request.activations : request.signal_buffers;
    return read_size(v, at, size);
  });
}

Result<void> read_draft(const dom::element& value, const Place& place, EstimateDraft& draft) {
  constexpr Keys<3> keys{"max_length", "num_draft_tokens", "method"};
  return read_object(value, place, keys, [&](std::size_t key, const dom::element& v, const Place& at) -> Result<void> {
    switch (key) {
    case 0: return set(draft.max_length, read_count(v, at, kMaxTokens));
    case 1: return set(draft.num_draft_tokens, read_count(v, at, kMaxDraftTokens));
    default: return set(draft.method, read_string(v, at));
    }
  });
}

Result<void> read_vision(const dom::element& value, const Place& place, EstimateVisionCache& vision) {
  constexpr Keys<4> keys{"utilization", "row_elements", "row_dtype", "entry_bytes"};
  return read_object(value, place, keys, [&](std::size_t key, const dom::element& v, const Place& at) -> Result<void> {
    switch (key) {
    case 0: return set(vision.utilization, read_number(v, at));
    case 1: return set(vision.row_elements, read_integer(v, at));
    case 2: return set(vision.row_type, read_type(v, at));
    default: return set(vision.entry_bytes, read_integer(v, at));
    }
  });
}

Result<void> read_accounting(const dom::element& value, const Place& place, Accounting& accounting) {
  PLIMSOLL_ASSIGN(const std::string_view name, read_string(value, place));
  if (name == "pooled") accounting = Accounting::kPooled;
  else if (name == "per_device" || name == "per-device") accounting = Accounting::kPerDevice;
  else return bad(place, fmt::format("unknown accounting '{}'; known are per_device and pooled", name));
  return {};
}

Result<void> read_request(const dom::element& root, EstimateRequest& request) {
  constexpr Keys<12> keys{"accounting", "devices",          "parallelism",    "device_memory_utilization", "sizes", "kv_cache",
                          "max_length", "max_length_given", "max_batch_size", "max_batch_input_tokens",    "draft", "vision_cache"};
  const Place top;
  bool devices = false;
  PLIMSOLL_TRY(read_object(root, top, keys, [&](std::size_t key, const dom::element& v, const Place& at) -> Result<void> {
    switch (key) {
    case 0: return read_accounting(v, at, request.accounting);
    case 1:
      devices = true;
      return read_list(v, at, kMaxRanks, [&](const dom::element& device, const Place& where) -> Result<void> {
        return read_device(device, where, request.devices.emplace_back());
      });
    case 2: {
      constexpr Keys<1> inner{"dp"};
      return read_object(v, at, inner, [&](std::size_t, const dom::element& degree, const Place& where) -> Result<void> {
        return set(request.data_parallel_degree, read_integer(degree, where));
      });
    }
    case 3: return set(request.device_memory_utilization, read_number(v, at));
    case 4: return read_sizes(v, at, request);
    case 5: return read_kv_cache(v, at, request);
    case 6: return set(request.max_length, read_count(v, at, kMaxTokens));
    case 7: return set(request.max_length_given, read_bool(v, at));
    case 8: return set(request.max_batch_size, read_count(v, at, kMaxSequences));
    case 9: return set(request.max_batch_input_tokens, read_count(v, at, kMaxTokens));
    case 10: return read_draft(v, at, request.draft);
    default: return read_vision(v, at, request.vision_cache.emplace());
    }
  }));
  if (!devices) return fail(ErrorCode::kBadRequest, "the request names no devices", "/devices");
  return {};
}

// ---------------------------------------------------------------------------------------------- writing

class Writer {
public:
  explicit Writer(std::string& out) : out_(out) {}

  void text(std::string_view raw) { out_.append(raw); }
  void integer(std::int64_t value) {
    const fmt::format_int digits(value);
    out_.append(digits.data(), digits.size());
  }
  void integer(const std::optional<std::int64_t>& value) {
    if (value) integer(*value);
    else text("null");
  }
  // Bytes that are not UTF-8 become U+FFFD.
  void string(std::string_view value) {
    const auto plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; };
    if (std::all_of(value.begin(), value.end(), plain)) { // as nearly all are
      out_.append("\"").append(value).append("\"");
    } else {
      out_ += nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
  }

private:
  std::string& out_;
};

void write_device(Writer& w, std::size_t index, const EstimateDeviceShare& device) {
  w.text("{\"device\": ");
  w.integer(static_cast<std::int64_t>(index));
  if (!device.name.empty()) {
    w.text(", \"name\": ");
    w.string(device.name);
  }
  w.text(", \"free_bytes\": ");
  w.integer(device.free_bytes);
  w.text(", \"budget_bytes\": ");
  w.integer(device.budget_bytes);
  w.text(", \"static_bytes\": ");
  w.integer(device.static_bytes);
  w.text(", \"vision_cache_bytes\": ");
  w.integer(device.vision_cache_bytes);
  w.text(", \"kv_cache_bytes\": ");
  w.integer(device.kv_cache_bytes);
  w.text(", \"unused_bytes\": ");
  w.integer(device.unused_bytes);
  w.text("}");
}

} // namespace

Result<EstimateRequest> parse_estimate_request(std::string_view json) {
  thread_local dom::parser parser(kMaxEstimateBytes);
  thread_local bool ready = false;
  if (json.size() > kMaxEstimateBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("the request has {} bytes; at most {} are read", json.size(), kMaxEstimateBytes));
  if (!ready) ready = parser.allocate(kUsualBytes, kMaxRequestDepth) == simdjson::SUCCESS;
  dom::element root;
  if (const auto code = parser.parse(json.data(), json.size()).get(root); code != simdjson::SUCCESS)
    return fail(ErrorCode::kBadRequest, fmt::format("not a JSON document: {}", simdjson::error_message(code)), json_error_pointer(json));
  EstimateRequest request;
  PLIMSOLL_TRY(read_request(root, request));
  return request;
}

Result<EstimateRequest> parse_estimate_request_yaml(std::string_view yaml, const std::string& where) {
  auto json = yaml_to_json(yaml);
  if (!json) {
    json.error().where = where;
    return tl::unexpected(std::move(json.error()));
  }
  return parse_estimate_request(*json);
}

std::string estimate_result_json(const EstimateResult& result, Accounting accounting) {
  std::string out;
  out.reserve(512 + result.devices.size() * 192);
  Writer w(out);
  w.text(result.fits ? "{\"fits\": true" : "{\"fits\": false");
  const auto figure = [&](std::string_view key, const std::optional<std::int64_t>& value) {
    w.text(key);
    w.integer(value);
  };
  figure(", \"max_batch_size\": ", result.max_batch_size);
  figure(", \"max_length\": ", result.max_length);
  figure(", \"kv_cache_bytes\": ", result.kv_cache_bytes);
  figure(", \"kv_budget_bytes\": ", result.kv_budget_bytes);
  figure(", \"footprint_bytes\": ", result.footprint_bytes);
  figure(", \"free_bytes\": ", result.free_bytes);
  figure(", \"static_bytes\": ", result.static_bytes);
  figure(", \"pages_per_replica\": ", result.pages_per_replica);
  figure(", \"max_supported_sequence_length\": ", result.max_supported_sequence_length);
  if (result.vision_cache) {
    figure(", \"vision_cache\": {\"bytes\": ", result.vision_cache->bytes);
    figure(", \"blocks\": ", result.vision_cache->blocks);
    w.text("}");
  } else {
    w.text(", \"vision_cache\": null");
  }
  w.text(", \"warnings\": [");
  bool first = true;
  for (const WarningCode warning : result.warnings) {
    if (!first) w.text(", ");
    first = false;
    w.string(warning_name(warning));
  }
  w.text("], \"error\": ");
  if (result.error) {
    w.text("{\"code\": ");
    w.string(error_code_name(result.error->code));
    w.text(", \"message\": ");
    w.string(result.error->message);
    w.text(", \"where\": ");
    w.string(result.error->where);
    w.text("}");
  } else {
    w.text("null");
  }
  if (accounting == Accounting::kPerDevice) {
    w.text(", \"devices\": [");
    for (std::size_t i = 0; i < result.devices.size(); ++i) {
      if (i > 0) w.text(", ");
      write_device(w, i, result.devices[i]);
    }
    figure("], \"max_batch_at_max_length\": ", result.max_batch_at_max_length);
  }
  w.text("}");
  return out;
}

std::string estimate_line(std::string_view json_line) {
  auto request = parse_estimate_request(json_line);
  if (!request) {
    EstimateResult result;
    result.error = std::move(request.error());
    return estimate_result_json(result, Accounting::kPooled);
  }
  return estimate_result_json(MemoryEstimator::estimate(*request), request->accounting);
}

} // namespace plimsoll
